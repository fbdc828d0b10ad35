// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/nearest.h"
#include "kernels/targets.h"

// Highway counts the targets of a file by its own configuration, so this file
// must have the same one as those with kernels.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/target.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/highway-inl.h"

HWY_BEFORE_NAMESPACE();
namespace aio::kernels {
namespace HWY_NAMESPACE {

int64_t TargetBit() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace aio::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace aio::kernels {

HWY_EXPORT(TargetBit);

namespace {

// 0: whatever the machine has.
void Allow(int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// All of Highway's names are in capitals.
std::string Capitals(std::string_view name) {
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return 'a' <= c && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return out;
}

Error NoSuchTarget(std::string_view name,
                   const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& known : names) {
    list += (list.empty() ? "" : ", ") + known;
  }
  return {ErrorCode::kInvalidArgument,
          "the instruction set '" + std::string(name) +
              "' is not one that this build and this machine have (" + list +
              ")" + DidYouMean(name, names),
          ""};
}

}  // namespace

std::string_view TargetName() {
  return hwy::TargetName(HWY_DYNAMIC_DISPATCH(TargetBit)());
}

Result<void> ForceTarget(std::string_view name) {
  const int64_t before = hwy::SupportedTargets();
  Allow(0);
  std::vector<std::string> names;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.push_back(hwy::TargetName(target));
    if (names.back() == Capitals(name)) {
      Allow(target);
      return {};
    }
  }
  Allow(before);
  return NoSuchTarget(name, names);
}

void ForEachTarget(const std::function<void(std::string_view name)>& body) {
  const int64_t before = hwy::SupportedTargets();
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    Allow(target);
    body(hwy::TargetName(target));
  }
  Allow(before);
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
