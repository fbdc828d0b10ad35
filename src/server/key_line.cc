// SPDX-License-Identifier: Apache-2.0
#include "server/key_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/nearest.h"

namespace aio::server {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

constexpr std::string_view kSpace = " \t";
constexpr size_t kNameMax = 64;
constexpr int64_t kAmountMax = 1'000'000'000'000;
constexpr double kWeightMin = 0.001, kWeightMax = 1000;

Error Wrong(std::string message) {
  return Error{ErrorCode::kInvalidArgument, std::move(message), ""};
}

// Cuts the next word off.
std::string_view NextWord(std::string_view* line) {
  const size_t end = std::min(line->find_first_of(kSpace), line->size());
  const std::string_view word = line->substr(0, end);
  line->remove_prefix(end);
  line->remove_prefix(std::min(line->find_first_not_of(kSpace), line->size()));
  return word;
}

std::optional<int64_t> Count(std::string_view text, int64_t most) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, count);
  const bool whole = failed == std::errc() && rest == end;
  if (!whole || count < 1 || count > most) return std::nullopt;
  return count;
}

Result<void> SetName(std::string_view value, Key* key) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (value.empty() || value.size() > kNameMax ||
      !std::ranges::all_of(value, good)) {
    return Wrong("a name is 1 to 64 letters, digits and ._-");
  }
  key->name = value;
  return {};
}

Result<void> SetRate(std::string_view value, std::optional<Rate>* rate) {
  constexpr std::array<std::pair<std::string_view, Duration>, 3> kUnits = {
      {{"s", 1s}, {"m", 1min}, {"h", 1h}}};
  const size_t slash = std::min(value.find('/'), value.size());
  const auto amount = Count(value.substr(0, slash), kAmountMax);
  const std::string_view unit = value.substr(std::min(slash + 1, value.size()));
  for (const auto& [name, per] : kUnits) {
    if (!amount || unit != name) continue;
    *rate = Rate{*amount, per};
    return {};
  }
  return Wrong("a rate is a whole number above zero and /s, /m or /h, as 60/m");
}

Result<void> SetConcurrency(std::string_view value, Key* key) {
  const auto count = Count(value, 1'000'000);
  if (!count) return Wrong("concurrency is a whole number above zero, as 8");
  key->limits.concurrency = static_cast<int>(*count);
  return {};
}

Result<void> SetWeight(std::string_view value, Key* key) {
  double weight = 0;
  const char* end = value.data() + value.size();
  const auto [rest, failed] = std::from_chars(value.data(), end, weight);
  const bool whole = failed == std::errc() && rest == end;
  if (!whole || !(weight >= kWeightMin && weight <= kWeightMax)) {
    return Wrong("a weight is a number from 0.001 to 1000, as 2");
  }
  key->weight = weight;
  return {};
}

Result<void> SetVariants(std::string_view value,
                         const std::vector<std::string>& known, Key* key) {
  std::vector<std::string> allowed;
  for (bool more = true; more;) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view name = value.substr(0, comma);
    if (std::ranges::find(known, name) == known.end()) {
      return Wrong("there is no such variant" + DidYouMean(name, known));
    }
    allowed.emplace_back(name);
    more = comma < value.size();
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  key->variants =
      std::make_shared<const std::vector<std::string>>(std::move(allowed));
  return {};
}

Result<void> SetAdmin(std::string_view value, Key* key) {
  if (value != "yes" && value != "no") return Wrong("yes or no");
  key->admin = value == "yes";
  return {};
}

const std::vector<std::string>& Words() {
  static const std::vector<std::string> words = {
      "name",     "requests", "tokens", "concurrency",
      "variants", "weight",   "admin"};
  return words;
}

// The word's number; -1 for none.
int WordOf(std::string_view word) {
  const auto it = std::ranges::find(Words(), word.substr(0, word.find('=')));
  const bool found = it != Words().end() && word.find('=') < word.size();
  return found ? static_cast<int>(it - Words().begin()) : -1;
}

Error Unknown(std::string_view word) {
  if (word.find('=') == std::string_view::npos) {
    return Wrong("behind the key come words name=value");
  }
  const std::string near = DidYouMean(word.substr(0, word.find('=')), Words());
  if (!near.empty()) return Wrong("an unknown word" + near);
  std::string all;
  for (const std::string& known : Words()) {
    all += (all.empty() ? "" : ", ") + known;
  }
  return Wrong("an unknown word; there are " + all);
}

Result<void> SetWord(int word, std::string_view value,
                     const std::vector<std::string>& variants, Key* key) {
  switch (word) {
    case 0:
      return SetName(value, key);
    case 1:
      return SetRate(value, &key->limits.requests);
    case 2:
      return SetRate(value, &key->limits.tokens);
    case 3:
      return SetConcurrency(value, key);
    case 4:
      return SetVariants(value, variants, key);
    case 5:
      return SetWeight(value, key);
    default:
      return SetAdmin(value, key);
  }
}

}  // namespace

Result<KeyLine> ParseKeyLine(std::string_view line,
                             const std::vector<std::string>& variants) {
  KeyLine out;
  out.secret = NextWord(&line);
  if (WordOf(out.secret) >= 0) return Wrong("the key comes first");
  std::vector<bool> seen(Words().size());
  while (!line.empty()) {
    const std::string_view word = NextWord(&line);
    const int number = WordOf(word);
    if (number < 0) return Unknown(word);
    const std::string& name = Words()[static_cast<size_t>(number)];
    if (seen[static_cast<size_t>(number)]) return Wrong(name + " stands twice");
    seen[static_cast<size_t>(number)] = true;
    const auto set =
        SetWord(number, word.substr(name.size() + 1), variants, &out.key);
    if (!set) return Wrong(name + ": " + set.error().message);
  }
  return out;
}

}  // namespace aio::server
