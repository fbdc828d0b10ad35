// SPDX-License-Identifier: Apache-2.0
#include "cli/decision_rule.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <exception>
#include <utility>

#include "base/random.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

// 2: candidates say whether they would think, rounds whether a tool loop held
// them. 3: candidates say what a second of their device is worth, unless it is
// 1, and when a step of theirs may begin. 4: what turns of theirs weigh. Older
// versions are read, too.
constexpr int kVersion = 4;

std::string HashOf(const std::string& text) {
  uint64_t hash = 0;
  for (const char c : text) hash = Mix(hash ^ static_cast<uint8_t>(c));
  return fmt::format("{:016x}", hash);
}

}  // namespace

json::object HeadOf(const DecisionRule& rule) {
  const policy::Options& o = rule.options;
  json::array variants;
  for (const auto& v : o.variants) {
    variants.push_back(
        json::object{{"name", v.name}, {"bytes_per_token", v.bytes_per_token}});
  }
  json::object out = {{"kind", rule.kind},
                      {"variants", std::move(variants)},
                      {"small", o.small},
                      {"large", o.large},
                      {"entropy_max", o.entropy_max},
                      {"context_tokens_max", o.context_tokens_max},
                      {"quality_floor", o.quality_floor},
                      {"objective", o.objective}};
  const std::string hash = HashOf(json::serialize(out));
  return {{"decision_log", kVersion},
          {"rule", std::move(out)},
          {"rule_hash", hash}};
}

Result<DecisionRule> RuleOf(const json::object& head) {
  const auto corrupt = [](const std::string& why) {
    return Error{ErrorCode::kCorrupt, "no head of a decision log: " + why, ""};
  };
  try {
    const int version = head.at("decision_log").to_number<int>();
    if (version < 1 || version > kVersion) {
      return corrupt("of another version");
    }
    const json::object& from = head.at("rule").as_object();
    const auto text = [&](const char* key) {
      return json::value_to<std::string>(from.at(key));
    };
    DecisionRule rule;
    rule.kind = text("kind");
    policy::Options& o = rule.options;
    for (const json::value& v : from.at("variants").as_array()) {
      o.variants.push_back({json::value_to<std::string>(v.at("name")),
                            v.at("bytes_per_token").to_number<int64_t>()});
    }
    o.small = text("small");
    o.large = text("large");
    o.entropy_max = from.at("entropy_max").to_number<double>();
    o.context_tokens_max = from.at("context_tokens_max").to_number<int>();
    o.quality_floor = from.at("quality_floor").to_number<double>();
    o.objective = text("objective");
    return rule;
  } catch (const std::exception& e) {
    return corrupt(e.what());
  }
}

}  // namespace aio::cli
