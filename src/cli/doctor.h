// SPDX-License-Identifier: Apache-2.0
//
// What `aio doctor` finds: pure judgements over what was measured, apart from
// who measures (doctor.cc).
//
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace aio::cli {

enum class Verdict : uint8_t { kOk, kUnknown, kWarning, kError };
std::string_view Name(Verdict verdict);

struct Finding {
  std::string variant;
  std::string where;  // the url; empty: of the config
  std::string check;
  Verdict verdict = Verdict::kOk;
  std::string text;
};

// Time per token of one request against the profile's. Eager mode launches each
// operation by itself, which takes vllm-ascend 2.3 to 2.5 times as long as its
// graphs (facts on the 910B, batch 1): suspected from 1.7 times on.
Finding JudgeTokenTime(double measured, std::optional<double> said);

// Of an NPU that all variants of the config whose profile is an Ascend one and
// whose server is on one host share: the streams that their captured graphs
// take, (layers + 1) for each captured size, against the 1,800 that vllm-ascend
// counts with. `capture_sizes` absent: the 35 of its default.
std::vector<Finding> JudgeStreams(const config::Config& config);

// Whether two answers of one model to the same greedy request with tools call
// the same: a server whose speculation spoils calls says something else.
Finding JudgeCanary(const std::string& plain_variant, std::string_view plain,
                    std::string_view other);

}  // namespace aio::cli
