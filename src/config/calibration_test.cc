// SPDX-License-Identifier: Apache-2.0
#include "config/calibration.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/config.h"

namespace aio::config {
namespace {

namespace fs = std::filesystem;

constexpr char kLengths[] = R"({
 "format": 1,
 "variants": {
  "small": {"code": {"tokens": 41.5, "n": 200, "cut": 3}, "qa": {"tokens": 7}},
  "large": {}
 },
 "source": {"tasks": {"hash": "00ff", "count": 200}}
})";
constexpr char kFit[] = R"({
 "format": 1, "variant": "small", "suffix": "Category:",
 "temperature": 2.25, "prior": false,
 "measured": {"prompts": 1063, "accuracy": 0.9},
 "source": {"fingerprint": "x"}
})";
constexpr char kQuality[] =
    R"({"format": 1, "variants": {"small": {"code": {"quality": 0.5}}}})";

// What is wrong with a table of lengths, and with a fit.
std::string WhyLengths(const std::string& text) {
  const auto table = ParseLengths(text, "l.json", {"small", "large"});
  EXPECT_FALSE(table) << text;
  return table ? "" : table.error().message;
}
std::string WhyFit(const std::string& text) {
  const auto fit = ParseProbeFit(text, "p.json");
  EXPECT_FALSE(fit) << text;
  return fit ? "" : fit.error().message;
}
std::string Cell(const std::string& cell) {
  return R"({"format":1,"variants":{"small":{"code":)" + cell + "}}}";
}

TEST(LengthsTest, AreReadByVariantAndLabel) {
  const auto table = ParseLengths(kLengths, "l.json", {"small", "large"});
  ASSERT_TRUE(table) << table.error().message;
  const auto& small = table->at("small");
  EXPECT_EQ(small[0], 41.5);
  EXPECT_EQ(small[2], 7);
  EXPECT_FALSE(small[1]);
  EXPECT_FALSE(table->at("large")[0]);
}

TEST(LengthsTest, ErrorsNameFileLineAndKey) {
  EXPECT_EQ(WhyLengths("{\"format\": 1, \"variants\": {\n \"smal\": {}}}"),
            "l.json:2: variants.smal: the configuration has no variant of this "
            "name, did you mean 'small'?");
  EXPECT_EQ(WhyLengths(Cell("{}")),
            "l.json:1: variants.small.code.tokens: is needed");
  EXPECT_EQ(WhyLengths(Cell(R"({"tokens":1,"n":2,"cut":3})")),
            "l.json:1: variants.small.code.cut: is more than n");
  for (const char* wrong :
       {R"({"tokens":-1})", R"({"tokens":1e9})", R"({"tokens":"nan"})",
        R"({"tokens":[1]})", R"({"tokens":1,"n":-1})", R"({"token":1})", "7",
        "[]"}) {
    EXPECT_EQ(WhyLengths(Cell(wrong)).rfind("l.json:1: variants.small.code", 0),
              0u)
        << WhyLengths(Cell(wrong));
  }
}

TEST(LengthsTest, WhatIsNoTableIsAnErrorWithItsName) {
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("7"), std::string("[]"),
        std::string("{\"format\": 2}"), std::string("{\"format\": 1"),
        std::string(2000, '['), std::string(size_t{2} << 20, ' '),
        std::string("\0\xff", 2)}) {
    EXPECT_EQ(WhyLengths(text).rfind("l.json", 0), 0u)
        << WhyLengths(text) << "\n"
        << text.substr(0, 99);
  }
}

TEST(ProbeFitTest, IsRead) {
  const auto fit = ParseProbeFit(kFit, "p.json");
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_EQ(fit->variant, "small");
  EXPECT_EQ(fit->suffix, "Category:");
  EXPECT_EQ(fit->temperature, 2.25);
  EXPECT_FALSE(fit->prior);
}

TEST(ProbeFitTest, ErrorsNameTheKey) {
  const std::string good = kFit;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return WhyFit(text.replace(text.find(from), from.size(), to));
  };
  EXPECT_EQ(with("2.25", "0").rfind("p.json:3: temperature: ", 0), 0u);
  EXPECT_EQ(with("2.25", "inf").rfind("p.json:3: temperature: ", 0), 0u);
  EXPECT_EQ(with("false", "7").rfind("p.json:3: prior: ", 0), 0u);
  EXPECT_EQ(with("\"small\"", "\"\""), "p.json:2: variant: is needed");
  EXPECT_EQ(with("\"temperature\": 2.25,", ""),
            "p.json:1: temperature: is needed");
  EXPECT_EQ(WhyFit("{}"), "p.json:1: format: must be 1");
}

constexpr char kText[] =
    "{\"format\": 1, \"fingerprint\": \"f00d\",\n"
    " \"meant\": {\"qa\": {\"bias\": -0.5, \"weights\": {\"qa\": 0.75, "
    "\"math\": 0.25}}},\n"
    " \"measured\": {\"loss\": 0.5}}";

TEST(TextFitTest, IsRead) {
  const auto fit = ParseTextFit(kText, "t.json");
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_EQ(fit->fingerprint, "f00d");
  ASSERT_TRUE(fit->meant);
  const auto qa = static_cast<size_t>(core::Label::kQa);
  const auto math = static_cast<size_t>(core::Label::kMath);
  EXPECT_TRUE(fit->meant->known[qa]);
  EXPECT_FALSE(fit->meant->known[math]);
  EXPECT_EQ(fit->meant->bias[qa], -0.5);
  EXPECT_EQ(fit->meant->weight[qa][qa], 0.75);
  EXPECT_EQ(fit->meant->weight[qa][math], 0.25);
  const auto plain =
      ParseTextFit("{\"format\": 1, \"fingerprint\": \"f00d\"}", "t.json");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_FALSE(plain->meant);
}

TEST(TextFitTest, ErrorsNameTheKey) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kText;
    const auto fit =
        ParseTextFit(text.replace(text.find(from), from.size(), to), "t.json");
    return fit ? "" : fit.error().message;
  };
  EXPECT_EQ(with("f00d", ""), "t.json:1: fingerprint: is needed");
  EXPECT_EQ(with("0.75", "nan").rfind("t.json:2: meant.qa.weights.qa: ", 0), 0u)
      << with("0.75", "nan");
  EXPECT_EQ(with("-0.5", "1e9").rfind("t.json:2: meant.qa.bias: ", 0), 0u);
  EXPECT_EQ(with("\"qa\": {", "\"trivia\": {"),
            "t.json:2: meant.trivia: is no label");
  EXPECT_EQ(with("\"math\"", "\"maths\"")
                .rfind("t.json:2: meant.qa.weights.maths: ", 0),
            0u);
}

// ---- In a config ------------------------------------------------------------

class CalibrationTest : public testing::Test {
 protected:
  CalibrationTest()
      : folder_(fs::temp_directory_path() /
                ("aio-calibration-" + std::to_string(getpid()))) {
    fs::create_directories(folder_ / "cal");
    Write(kQualityFile, kQuality);
    Write(kLengthsFile, kLengths);
    Write(kProbeFile, kFit);
    Write(kTextFile, kText);
  }
  ~CalibrationTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / "cal" / name) << text;
  }
  Result<Config> Read(const std::string& probe = "model: small",
                      const std::string& policy = "") {
    return Parse(
        "variants:\n  small: { model: s.gguf }\n  large: { model: l.gguf }\n"
        "probe: { " +
            probe + " }\npolicy: { calibration: cal" + policy + " }\n",
        folder_.string(), {});
  }
  std::string Why(const std::string& probe = "model: small",
                  const std::string& policy = "") {
    const auto config = Read(probe, policy);
    EXPECT_FALSE(config);
    return config ? "" : config.error().message;
  }

  const fs::path folder_;
};

TEST_F(CalibrationTest, AConfigTakesAllOfIt) {
  const auto config = Read();
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->policy.quality.at("small")[0]->value, 0.5);
  EXPECT_EQ(config->policy.lengths.at("small")[0], 41.5);
  EXPECT_EQ(config->probe.temperature, 2.25);
  EXPECT_FALSE(config->probe.prior);
  EXPECT_FALSE(config->probe.text_meant) << "there is no text probe";
  const auto text = Read("model: small, text: intent.ftz");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_TRUE(text->probe.text_meant);
  EXPECT_EQ(text->probe.text_fingerprint, "f00d");
}

TEST_F(CalibrationTest, WhatTheConfigSaysWins) {
  Write("other.json",
        R"({"format": 1, "variants": {"large": {"qa": {"quality": 1}}}})");
  const auto config = Read("model: small, temperature: 1.5, prior: true",
                           ", quality_table: cal/other.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->probe.temperature, 1.5);
  EXPECT_TRUE(config->probe.prior);
  EXPECT_FALSE(config->policy.quality.contains("small"));
  EXPECT_EQ(config->policy.lengths.at("small")[0], 41.5);
}

TEST_F(CalibrationTest, AnAbsentFileIsAnErrorThatNamesIt) {
  for (const char* name : {kQualityFile, kLengthsFile, kProbeFile, kTextFile}) {
    const fs::path file = folder_ / "cal" / name;
    fs::rename(file, folder_ / "away");
    const std::string why = Why("model: small, text: intent.ftz");
    EXPECT_EQ(why.rfind("policy.calibration: ", 0), 0u) << why;
    EXPECT_NE(why.find(file.string()), std::string::npos) << why;
    fs::rename(folder_ / "away", file);
  }
}

TEST_F(CalibrationTest, WithoutAModelProbeNoFitIsNeeded) {
  fs::remove(folder_ / "cal" / kProbeFile);
  const auto config = Read("suffix: x");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->probe.temperature, 1);
}

TEST_F(CalibrationTest, AFitOfAnotherQuestionIsRefused) {
  EXPECT_NE(Why("model: large").find("calibrate anew"), std::string::npos);
  EXPECT_NE(Why("model: small, suffix: 'Kind:'").find("'Kind:'"),
            std::string::npos);
}

TEST_F(CalibrationTest, ACorruptFileIsAnErrorThatNamesIt) {
  Write(kLengthsFile, std::string(kLengths).substr(0, 60));
  const std::string why = Why();
  EXPECT_EQ(why.rfind("policy.calibration: ", 0), 0u) << why;
  EXPECT_NE(why.find(kLengthsFile), std::string::npos) << why;
}

}  // namespace
}  // namespace aio::config
