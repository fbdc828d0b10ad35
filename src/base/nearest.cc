// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>

namespace aio {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

}  // namespace

// The restricted Damerau-Levenshtein distance, three rows at a time.
int EditDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, kNameBytesMax);
  b = b.substr(0, kNameBytesMax);
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = Lower(a[i - 1]), y = Lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y)});
      if (i > 1 && j > 1 && x == Lower(b[j - 2]) && y == Lower(a[i - 2])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string Nearest(std::string_view name,
                    const std::vector<std::string>& names) {
  std::string best;
  int least = 0;
  for (const std::string& candidate : names) {
    const int edits = EditDistance(name, candidate);
    const size_t longer =
        std::min(kNameBytesMax, std::max(name.size(), candidate.size()));
    if (static_cast<size_t>(edits) * 2 > longer) continue;
    if (best.empty() || edits < least) {
      best = candidate;
      least = edits;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view name,
                       const std::vector<std::string>& names) {
  const std::string near = Nearest(name, names);
  return near.empty() ? "" : ", did you mean '" + near + "'?";
}

}  // namespace aio
