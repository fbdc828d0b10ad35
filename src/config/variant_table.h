// SPDX-License-Identifier: Apache-2.0
//
// Reads a file with something of every variant by label:
//
//   {"format": 1, "variants": {"small": {"code": CELL, …}, …}, "source": {…}}
//
// It is part of the configuration, so it is read like it: JSON is YAML, and
// errors name the file, the line and the nearest known name. `source` is for
// people. A (variant, label) that is absent is not known; a variant that the
// configuration lacks is an error. "small+no_think" is a row of small, when it
// is told so (core/thinking.h).
//
// Thread safety: free functions, no state.
#pragma once

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/nearest.h"
#include "base/result.h"
#include "config/section.h"
#include "config/text_file.h"
#include "core/intent.h"
#include "core/thinking.h"

namespace aio::config {

template <typename Cell>
using VariantTable =
    std::map<std::string, std::array<std::optional<Cell>, core::kLabels>,
             std::less<>>;

// `read`: Cell(Section), which finishes the section.
template <typename Cell, typename Read>
VariantTable<Cell> ReadVariantTable(Reading* reading, const YAML::Node& root,
                                    const std::vector<std::string>& variants,
                                    Read read) {
  static const std::vector<std::string> labels(core::kLabelNames.begin(),
                                               core::kLabelNames.end());
  VariantTable<Cell> table;
  Section top(reading, root, "");
  int format = 0;
  top.Count("format", 0, &format);
  if (format != 1) top.Fail("format", "must be 1");
  Section rows = top.Map("variants");
  for (const auto& [variant, unused] : top.Maps("variants")) {
    // Or of one that is told whether to think.
    const std::string_view told = core::PartsOfThinkingRow(variant).variant;
    if (std::ranges::find(variants, variant) == variants.end() &&
        std::ranges::find(variants, told) == variants.end()) {
      rows.Fail(variant, "the configuration has no variant of this name" +
                             DidYouMean(variant, variants));
    }
    Section row = rows.Map(variant);
    auto& cells = table[variant];
    for (auto& [name, cell] : rows.Maps(variant)) {
      const auto label = core::LabelNamed(name);
      if (label) {
        cells[static_cast<size_t>(*label)] = read(cell);
      } else {
        row.Fail(name, "unknown label" + DidYouMean(name, labels));
      }
    }
  }
  top.Map("source");
  top.Finish();
  return table;
}

// Hands `text` as YAML to `read`: Value(Reading*, const YAML::Node&). `what` it
// is stands in the error of a file that is too large; `source` in all.
template <typename Value, typename Read>
Result<Value> ParseFile(std::string_view text, const std::string& source,
                        std::string_view what, Read read) {
  if (text.size() > kFileBytesMax) {
    return Error{
        ErrorCode::kInvalidArgument,
        source + ": larger than 1 MiB, this is no " + std::string(what), ""};
  }
  Reading reading{source, "", {}, std::nullopt};
  // yaml-cpp throws on syntax, on depth over 500 and on wrong node types.
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    Value value = read(&reading, root);
    if (reading.error) return *reading.error;
    return value;
  } catch (const std::exception& e) {
    return YamlError(source, e);
  }
}

}  // namespace aio::config
