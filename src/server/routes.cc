// SPDX-License-Identifier: Apache-2.0
#include "server/routes.h"

#include <array>

namespace aio::server {
namespace {

constexpr std::string_view kId = "{id}";

constexpr std::array<Route, 11> kRoutes = {{
    {"/v1/chat/completions", "POST", Action::kChat, true},
    {"/v1/completions", "POST", Action::kCompletion, true},
    {"/v1/embeddings", "POST", Action::kEmbeddings, true},
    {"/v1/route", "POST", Action::kRoute, true},
    {"/v1/fleet", "GET", Action::kFleet, true},
    {"/v1/fleet/drain", "POST", Action::kDrain, true},
    {"/v1/models", "GET", Action::kModels, true},
    {"/v1/models/{id}", "GET", Action::kModel, true},
    {"/health", "GET", Action::kHealth, false},
    {"/ready", "GET", Action::kReady, false},
    {"/metrics", "GET", Action::kMetrics, false},
}};

// The path before {id}; the whole path of a route without one.
std::string_view Prefix(const Route& route) {
  return route.path.substr(0, route.path.find(kId));
}

}  // namespace

const Route* FindRoute(std::string_view path) {
  for (const Route& route : kRoutes) {
    const std::string_view prefix = Prefix(route);
    const bool open = prefix.size() < route.path.size();
    if (open ? path.size() > prefix.size() && path.starts_with(prefix)
             : path == route.path) {
      return &route;
    }
  }
  return nullptr;
}

std::string_view RouteId(const Route& route, std::string_view path) {
  return path.substr(Prefix(route).size());
}

}  // namespace aio::server
