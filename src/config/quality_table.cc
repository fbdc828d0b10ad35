// SPDX-License-Identifier: Apache-2.0
#include "config/quality_table.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/nearest.h"
#include "config/section.h"
#include "config/text_file.h"

namespace aio::config {
namespace {

core::Quality ReadQuality(Section s) {
  core::Quality quality;
  quality.value = -1;
  s.Number("quality", 0, 1, &quality.value);
  if (quality.value < 0) s.Fail("quality", "is needed: 0 to 1");
  quality.low = quality.high = quality.value;
  s.Number("low", 0, 1, &quality.low);
  s.Number("high", 0, 1, &quality.high);
  if (quality.low > quality.value || quality.high < quality.value) {
    s.Fail("quality", "is outside low and high");
  }
  s.Count("n", 0, &quality.tasks);
  s.Finish();
  return quality;
}

class Reader {
 public:
  Reader(Reading* reading, const std::vector<std::string>& variants)
      : reading_(reading), variants_(variants) {}

  core::QualityTable Read(const YAML::Node& root) {
    core::QualityTable table;
    Section top(reading_, root, "");
    int format = 0;
    top.Count("format", 0, &format);
    if (format != 1) top.Fail("format", "must be 1");
    Section rows = top.Map("variants");
    for (const auto& [variant, unused] : top.Maps("variants")) {
      if (std::find(variants_.begin(), variants_.end(), variant) ==
          variants_.end()) {
        rows.Fail(variant, "the configuration has no variant of this name" +
                               DidYouMean(variant, variants_));
      }
      ReadRow(&rows, variant, &table);
    }
    top.Map("source");
    top.Finish();
    return table;
  }

 private:
  void ReadRow(Section* rows, const std::string& variant,
               core::QualityTable* table) {
    static const std::vector<std::string> labels(core::kLabelNames.begin(),
                                                 core::kLabelNames.end());
    Section row = rows->Map(variant);
    auto& qualities = (*table)[variant];
    for (auto& [name, cell] : rows->Maps(variant)) {
      const auto label = core::LabelNamed(name);
      if (label) {
        qualities[static_cast<size_t>(*label)] = ReadQuality(cell);
      } else {
        row.Fail(name, "unknown label" + DidYouMean(name, labels));
      }
    }
  }

  Reading* reading_;
  const std::vector<std::string>& variants_;
};

}  // namespace

Result<core::QualityTable> ParseQualityTable(
    std::string_view text, const std::string& source,
    const std::vector<std::string>& variants) {
  if (text.size() > kFileBytesMax) {
    return Error{ErrorCode::kInvalidArgument,
                 source + ": larger than 1 MiB, this is no quality table", ""};
  }
  Reading reading{source, "", {}, std::nullopt};
  // yaml-cpp throws on syntax, on depth over 500 and on wrong node types.
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    core::QualityTable table = Reader(&reading, variants).Read(root);
    if (reading.error) return *reading.error;
    return table;
  } catch (const std::exception& e) {
    return YamlError(source, e);
  }
}

Result<core::QualityTable> LoadQualityTable(
    const std::string& file, const std::vector<std::string>& variants) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseQualityTable(text, file, variants);
}

}  // namespace aio::config
