// SPDX-License-Identifier: Apache-2.0
//
// Views: what a variant reads of weights that are nested (docs/nest.md), so
// that one copy of them serves several variants.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace aio::core {

// All 8 bits of each weight; its first 4; or, step by step, 8 where another
// variant's columns have them read anyway, and else 4. Answers of the last one
// depend on what else is running. Weights that are not nested have k8 only.
enum class View : uint8_t { k8, k4, kAuto };

inline std::string_view Name(View view) {
  switch (view) {
    case View::k8:
      return "8";
    case View::k4:
      return "4";
    case View::kAuto:
      return "auto";
  }
  return "";
}

inline std::optional<View> ViewNamed(std::string_view name) {
  for (const View view : {View::k8, View::k4, View::kAuto}) {
    if (Name(view) == name) return view;
  }
  return std::nullopt;
}

}  // namespace aio::core
