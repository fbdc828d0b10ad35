// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean": the known word nearest to an unknown one.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace aio {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a`
// into `b` (optimal string alignment). Cost: O(|a| |b|).
int EditDistance(std::string_view a, std::string_view b);

// The member of `known` nearest to `word`, the first of equals; empty if none
// is near enough to be what was meant (a third of its letters, at least 2).
// Words over 64 bytes are near to nothing, so a client cannot buy time here.
std::string Nearest(std::string_view word,
                    const std::vector<std::string>& known);

// ", did you mean 'small'?" or nothing; to append to an error.
std::string DidYouMean(std::string_view word,
                       const std::vector<std::string>& known);

}  // namespace aio
