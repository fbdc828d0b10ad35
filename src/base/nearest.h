// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean …": the known name closest to a mistyped one, for errors about
// config keys and model names.
//
// Cost: Distance is O(a.size() * b.size()); both are cut to kNameBytesMax
// first, since the mistyped name comes from outside.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace aio {

inline constexpr size_t kNameBytesMax = 64;

// Edits (insert, delete, replace, swap neighbours) that turn a into b, case
// ignored.
int EditDistance(std::string_view a, std::string_view b);

// The known name with the fewest edits; the first of equals. Empty if `names`
// is, or if nothing is close: more than half of the longer name would change.
std::string Nearest(std::string_view name,
                    const std::vector<std::string>& names);

// ", did you mean 'small'?" or nothing; ends an error message.
std::string DidYouMean(std::string_view name,
                       const std::vector<std::string>& names);

}  // namespace aio
