// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/guard.h"

#include <fmt/format.h>
#include <prometheus/histogram.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "orchestrator/agreement.h"

namespace aio::orchestrator {
namespace {

// Draws of the orchestrator's seed; 0 and 1 are decisions and sampling seeds.
constexpr uint64_t kSamplingStream = 2, kIdStream = 3;

// Whom a run of the guard answers.
class Nobody final : public core::Sink {
 public:
  void OnStart(const core::Served&) override {}
  void OnDelta(core::Delta) override {}
  void OnDone(Result<core::Done>) override {}
};

size_t PromptBytes(const core::Request& request) {
  size_t bytes =
      request.prompt.size() + request.prompt_tokens.size() * sizeof(int32_t);
  for (const core::Message& m : request.messages) bytes += m.content.size();
  return bytes;
}

bool Smaller(const core::Variant& a, const core::Variant& b) {
  return a.bytes_per_token > 0 && a.bytes_per_token < b.bytes_per_token;
}

// Whether the answer of `variant` was thought about; absent: nobody knows.
std::optional<core::Thinking> ThinkingOf(const Flight& flight,
                                         const core::Variant& variant) {
  const bool cannot = flight.request->chat && !variant.thinking.on;
  if (!flight.thinking && cannot) return core::Thinking::kOff;
  return flight.thinking;
}

// The variant that is named, or the largest; nothing if there is none.
std::optional<size_t> ReferenceOf(const Parts& parts, const std::string& name) {
  std::optional<size_t> best;
  for (size_t i = 0; i < parts.variants.size(); ++i) {
    const core::Variant& v = parts.variants[i];
    if (!name.empty() ? v.name == name
                      : !best || Smaller(parts.variants[*best], v)) {
      best = i;
    }
  }
  return best;
}

}  // namespace

std::shared_ptr<Guard> Guard::Make(const Parts& parts,
                                   const GuardOptions& options) {
  if (options.share <= 0) return nullptr;
  const auto reference = ReferenceOf(parts, options.reference);
  if (!reference) return nullptr;
  const auto& costs = parts.costs.variants;
  if (*reference >= costs.size() || !costs[*reference]) return nullptr;
  const core::Variant& large = parts.variants[*reference];
  const bool any = std::ranges::any_of(
      parts.variants, [&](const auto& v) { return Smaller(v, large); });
  if (!any) return nullptr;
  return std::shared_ptr<Guard>(new Guard(parts, options, *reference));
}

Guard::Guard(const Parts& parts, const GuardOptions& options, size_t reference)
    : executor_(parts.executor),
      metrics_(parts.metrics),
      variants_(parts.variants),
      random_seed_(parts.random_seed),
      options_(options),
      reference_(reference) {}

Guard::~Guard() { CancelRun(); }

// ---- Samples ----------------------------------------------------------------

bool Guard::Wants(const Flight& flight, int variant) const {
  const core::Request& request = *flight.request;
  const int at = flight.OptionOf(static_cast<int>(reference_));
  const Flight::Option& option = flight.options[static_cast<size_t>(at)];
  return flight.pinned < 0 && request.choices == 1 && !option.unfit &&
         Smaller(variants_[static_cast<size_t>(variant)],
                 variants_[reference_]) &&
         RandomUnit(random_seed_, kSamplingStream, flight.number) <
             options_.share;
}

void Guard::Take(const Flight& flight) {
  const core::Request& asked = *flight.request;
  if (!flight.kept->whole || PromptBytes(asked) > kGuardBytesMax) {
    return Count("long");
  }
  if (samples_.size() + (run_ ? 1 : 0) >= kGuardWaitingMax) {
    return Count("full");
  }
  core::Request request = asked;
  // Drawn from the seed, so that no client's id can be it.
  request.id = fmt::format("guard-{:016x}",
                           RandomBits(random_seed_, kIdStream, flight.number));
  request.model = variants_[reference_].name;
  request.hints.variant = request.model;
  request.sampling.temperature = 0;
  request.sampling.logprobs = false;
  request.sampling.top_logprobs = 0;
  request.raw_json.clear();
  Sample sample;
  sample.request = std::make_shared<const core::Request>(std::move(request));
  sample.answer = flight.kept->text;
  sample.thinking =
      ThinkingOf(flight, variants_[static_cast<size_t>(flight.variant)]);
  sample.intent = std::string(flight.intent.BestName());
  if (flight.intent.source != core::IntentSource::kNone) {
    sample.label = flight.intent.Best();
  }
  sample.taken = executor_->Now();
  samples_.push_back(std::move(sample));
}

void Guard::Expire() {
  const Time now = executor_->Now();
  while (!samples_.empty() && now - samples_.front().taken > kGuardAge) {
    samples_.pop_front();
    Count("expired");
  }
  if (run_ && now - run_->sample.taken > kGuardAge) CancelRun();
}

void Guard::Count(const char* outcome) {
  metrics_->Add("aio_guard_samples_total",
                "Answers of smaller variants that were to be compared with the "
                "reference, by what came of it",
                1, {{"outcome", outcome}});
}

// ---- Runs -------------------------------------------------------------------

void Guard::InFlight(size_t flights) {
  flights_ = flights;
  if (flights == 0) return Next();
  CancelRun();
  Watch();
}

void Guard::Next() {
  Expire();
  if (!run_ && !samples_.empty() && Idle()) Begin();
  Watch();
}

// One timer at a time, and none while nothing waits.
void Guard::Watch() {
  if (watching_ || (samples_.empty() && !run_)) return;
  watching_ = true;
  executor_->PostAt(executor_->Now() + kGuardInterval,
                    [weak = weak_from_this()] {
                      const std::shared_ptr<Guard> self = weak.lock();
                      if (!self) return;
                      self->watching_ = false;
                      self->Next();
                    });
}

// A backend of known steps is a device.
bool Guard::Idle() const {
  if (flights_ > 0) return false;
  const core::Variant& reference = variants_[reference_];
  return std::ranges::all_of(variants_, [&](const core::Variant& v) {
    if (v.backend != reference.backend) return true;
    const core::Snapshot view = v.backend->View(v.name);
    return view.running == 0 && view.queued == 0 && view.healthy;
  });
}

void Guard::Begin() {
  ++runs_;
  run_ = Run{std::move(samples_.front()), executor_->Now(), false};
  samples_.pop_front();
  ++run_->sample.tries;
  const auto kept = std::make_shared<Kept>(kGuardBytesMax);
  Attempt::Parts attempt;
  attempt.answer = std::make_shared<Answer>(std::make_shared<Nobody>());
  attempt.executor = executor_;
  attempt.said = std::make_shared<std::atomic<int>>(0);
  attempt.kept = kept;
  attempt.ended = [weak = weak_from_this(), kept](End end) {
    const std::shared_ptr<Guard> self = weak.lock();
    if (!self) return;
    self->executor_->Post([weak, kept, end] {
      if (const auto guard = weak.lock()) guard->Ended(end, *kept);
    });
  };
  core::Plan plan;
  plan.variant = variants_[reference_].name;
  plan.thinking = variants_[reference_].thinking.For(run_->sample.thinking);
  plan.strategy = core::Strategy::kAuto;
  plan.intent = run_->sample.label;
  backend().Start(run_->sample.request, std::move(plan),
                  std::make_shared<Attempt>(std::move(attempt)));
}

void Guard::CancelRun() {
  if (!run_ || run_->cancelled) return;
  run_->cancelled = true;
  backend().Cancel(run_->sample.request->id);
}

void Guard::Ended(const End& end, const Kept& kept) {
  Run run = *std::exchange(run_, std::nullopt);
  Sample& sample = run.sample;
  metrics_->Add("aio_guard_seconds_total",
                "What asking the reference again took, runs that gave way too",
                Seconds(end.last - run.begun));
  if (end.done && kept.whole) {
    Compare(sample, kept.text);
    Count("compared");
  } else if (end.done) {
    Count("long");
  } else if (!run.cancelled) {
    Log(LogLevel::kWarning, "quality guard: the reference failed",
        {{"variant", variants_[reference_].name},
         {"code", std::string(CodeName(end.done.error().code))}});
    Count("failed");
  } else if (end.last - sample.taken > kGuardAge) {
    Count("expired");
  } else if (sample.tries >= kGuardTriesMax) {
    Count("gave_way");
  } else {
    samples_.push_front(std::move(sample));
  }
  Next();
}

// ---- Agreement --------------------------------------------------------------

void Guard::Compare(const Sample& sample, const std::string& answer) {
  const Labels labels = {{"intent", sample.intent}};
  const double agreement = Agreement(sample.answer, answer);
  metrics_
      ->Share("aio_guard_agreement",
              "Words that a smaller variant's answer and the reference's have "
              "in common (F1)",
              labels)
      ->Observe(agreement);
  metrics_->Add("aio_guard_equal_total",
                "Compared answers that were the same bytes",
                sample.answer == answer ? 1 : 0, labels);
  Recent& recent = recent_[sample.intent];
  recent.agreements.push_back(agreement);
  if (recent.agreements.size() > kGuardRecent) recent.agreements.pop_front();
  Alarm(sample.intent, &recent);
}

void Guard::Alarm(const std::string& intent, Recent* recent) {
  const auto& agreements = recent->agreements;
  const double mean =
      std::accumulate(agreements.begin(), agreements.end(), 0.0) /
      static_cast<double>(agreements.size());
  const bool trusted = agreements.size() >= kGuardTrusted;
  const bool alarm = trusted && mean < options_.agreement_min;
  const Labels labels = {{"intent", intent}};
  metrics_->Set("aio_guard_agreement_recent",
                "Mean agreement of the last compared answers", mean, labels);
  metrics_->Set("aio_guard_alarm",
                "1: smaller variants agree with the reference less than "
                "policy.guard_agreement_min",
                alarm, labels);
  if (alarm == std::exchange(recent->alarm, alarm)) return;
  Log(alarm ? LogLevel::kWarning : LogLevel::kInfo,
      alarm ? "quality guard: smaller variants answer differently"
            : "quality guard: smaller variants agree again",
      {{"intent", intent},
       {"agreement", fmt::format("{:.2f}", mean)},
       {"samples", std::to_string(agreements.size())}});
}

}  // namespace aio::orchestrator
