// SPDX-License-Identifier: Apache-2.0
#include "sim/workload.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/check.h"
#include "base/nearest.h"
#include "base/random.h"

namespace aio::sim {
namespace {

using core::Label;

constexpr size_t kRecent = 64;  // conversations that may go on

// Medians and spreads of Azure's LLM inference traces of 2023 (8,819 requests
// of code, 19,366 of conversations, CC BY 4.0): prompts of 1,469 and 1,020
// tokens, answers of 13 and 129.
constexpr Lengths kCodePrompt = {1469, 1.36, 1, 8192};
constexpr Lengths kCodeOutput = {13, 0.85, 1, 1024};
constexpr Lengths kChatPrompt = {1020, 0.99, 1, 8192};
constexpr Lengths kChatOutput = {129, 0.86, 1, 1024};
// Of tasks that are asked in a sentence or two: no published distribution, an
// order of magnitude.
constexpr Lengths kShortPrompt = {150, 0.6, 8, 2048};
constexpr Lengths kLongAnswer = {250, 0.7, 8, 2048};

Kind Of(Label intent, double share, const Lengths& prompt,
        const Lengths& output) {
  Kind kind;
  kind.intent = intent;
  kind.share = share;
  kind.prompt = prompt;
  kind.output = output;
  return kind;
}

// The share of stretches that repeat something, so that lookup gets as many
// tokens a step as it got from real answers of such tasks (docs/speculation.md:
// 1.12 of code, 1.08, 1.02, 1.00 and 1.44).
double CopiedOf(Label intent) {
  switch (intent) {
    case Label::kCode:
      return 0.15;
    case Label::kExtract:
      return 0.10;
    case Label::kMath:
      return 0.03;
    case Label::kSummarize:
      return 0.42;
    default:
      return 0;
  }
}

// 70 % of one intent, the rest spread over four others.
std::vector<Kind> Centric(Label main) {
  std::vector<Kind> kinds;
  for (const Label label : {Label::kCode, Label::kQa, Label::kMath,
                            Label::kSummarize, Label::kExtract}) {
    const bool reads = label == Label::kSummarize || label == Label::kExtract;
    kinds.push_back(Of(label, label == main ? 0.7 : 0.075,
                       reads ? kChatPrompt : kShortPrompt,
                       reads ? kChatOutput : kLongAnswer));
    kinds.back().copied = CopiedOf(label);
  }
  return kinds;
}

// HumanEval, C-Eval and GSM8K as arXiv 2604.09752 must have mixed them in its
// code-centric scenario (docs/simulator.md), all answers alike.
std::vector<Kind> PaperCode() {
  const Lengths answer = {256, 0, 256, 256};
  return {Of(Label::kCode, 71, kShortPrompt, answer),
          Of(Label::kQa, 19, kShortPrompt, answer),
          Of(Label::kMath, 10, kShortPrompt, answer)};
}

std::vector<WorkloadOptions> All() {
  std::vector<WorkloadOptions> all(6);
  all[0].name = "chat";
  all[0].kinds = {Of(Label::kChat, 1, kChatPrompt, kChatOutput)};
  all[0].kinds[0].shared_tokens = 200;
  all[0].kinds[0].next_turn = 0.5;
  all[1].name = "code";
  all[1].kinds = {Of(Label::kCode, 1, kCodePrompt, kCodeOutput)};
  all[2].name = "mixed";
  all[2].kinds = {Of(Label::kChat, 0.5, kChatPrompt, kChatOutput),
                  Of(Label::kCode, 0.3, kCodePrompt, kCodeOutput),
                  Of(Label::kQa, 0.2, kShortPrompt, kLongAnswer)};
  for (Kind& kind : all[2].kinds) {
    kind.shared_tokens = 200;
    kind.next_turn = 0.4;
    kind.cancelled = 0.1;
  }
  all[3].name = "code-centric";
  all[3].kinds = Centric(Label::kCode);
  all[4].name = "knowledge-centric";
  all[4].kinds = Centric(Label::kQa);
  all[5].name = "paper-code";
  all[5].kinds = PaperCode();
  return all;
}

Error BadLine(int line, const std::string& what) {
  return {ErrorCode::kInvalidArgument,
          "line " + std::to_string(line) + ": " + what, ""};
}

bool Number(std::string_view text, int* out) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out >= 0;
}

// "2023-11-16 18:17:03.9799600" in seconds, or less than zero.
double SecondsOf(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (text.size() < 19 || !Number(text.substr(0, 4), &year) ||
      !Number(text.substr(5, 2), &month) || !Number(text.substr(8, 2), &day) ||
      !Number(text.substr(11, 2), &hour) ||
      !Number(text.substr(14, 2), &minute) ||
      !Number(text.substr(17, 2), &second)) {
    return -1;
  }
  namespace c = std::chrono;
  const c::year_month_day date{c::year(year),
                               c::month(static_cast<unsigned>(month)),
                               c::day(static_cast<unsigned>(day))};
  if (!date.ok()) return -1;
  double fraction = 0, unit = 1;
  for (size_t i = 20; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    unit /= 10;
    fraction += unit * (text[i] - '0');
  }
  const auto days = c::sys_days(date).time_since_epoch().count();
  return 86400.0 * static_cast<double>(days) + 3600.0 * hour + 60.0 * minute +
         second + fraction;
}

}  // namespace

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const WorkloadOptions& w : All()) names.push_back(w.name);
  return names;
}

Result<WorkloadOptions> NamedWorkload(std::string_view name) {
  for (WorkloadOptions& w : All()) {
    if (w.name == name) return std::move(w);
  }
  return Error{ErrorCode::kNotFound,
               "there is no workload '" + std::string(name) + "'" +
                   DidYouMean(name, WorkloadNames()),
               "workload"};
}

Result<std::vector<WorkloadOptions::TraceLine>> ParseTrace(
    std::string_view csv) {
  std::vector<WorkloadOptions::TraceLine> lines;
  double first = 0, last = 0;
  for (int number = 1; !csv.empty(); ++number) {
    const size_t end = std::min(csv.find('\n'), csv.size());
    std::string_view line = csv.substr(0, end);
    csv.remove_prefix(std::min(end + 1, csv.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1 || line.empty()) continue;  // the head
    const size_t a = line.find(','), b = line.rfind(',');
    WorkloadOptions::TraceLine out;
    if (a == std::string_view::npos || a == b ||
        !Number(line.substr(a + 1, b - a - 1), &out.prompt) ||
        !Number(line.substr(b + 1), &out.output)) {
      return BadLine(number, "not TIMESTAMP,ContextTokens,GeneratedTokens");
    }
    const double when = SecondsOf(line.substr(0, a));
    if (when < 0) return BadLine(number, "no time such as 2023-11-16 18:17:03");
    if (lines.empty()) first = last = when;
    if (when < last) return BadLine(number, "earlier than the line before it");
    last = when;
    out.seconds = when - first;
    lines.push_back(out);
  }
  if (lines.empty()) return BadLine(1, "the trace is empty");
  return lines;
}

namespace {

void Spell(core::Label intent, SimRequest* r) {
  r->chat = false;
  r->prompt_tokens = r->Prompt();
  r->max_tokens = r->output_lengths[0];
  for (int i = 0; i < r->output_lengths[0]; ++i) {
    r->sampling.forced.push_back(r->TokenAt(r->prompt_length + i));
  }
  r->sampling.temperature = 0;
  r->hints.intent = intent;
}

}  // namespace

Workload::Workload(const WorkloadOptions& options) : options_(options) {
  CHECK(!options_.kinds.empty() || !options_.trace.empty() ||
        !options_.recorded.empty());
  CHECK(options_.divide >= 1 && options_.speed > 0);
  for (const Kind& kind : options_.kinds) shares_ += kind.share;
}

double Workload::Random() { return RandomUnit(options_.seed, 1, draws_++); }

uint64_t Workload::NewText() const {
  return RandomBits(options_.seed, 2 + (options_.texts << 8),
                    static_cast<uint64_t>(made_));
}

int Workload::Divided(double tokens) const {
  return std::max(1, static_cast<int>(std::lround(tokens / options_.divide)));
}

int Workload::Draw(const Lengths& lengths) {
  // Box and Muller's normal number.
  const double normal = std::sqrt(-2 * std::log(1 - Random())) *
                        std::cos(2 * std::numbers::pi * Random());
  const double tokens = lengths.median * std::exp(lengths.spread * normal);
  return Divided(std::clamp(tokens, static_cast<double>(lengths.least),
                            static_cast<double>(lengths.most)));
}

std::optional<Time> Workload::NextTime() {
  if (options_.clients > 0) return std::nullopt;
  if (options_.rate > 0 && !options_.arrivals.empty()) {
    return Time() + FromSeconds(Bunched(made_));
  }
  if (options_.rate > 0) seconds_ += -std::log(1 - Random()) / options_.rate;
  return Time() + FromSeconds(seconds_);
}

// The other trace's times, so much faster that their mean rate is the one asked
// for; past its end it begins anew.
double Workload::Bunched(int request) const {
  const auto& times = options_.arrivals;
  const double count = static_cast<double>(times.size());
  const double length = (times.back() - times.front()) * count /
                        std::max(1.0, count - 1);  // with a gap behind it
  const auto at = static_cast<size_t>(request);
  const double seconds = static_cast<double>(at / times.size()) * length +
                         times[at % times.size()] - times.front();
  return length > 0 ? seconds * count / (length * options_.rate)
                    : request / options_.rate;
}

std::optional<Arrival> Workload::Next() {
  if (made_ >= options_.requests) return std::nullopt;
  Arrival out;
  if (!options_.recorded.empty()) {
    out = FromRecorded();
  } else if (options_.trace.empty()) {
    out = FromKinds();
  } else {
    // Past its end the trace begins anew.
    const auto& trace = options_.trace;
    const size_t round = static_cast<size_t>(made_) / trace.size();
    const auto& line = trace[static_cast<size_t>(made_) % trace.size()];
    out = FromTrace(line);
    if (options_.rate <= 0) {
      seconds_ = (static_cast<double>(round) * (trace.back().seconds + 1) +
                  line.seconds) /
                 options_.speed;
    }
  }
  out.when = NextTime();
  out.request->id = "sim-" + std::to_string(made_++);
  out.request->model = options_.variant.empty() ? "auto" : options_.variant;
  out.request->token_least = options_.token_least;
  out.request->token_count = options_.token_count;
  out.request->sampling.seed = options_.seed;
  out.request->hints.strategy = options_.strategy;
  if (options_.spelled) Spell(out.intent, out.request.get());
  return out;
}

Arrival Workload::FromTrace(const WorkloadOptions::TraceLine& line) {
  Arrival out;
  out.intent = options_.trace_intent;
  out.request = std::make_shared<SimRequest>();
  out.request->conversation = NewText();
  out.request->prompt_length = Divided(line.prompt);
  out.request->output_lengths = {Divided(line.output)};
  return out;
}

Arrival Workload::FromRecorded() {
  const auto& texts = options_.recorded;
  const auto& text =
      texts[static_cast<size_t>(Random() * static_cast<double>(texts.size()))];
  Arrival out;
  out.intent = text.intent;
  out.request = std::make_shared<SimRequest>();
  out.request->conversation = NewText();
  out.request->recorded = text.tokens;
  out.request->prompt_length = text.prompt;
  out.request->output_lengths = {static_cast<int>(text.tokens.size()) -
                                 text.prompt};
  return out;
}

Arrival Workload::FromKinds() {
  double at = Random() * shares_;
  size_t k = 0;
  while (k + 1 < options_.kinds.size() && at >= options_.kinds[k].share) {
    at -= options_.kinds[k++].share;
  }
  const Kind& kind = options_.kinds[k];
  Conversation talk;
  const bool goes_on = Random() < kind.next_turn && !recent_.empty();
  if (goes_on) {
    const auto i =
        static_cast<size_t>(Random() * static_cast<double>(recent_.size()));
    talk = recent_[i];
    recent_.erase(recent_.begin() + static_cast<ptrdiff_t>(i));
  } else {
    talk.id = NewText();
    talk.kind = k;
    talk.tokens = kind.shared_tokens == 0 ? 0 : Divided(kind.shared_tokens);
  }
  const Kind& of = options_.kinds[talk.kind];
  Arrival out;
  out.intent = of.intent;
  out.request = std::make_shared<SimRequest>();
  SimRequest& r = *out.request;
  r.conversation = talk.id;
  r.shared = RandomBits(options_.seed, 3, talk.kind);
  r.shared_tokens = of.shared_tokens == 0 ? 0 : Divided(of.shared_tokens);
  r.copied = of.copied;
  r.prompt_length = talk.tokens + Draw(of.prompt);
  r.turn = talk.turns;
  const int output = Draw(of.output);
  r.output_lengths = {output};
  if (Random() < of.cancelled) {
    out.cancel_after = 1 + static_cast<int>(Random() * output);
  }
  talk.tokens = r.prompt_length + output;
  ++talk.turns;
  // Longer ones end: they would not fit most contexts.
  if (talk.tokens < Divided(of.prompt.most)) recent_.push_back(talk);
  if (recent_.size() > kRecent) recent_.erase(recent_.begin());
  return out;
}

}  // namespace aio::sim
