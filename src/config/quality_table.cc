// SPDX-License-Identifier: Apache-2.0
#include "config/quality_table.h"

#include "config/section.h"
#include "config/text_file.h"
#include "config/variant_table.h"

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

}  // namespace

Result<core::QualityTable> ParseQualityTable(
    std::string_view text, const std::string& source,
    const std::vector<std::string>& variants) {
  return ParseFile<core::QualityTable>(
      text, source, "quality table",
      [&](Reading* reading, const YAML::Node& root) {
        return ReadVariantTable<core::Quality>(reading, root, variants,
                                               ReadQuality);
      });
}

Result<core::QualityTable> LoadQualityTable(
    const std::string& file, const std::vector<std::string>& variants) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseQualityTable(text, file, variants);
}

}  // namespace aio::config
