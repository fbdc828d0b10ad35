// SPDX-License-Identifier: Apache-2.0
//
// aio replay: the decisions of a log once more. By the rule that made them, all
// must be the same to the bit; by another rule, what it would have changed, and
// what that costs by the prices of then. And how right those were.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/parse.hpp>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/decision_rule.h"
#include "cli/forecasts.h"
#include "eval/json_text.h"
#include "orchestrator/decision_json.h"

namespace aio::cli {
namespace {

namespace json = boost::json;

struct Flags {
  std::string log;
  std::string policy;             // instead of the log's; empty: the same
  std::vector<std::string> sets;  // policy.KEY=VALUE
  bool as_json = false;
};

// Seconds of the choices, as far as they were priced.
struct Sums {
  double device = 0, own = 0, others = 0;
  int64_t priced = 0;
};

struct Outcome {
  int64_t requests = 0, decisions = 0, same = 0;
  std::vector<std::string> differences;  // the first few
  std::map<std::string, int64_t> moved;  // "large -> small"
  Sums before, after;
  Forecasts forecasts;
};

// A key of the policy, over the log's rule.
Result<void> Set(const std::string& set, DecisionRule* rule) {
  const size_t equals = set.find('=');
  const std::string key = set.substr(0, equals);
  const std::string value =
      equals == std::string::npos ? "" : set.substr(equals + 1);
  const auto wrong = [&](const std::string& why) {
    return Error{ErrorCode::kInvalidArgument, "--set " + set + ": " + why,
                 "set"};
  };
  policy::Options& o = rule->options;
  const std::map<std::string, std::string*> texts = {
      {"policy.kind", &rule->kind},
      {"policy.small", &o.small},
      {"policy.large", &o.large},
      {"policy.objective", &o.objective}};
  if (const auto text = texts.find(key); text != texts.end()) {
    *text->second = value;
    return {};
  }
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (key == "policy.quality_floor") {
    o.quality_floor = number;
  } else if (key == "policy.entropy_max") {
    o.entropy_max = number;
  } else if (key == "policy.context_tokens_max") {
    // What int cannot hold has no defined conversion.
    if (!(number >= 0 && number <= std::numeric_limits<int>::max())) {
      return wrong("no number of tokens");
    }
    o.context_tokens_max = static_cast<int>(number);
  } else {
    return wrong(
        "a log can be replayed with policy.kind, small, large, objective, "
        "quality_floor, entropy_max and context_tokens_max");
  }
  if (value.empty() || *end != '\0') return wrong("no number");
  return {};
}

std::string NameOf(const policy::Input& input, const policy::Decision& d) {
  if (d.ask) return "ask";
  if (d.candidate < 0) return "none";
  const policy::Candidate& c =
      input.candidates[static_cast<size_t>(d.candidate)];
  return c.usual || !c.thinking ? std::string(c.variant)
                                : core::ThinkingRow(c.variant, *c.thinking);
}

class Replay {
 public:
  explicit Replay(const Flags& flags) : flags_(flags) {}
  Result<Outcome> Run();

 private:
  Result<void> Line(const json::object& line);
  Result<void> Round(const std::string& id, bool named,
                     const json::object& round);
  Result<void> Head(const json::object& line);
  void Add(const policy::Input& input, int candidate, Sums* sums) const;

  const Flags& flags_;
  std::optional<cost::Price> said_;  // of the choice of the last round
  std::shared_ptr<const policy::Policy> policy_;
  Outcome out_;
};

Result<void> Replay::Head(const json::object& line) {
  ASSIGN_OR_RETURN(DecisionRule rule, RuleOf(line));
  if (!flags_.policy.empty()) rule.kind = flags_.policy;
  for (const std::string& set : flags_.sets) {
    RETURN_IF_ERROR(Set(set, &rule));
  }
  ASSIGN_OR_RETURN(policy_, policy::Make(rule.kind, rule.options));
  return {};
}

void Replay::Add(const policy::Input& input, int candidate, Sums* sums) const {
  const auto& price =
      input.candidates[static_cast<size_t>(candidate)].estimate.price;
  if (!price) return;
  ++sums->priced;
  sums->device += price->system();
  sums->own += price->own();
  sums->others += price->others;
}

// A request that names its variant was not the policy's; one that names its
// strategy, not in that.
Result<void> Replay::Round(const std::string& id, bool named,
                           const json::object& round) {
  ASSIGN_OR_RETURN(const auto kept,
                   orchestrator::InputOf(round.at("input").as_object()));
  ASSIGN_OR_RETURN(const policy::Decision then,
                   orchestrator::DecisionOf(round.at("decision").as_object()));
  const auto known = static_cast<int>(kept->input.candidates.size());
  if (then.candidate >= known) {
    return Error{ErrorCode::kCorrupt, "a choice that is no candidate", ""};
  }
  policy::Decision now = policy_->Decide(kept->input);
  if (named) now.strategy = then.strategy;
  ++out_.decisions;
  const bool same = now.ask == then.ask && now.candidate == then.candidate &&
                    now.strategy == then.strategy && now.reason == then.reason;
  if (same) ++out_.same;
  const std::string before = NameOf(kept->input, then);
  const std::string after = NameOf(kept->input, now);
  if (!same && out_.differences.size() < 5) {
    out_.differences.push_back(fmt::format("{}: {} ({}), now {} ({})", id,
                                           before, then.reason, after,
                                           now.reason));
  }
  if (before != after) ++out_.moved[before + " -> " + after];
  if (then.candidate >= 0 && !then.ask) {
    const auto chosen = static_cast<size_t>(then.candidate);
    said_ = kept->input.candidates[chosen].estimate.price;
  }
  if (then.candidate < 0 || now.candidate < 0) return {};
  Add(kept->input, then.candidate, &out_.before);
  Add(kept->input, now.candidate, &out_.after);
  return {};
}

Result<void> Replay::Line(const json::object& line) {
  if (line.contains("decision_log")) return Head(line);
  if (!policy_) {
    return Error{ErrorCode::kCorrupt,
                 "no head before it: what decided is not known", ""};
  }
  ++out_.requests;
  if (line.at("pinned").as_bool()) return {};
  const std::string id(line.at("id").as_string());
  said_.reset();
  for (const json::value& round : line.at("rounds").as_array()) {
    if (round.as_object().contains("held")) continue;  // by a tool loop
    RETURN_IF_ERROR(
        Round(id, line.at("strategy_named").as_bool(), round.as_object()));
  }
  if (said_) out_.forecasts.Add(*said_, line.at("outcome").as_object());
  return {};
}

Result<Outcome> Replay::Run() {
  std::ifstream in(flags_.log);
  if (!in) {
    return Error{ErrorCode::kNotFound, "cannot read " + flags_.log, "log"};
  }
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    const auto at = [&](const std::string& what) {
      return fmt::format("{}:{}: {}", flags_.log, number, what);
    };
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) {
      // A process that was killed leaves half a line.
      if (in.peek() == EOF) break;
      return Error{ErrorCode::kCorrupt, at("no JSON object"), ""};
    }
    try {
      const auto read = Line(value.get_object());
      if (!read) {
        return Error{read.error().code, at(read.error().message),
                     read.error().param};
      }
    } catch (const std::exception& e) {  // what Boost throws for what is amiss
      return Error{ErrorCode::kCorrupt, at(e.what()), ""};
    }
  }
  return out_;
}

json::object ToJson(const Sums& s) {
  return {{"priced", s.priced},
          {"device_seconds", s.device},
          {"own_seconds", s.own},
          {"others_seconds", s.others}};
}

json::object ToJson(const Outcome& o) {
  json::object moved;
  for (const auto& [what, count] : o.moved) moved[what] = count;
  return {{"requests", o.requests},
          {"decisions", o.decisions},
          {"same", o.same},
          {"moved", std::move(moved)},
          {"before", ToJson(o.before)},
          {"after", ToJson(o.after)},
          {"forecasts", o.forecasts.ToJson()}};
}

void Print(const Outcome& o) {
  std::cout << fmt::format(
      "{} requests, {} decisions of the policy, {} of them the same ({:.1f} "
      "%)\n",
      o.requests, o.decisions, o.same,
      o.decisions == 0 ? 100.0
                       : 100.0 * static_cast<double>(o.same) /
                             static_cast<double>(o.decisions));
  for (const auto& [what, count] : o.moved) {
    std::cout << fmt::format("  {:<28}{:>9}\n", what, count);
  }
  if (o.same < o.decisions && o.before.priced > 0) {
    std::cout << fmt::format("{:<16}{:>14}{:>14}\n", "expected, s", "then",
                             "now");
    for (const auto& [name, sum] :
         {std::pair{"device", &Sums::device}, std::pair{"own", &Sums::own},
          std::pair{"others", &Sums::others}}) {
      std::cout << fmt::format("{:<16}{:>14.2f}{:>14.2f}\n", name,
                               o.before.*sum, o.after.*sum);
    }
  }
  for (const std::string& text : o.differences) std::cout << text << "\n";
  if (!o.forecasts.empty()) std::cout << o.forecasts.Table();
}

int Main(const Flags& flags) {
  const auto out = Replay(flags).Run();
  if (!out) {
    std::cerr << "aio replay: " << out.error().message << "\n";
    return out.error().code == ErrorCode::kCorrupt ? 1 : 2;
  }
  if (flags.as_json) {
    std::cout << eval::JsonText(ToJson(*out));
  } else {
    Print(*out);
  }
  std::cout.flush();
  if (!std::cout) return 1;
  // By the log's own rule a difference is a failure.
  const bool what_if = !flags.policy.empty() || !flags.sets.empty();
  return !what_if && out->same < out->decisions ? 1 : 0;
}

}  // namespace

void AddReplay(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "replay", "The decisions of a log once more, by its rule or another");
  c->add_option("log", flags->log, "As log.decisions of a config names it")
      ->required();
  c->add_option("--policy", flags->policy,
                "Decide by this one instead: marginal, paper, random, "
                "static:VARIANT");
  c->add_option("--set", flags->sets, "policy.KEY=VALUE, over the log's");
  c->add_flag("--json", flags->as_json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
