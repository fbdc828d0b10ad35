// SPDX-License-Identifier: Apache-2.0
#include "config/calibration.h"

#include "config/section.h"
#include "config/text_file.h"
#include "config/variant_table.h"

namespace aio::config {
namespace {

// Above any real answer.
constexpr double kTokensMax = 1 << 24;
// Above any number that was fitted.
constexpr double kNumberMost = 1e3;

double ReadLength(Section s) {
  double tokens = -1;
  s.Number("tokens", 0, kTokensMax, &tokens);
  if (tokens < 0) s.Fail("tokens", "is needed");
  int answers = 0, cut = 0;
  s.Count("n", 0, &answers);
  s.Count("cut", 0, &cut);
  if (cut > answers) s.Fail("cut", "is more than n");
  s.Finish();
  return tokens;
}

void ReadFormat(Section* s) {
  int format = 0;
  s->Count("format", 0, &format);
  if (format != 1) s->Fail("format", "must be 1");
}

ProbeFit ReadProbeFit(Reading* reading, const YAML::Node& root) {
  ProbeFit fit;
  Section s(reading, root, "");
  ReadFormat(&s);
  s.String("variant", &fit.variant);
  if (fit.variant.empty()) s.Fail("variant", "is needed");
  s.String("suffix", &fit.suffix);
  fit.temperature = 0;
  s.Number("temperature", 0.01, 100, &fit.temperature);
  if (fit.temperature == 0) s.Fail("temperature", "is needed");
  s.Bool("prior", &fit.prior);
  s.Map("measured");
  s.Map("source");
  s.Finish();
  return fit;
}

TextFit ReadTextFit(Reading* reading, const YAML::Node& root) {
  TextFit fit;
  Section s(reading, root, "");
  ReadFormat(&s);
  s.String("fingerprint", &fit.fingerprint);
  if (fit.fingerprint.empty()) s.Fail("fingerprint", "is needed");
  Section meant = s.Map("meant");
  for (auto& [name, row] : s.Maps("meant")) {
    const auto is = core::LabelNamed(name);
    if (!is) {
      meant.Fail(name, "is no label");
      continue;
    }
    if (!fit.meant) fit.meant.emplace();
    const auto at = static_cast<size_t>(*is);
    fit.meant->known[at] = true;
    row.Number("bias", -kNumberMost, kNumberMost, &fit.meant->bias[at]);
    Section weights = row.Map("weights");
    for (size_t said = 0; said < core::kLabels; ++said) {
      weights.Number(core::kLabelNames[said], -kNumberMost, kNumberMost,
                     &fit.meant->weight[at][said]);
    }
    weights.Finish();
    row.Finish();
  }
  s.Map("measured");
  s.Finish();
  return fit;
}

}  // namespace

Result<core::LengthTable> ParseLengths(
    std::string_view text, const std::string& source,
    const std::vector<std::string>& variants) {
  return ParseFile<core::LengthTable>(
      text, source, "table of lengths",
      [&](Reading* reading, const YAML::Node& root) {
        return ReadVariantTable<double>(reading, root, variants, ReadLength);
      });
}

Result<ProbeFit> ParseProbeFit(std::string_view text,
                               const std::string& source) {
  return ParseFile<ProbeFit>(text, source, "fit of a probe", ReadProbeFit);
}

Result<TextFit> ParseTextFit(std::string_view text, const std::string& source) {
  return ParseFile<TextFit>(text, source, "fit of a text probe", ReadTextFit);
}

Result<core::LengthTable> LoadLengths(
    const std::string& file, const std::vector<std::string>& variants) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseLengths(text, file, variants);
}

Result<ProbeFit> LoadProbeFit(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseProbeFit(text, file);
}

Result<TextFit> LoadTextFit(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseTextFit(text, file);
}

}  // namespace aio::config
