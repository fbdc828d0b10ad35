// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/decision_json.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace aio::orchestrator {
namespace {

namespace json = boost::json;
using std::string_view;

constexpr std::array<string_view, 4> kSources = {"none", "pinned", "text",
                                                 "model"};

std::array<string_view, 4> StrategyNames() {
  using core::Strategy;
  return {core::Name(Strategy::kPlain), core::Name(Strategy::kLookup),
          core::Name(Strategy::kDraft), core::Name(Strategy::kAuto)};
}

// As `const char*` and lengths differ between Boost's and the standard's view.
json::string Text(string_view text) {
  return json::string(text.data(), text.size());
}

json::string Hex(double x) { return Text(HexFloat(x)); }

// ---- The fields, once for both directions -----------------------------------
//
// A visitor is told the name of each field and where it is.

template <typename Visit>
void Fields(Visit&& visit, auto& p, const cost::Price*) {
  visit("prefill", p.prefill);
  visit("step", p.step);
  visit("steps", p.steps);
  visit("queue", p.queue);
  visit("ttft", p.ttft);
  visit("token", p.token);
  visit("others", p.others);
  visit("step_own", p.step_own);
  visit("stairs", p.stairs);
}

template <typename Visit>
void Fields(Visit&& visit, auto& e, const cost::Estimate*) {
  visit("context_tokens", e.context_tokens);
  visit("prompt_tokens", e.prompt_tokens);
  visit("cached_tokens", e.cached_tokens);
  visit("output_tokens", e.output_tokens);
  visit("prefill_seconds", e.prefill_seconds);
  visit("seconds_per_token", e.seconds_per_token);
  visit("seconds", e.seconds);
  visit("bytes_read", e.bytes_read);
  visit("price", e.price);
}

template <typename Visit>
void Fields(Visit&& visit, auto& v, const core::Snapshot*) {
  visit("running", v.running);
  visit("queued", v.queued);
  visit("pages_free", v.pages_free);
  visit("pages_total", v.pages_total);
  visit("admissions", v.admissions);
  visit("turn_weight", v.turn_weight);
  visit("step_in_seconds", v.step_in_seconds);
  visit("run_seconds", v.run_seconds);
  visit("prompt_tokens_waiting", v.prompt_tokens);
  visit("healthy", v.healthy);
}

template <typename Visit>
void Fields(Visit&& visit, auto& c, const policy::Candidate*) {
  visit("unfit", c.unfit);
  visit("bytes_per_token", c.bytes_per_token);
  visit("context_tokens_max", c.context_tokens_max);
  visit("estimate", c.estimate);
  visit("view", c.view);
  visit("quality", c.quality);
  visit("quality_of", c.quality_of);
}

template <typename Visit>
void Fields(Visit&& visit, auto& a, const policy::AskPrice*) {
  visit("price", a.price);
  visit("candidate", a.candidate);
  visit("reused", a.reused);
}

template <typename Visit>
void Fields(Visit&& visit, auto& i, const policy::Input*) {
  visit("random", i.random);
  visit("can_ask", i.can_ask);
  visit("ask", i.ask);
  visit("quality_floor", i.quality_floor);
  visit("probabilities", i.intent.probabilities);
}

template <typename Visit>
void Fields(Visit&& visit, auto& d, const policy::Decision*) {
  visit("ask", d.ask);
  visit("candidate", d.candidate);
  visit("reason", d.reason);
}

// ---- Out --------------------------------------------------------------------

template <typename T>
json::value Out(const T& x);

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsArray : std::false_type {};
template <typename T, size_t n>
struct IsArray<std::array<T, n>> : std::true_type {};

template <typename T>
json::object OutFields(const T& x) {
  json::object out;
  Fields([&](const char* name, const auto& field) { out[name] = Out(field); },
         x, static_cast<const T*>(nullptr));
  return out;
}

template <typename T>
json::value Out(const T& x) {
  if constexpr (std::is_same_v<T, double>) {
    return Hex(x);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Text(x);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return json::value(x);
  } else if constexpr (IsOptional<T>::value) {
    return x ? Out(*x) : json::value();
  } else if constexpr (IsArray<T>::value) {
    json::array list;
    for (const auto& item : x) list.push_back(Out(item));
    return list;
  } else {
    return OutFields(x);
  }
}

// ---- In: false if it is not there, or of another kind
// ------------------------

bool FromHex(const json::value& value, double* x) {
  const json::string* text = value.if_string();
  if (text == nullptr || text->empty()) return false;
  char* end = nullptr;
  *x = std::strtod(text->c_str(), &end);
  return end == text->c_str() + text->size();
}

bool In(const json::value& value, std::string* x) {
  const json::string* text = value.if_string();
  if (text != nullptr) x->assign(text->data(), text->size());
  return text != nullptr;
}

template <typename T>
bool InFields(const json::object& object, T* x);

template <typename T>
bool In(const json::value& value, T* x) {
  if constexpr (std::is_same_v<T, double>) {
    return FromHex(value, x);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (value.is_bool()) *x = value.get_bool();
    return value.is_bool();
  } else if constexpr (std::is_arithmetic_v<T>) {
    boost::system::error_code error;
    *x = value.to_number<T>(error);
    return !error;
  } else if constexpr (IsOptional<T>::value) {
    x->reset();
    return value.is_null() || In(value, &x->emplace());
  } else if constexpr (IsArray<T>::value) {
    const json::array* list = value.if_array();
    if (list == nullptr || list->size() != x->size()) return false;
    bool all = true;
    for (size_t i = 0; i < x->size(); ++i)
      all = all && In((*list)[i], &(*x)[i]);
    return all;
  } else {
    const json::object* object = value.if_object();
    return object != nullptr && InFields(*object, x);
  }
}

// What earlier logs do not have: it was as it is by default.
bool IsLater(std::string_view field) {
  return field == "step_in_seconds" || field == "run_seconds" ||
         field == "prompt_tokens_waiting" || field == "stairs" ||
         field == "turn_weight";
}

template <typename T>
bool InFields(const json::object& object, T* x) {
  bool all = true;
  const auto visit = [&](const char* name, auto& field) {
    const json::value* at = object.if_contains(name);
    if (at == nullptr && IsLater(name)) return;
    all = all && at != nullptr && In(*at, &field);
  };
  Fields(visit, *x, static_cast<const T*>(nullptr));
  return all;
}

// The value of that name among `names`; nothing if there is none.
template <typename Names>
std::optional<size_t> NumberOf(const json::object& object, const char* key,
                               const Names& names) {
  const json::value* value = object.if_contains(key);
  std::string name;
  if (value == nullptr || !In(*value, &name)) return std::nullopt;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  return std::nullopt;
}

// These are written only where they say something; the first logs of version 1
// have none of them.
bool MoreIn(const json::object& object, policy::Candidate* c) {
  if (object.contains("thinking")) {
    const auto at = NumberOf(object, "thinking", core::kThinkingNames);
    if (!at) return false;
    c->thinking = static_cast<core::Thinking>(*at);
  }
  const json::value* usual = object.if_contains("usual");
  const json::value* asleep = object.if_contains("asleep");
  const json::value* price = object.if_contains("device_price");
  return (usual == nullptr || In(*usual, &c->usual)) &&
         (asleep == nullptr || In(*asleep, &c->asleep)) &&
         (price == nullptr || In(*price, &c->device_price));
}

Error Wrong(const char* what) {
  return {ErrorCode::kCorrupt,
          std::string("no ") + what +
              " of a decision log of this version: something is missing",
          ""};
}

}  // namespace

std::string HexFloat(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", x);
  return text;
}

json::object ToJson(const policy::Input& input) {
  json::object out = OutFields(input);
  const auto source = static_cast<size_t>(input.intent.source);
  out["source"] = Text(kSources[source]);
  json::array candidates;
  for (const policy::Candidate& c : input.candidates) {
    json::object one = {{"variant", Text(c.variant)}};
    if (!c.replica.empty()) one["replica"] = Text(c.replica);
    if (c.thinking) one["thinking"] = Text(core::Name(*c.thinking));
    if (!c.usual) one["usual"] = false;
    if (c.asleep) one["asleep"] = true;
    if (c.device_price != 1) one["device_price"] = Hex(c.device_price);
    for (auto& [name, value] : OutFields(c)) one[name] = std::move(value);
    candidates.push_back(std::move(one));
  }
  out["candidates"] = std::move(candidates);
  return out;
}

json::object ToJson(const policy::Decision& decision) {
  json::object out = OutFields(decision);
  out["strategy"] = Text(core::Name(decision.strategy));
  return out;
}

Result<std::unique_ptr<KeptInput>> InputOf(const json::object& object) {
  auto kept = std::make_unique<KeptInput>();
  policy::Input& input = kept->input;
  const auto source = NumberOf(object, "source", kSources);
  const json::value* list = object.if_contains("candidates");
  if (!InFields(object, &input) || !source || list == nullptr ||
      !list->is_array()) {
    return Wrong("input");
  }
  input.intent.source = static_cast<core::IntentSource>(*source);
  const json::array& candidates = list->get_array();
  kept->names.resize(candidates.size());
  kept->replicas.resize(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    policy::Candidate c;
    if (!In(candidates[i], &c)) return Wrong("candidate");
    const json::value* name = candidates[i].get_object().if_contains("variant");
    if (name == nullptr || !In(*name, &kept->names[i])) {
      return Wrong("candidate");
    }
    c.variant = kept->names[i];
    const json::value* replica =
        candidates[i].get_object().if_contains("replica");
    if (replica != nullptr && !In(*replica, &kept->replicas[i])) {
      return Wrong("candidate");
    }
    c.replica = kept->replicas[i];
    if (!MoreIn(candidates[i].get_object(), &c)) return Wrong("candidate");
    input.candidates.push_back(std::move(c));
  }
  return kept;
}

Result<policy::Decision> DecisionOf(const json::object& object) {
  policy::Decision decision;
  const auto strategy = NumberOf(object, "strategy", StrategyNames());
  if (!InFields(object, &decision) || !strategy) return Wrong("decision");
  decision.strategy = static_cast<core::Strategy>(*strategy);
  return decision;
}

}  // namespace aio::orchestrator
