// SPDX-License-Identifier: Apache-2.0
//
// The table of routes.
//
// Thread safety: const data.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace aio::server {

enum class Action : uint8_t {
  kChat,
  kCompletion,
  kEmbeddings,
  kRoute,
  kFleet,
  kDrain,
  kModels,
  kModel,
  kHealth,
  kReady,
  kMetrics,
};

struct Route {
  std::string_view path;  // also its name in metrics; `{id}` ends in anything
  std::string_view method;
  Action action;
  bool needs_key;
};

// Null if there is no such path.
const Route* FindRoute(std::string_view path);

// What stands for {id} in `path`.
std::string_view RouteId(const Route& route, std::string_view path);

}  // namespace aio::server
