// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

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

std::string_view TargetName() {
  return hwy::TargetName(HWY_DYNAMIC_DISPATCH(TargetBit)());
}

void ForEachTarget(const std::function<void(std::string_view name)>& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

}  // namespace aio::kernels
#endif  // HWY_ONCE
