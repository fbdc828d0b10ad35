// SPDX-License-Identifier: Apache-2.0
#include "sim/html.h"

#include <fmt/format.h>

namespace aio::sim {
namespace {

constexpr const char* kStyle = R"(<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
       padding: 0 1rem; color: #1c2733; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #dde3ea; }
th:first-child, td:first-child { text-align: left; }
h3 { margin: 1.4rem 0 .3rem; font-size: 1rem; }
pre { overflow-x: auto; font-size: 12px; }
.bar { fill: #3a78b8; } .all { fill: #8a97a6; } .grid { stroke: #dde3ea; }
@media (prefers-color-scheme: dark) {
  body { background: #12181f; color: #dbe3ec; } th, td { border-color: #2b3642; }
  .grid { stroke: #2b3642; } }
</style>
)";

}  // namespace

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string HtmlHead(const std::string& title) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
      "<title>{}</title>\n{}",
      Escaped(title), kStyle);
}

}  // namespace aio::sim
