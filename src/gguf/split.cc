// SPDX-License-Identifier: Apache-2.0
#include "gguf/split.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace aio::gguf {
namespace {

constexpr std::string_view kShape = "-00000-of-00000.gguf";  // 0: any digit

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}

std::optional<int64_t> Integer(const Part& part, std::string_view key) {
  const Value* value = part.Find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* i = std::get_if<int64_t>(value)) return *i;
  const auto* u = std::get_if<uint64_t>(value);
  if (u == nullptr || !std::in_range<int64_t>(*u)) return std::nullopt;
  return static_cast<int64_t>(*u);
}

Result<void> Expect(const Part& part, const std::string& key,
                    int64_t expected) {
  const auto found = Integer(part, key);
  if (found == expected) return {};
  return Corrupt(
      key +
      (found ? " is " + std::to_string(*found) : std::string(" is missing")) +
      ", but must be " + std::to_string(expected) + " here");
}

}  // namespace

std::string SplitName::PathOf(int part) const {
  char suffix[40];
  std::snprintf(suffix, sizeof(suffix), "-%05d-of-%05d.gguf", part + 1, count);
  return prefix + suffix;
}

std::optional<SplitName> ParseSplitName(std::string_view path) {
  if (path.size() <= kShape.size()) return std::nullopt;
  const auto suffix = path.substr(path.size() - kShape.size());
  const auto fits = [](char c, char shape) {
    return shape == '0' ? c >= '0' && c <= '9' : c == shape;
  };
  if (!std::equal(suffix.begin(), suffix.end(), kShape.begin(), fits)) {
    return std::nullopt;
  }
  const auto five_digits = [&](size_t at) {
    int value = 0;
    for (const char c : suffix.substr(at, 5)) value = value * 10 + (c - '0');
    return value;
  };
  const int number = five_digits(1);
  const int count = five_digits(10);
  if (number < 1 || number > count) return std::nullopt;
  return SplitName{std::string(path.substr(0, path.size() - kShape.size())),
                   number - 1, count};
}

Result<int64_t> SplitCount(const Part& part) {
  if (part.Find("split.count") == nullptr) return 1;
  const auto count = Integer(part, "split.count");
  // gguf-split writes 0 when it joins the parts again.
  if (count && *count >= 0) return std::max<int64_t>(*count, 1);
  return Corrupt("split.count is not a count");
}

Result<void> CheckSplit(const Part& part, int index, int count) {
  RETURN_IF_ERROR(Expect(part, "split.no", index));
  return Expect(part, "split.count", count);
}

Result<void> CheckSplitTensors(const Part& first, size_t tensors) {
  return Expect(first, "split.tensors.count", static_cast<int64_t>(tensors));
}

}  // namespace aio::gguf
