// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <gtest/gtest.h>

namespace aio::cli {
namespace {

TEST(DoctorTest, SuspectsEagerModeFarAboveTheProfile) {
  EXPECT_EQ(JudgeTokenTime(0.017, 0.0164).verdict, Verdict::kOk);
  EXPECT_EQ(JudgeTokenTime(0.0273, 0.0164).verdict, Verdict::kOk);
  EXPECT_EQ(JudgeTokenTime(0.0373, 0.0164).verdict, Verdict::kWarning);
  EXPECT_EQ(JudgeTokenTime(0.0373, std::nullopt).verdict, Verdict::kUnknown);
}

config::Config TwoOnOneHost(int sizes) {
  config::Config config;
  for (const auto& [name, port] :
       {std::pair{"1b", 8001}, std::pair{"7b", 8002}}) {
    config::Variant variant;
    variant.upstream = {"http://npu:" + std::to_string(port) + "/v1"};
    variant.remote.profile = "ascend-910b";
    variant.remote.shape = std::string("openpangu-") + name;
    variant.remote.capture_sizes = sizes;
    config.variants.emplace_back(name, variant);
  }
  return config;
}

// Two instances with the 35 sizes of vllm-ascend's default: 27 x 35 + 35 x 35.
TEST(DoctorTest, CountsTheStreamsOfInstancesThatShareAnNpu) {
  const auto found = JudgeStreams(TwoOnOneHost(0));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].verdict, Verdict::kError);
  EXPECT_NE(found[0].text.find("2170 of 1800"), std::string::npos)
      << found[0].text;
  EXPECT_EQ(JudgeStreams(TwoOnOneHost(15))[0].verdict, Verdict::kOk);
}

TEST(DoctorTest, InstancesOnTheirOwnNpusDoNotShare) {
  config::Config config = TwoOnOneHost(0);
  config.variants[0].second.remote.npu = "npu0";
  config.variants[1].second.remote.npu = "npu1";
  const auto found = JudgeStreams(config);
  ASSERT_EQ(found.size(), 2u);
  for (const Finding& f : found) EXPECT_EQ(f.verdict, Verdict::kOk) << f.text;
}

TEST(DoctorTest, ACallThatDiffersIsASign) {
  EXPECT_EQ(JudgeCanary("plain", "[a]", "[a]").verdict, Verdict::kOk);
  const Finding finding = JudgeCanary("plain", "[a]", "");
  EXPECT_EQ(finding.verdict, Verdict::kWarning);
  EXPECT_NE(finding.text.find("nothing"), std::string::npos);
}

}  // namespace
}  // namespace aio::cli
