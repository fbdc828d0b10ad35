// SPDX-License-Identifier: Apache-2.0
#include "eval/table.h"

#include <algorithm>

namespace aio::eval {

std::string PercentText(double share) { return Format("%.1f %%", 100 * share); }

std::string BytesText(double bytes) {
  if (bytes <= 0) return "-";
  if (bytes >= 1e9) return Format("%.2f GB", bytes / 1e9);
  if (bytes >= 1e6) return Format("%.2f MB", bytes / 1e6);
  if (bytes >= 1e3) return Format("%.1f KB", bytes / 1e3);
  return Format("%.0f B", bytes);
}

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows,
                         size_t left) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += i == 0 ? "" : "  ";
      line += i < left ? row[i] + space : space + row[i];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

}  // namespace aio::eval
