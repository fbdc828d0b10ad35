// SPDX-License-Identifier: Apache-2.0
#include "sim/clients.h"

#include <algorithm>
#include <utility>

namespace aio::sim {
namespace {

constexpr Duration kBackOff = std::chrono::seconds(1);
constexpr int kProgressEvery = 512;

}  // namespace

// Streams an answer, and gives up where it is to.
class Clients::Client : public core::Sink,
                        public std::enable_shared_from_this<Client> {
 public:
  Client(Clients* clients, std::string id, Asked asked)
      : clients_(*clients), id_(std::move(id)), asked_(std::move(asked)) {}

  void OnStart(const core::Served& served) override {
    Do([variant = served.variant](Client* c) { c->asked_.variant = variant; });
  }
  void OnDelta(core::Delta) override {
    const Time now = clients_.executor_->Now();
    Do([now](Client* c) { c->Token(now); });
  }
  void OnDone(Result<core::Done> done) override {
    Do([done = std::move(done)](Client* c) {
      c->clients_.Ended(c->id_, c->asked_, done);
    });
  }

 private:
  template <typename Work>
  void Do(Work work) {
    if (!clients_.options_.threads) return work(this);
    clients_.executor_->Post([self = shared_from_this(),
                              work = std::move(work)] { work(self.get()); });
  }
  void Token(Time now) {
    asked_.last = now;
    if (!asked_.first) asked_.first = now;
    if (++asked_.tokens == asked_.cancel_after) {
      asked_.gave_up = true;
      clients_.orchestrator_->Cancel(id_);
    }
  }

  Clients& clients_;
  const std::string id_;
  Asked asked_;
};

Clients::Clients(Options options, Executor* executor,
                 orchestrator::Orchestrator* orchestrator)
    : options_(std::move(options)),
      workload_(options_.workload),
      executor_(executor),
      orchestrator_(orchestrator) {
  for (const std::string& name : options_.variants) {
    tallies_[name].row.name = name;
  }
  tallies_[""].row.name = "all";
}

void Clients::Start(std::function<void()> done) {
  done_ = std::move(done);
  begin_ = last_ = executor_->Now();
  const int at_once = std::max(1, options_.workload.clients);
  for (int i = 0; i < at_once; ++i) AskNext();
}

// Those who find no request left may come when nobody is here any more.
void Clients::Later(Time when, std::function<void()> work) {
  executor_->PostAt(when,
                    [work = std::move(work), alive = std::weak_ptr(alive_)] {
                      if (!alive.expired()) work();
                    });
}

// The next arrival of the workload; of clients that wait for their answers, one
// that is free.
void Clients::AskNext() {
  auto arrival = workload_.Next();
  if (!arrival) return;
  if (!arrival->when) return Ask(*std::move(arrival));
  const Time when = begin_ + (*arrival->when - Time());
  Later(when, [this, arrival = *std::move(arrival)] {
    AskNext();
    Ask(arrival);
  });
}

void Clients::Ask(Arrival arrival) {
  Asked asked;
  asked.intent = arrival.intent;
  asked.cancel_after = arrival.cancel_after;
  asked.at = executor_->Now();
  const std::string& id = arrival.request->id;
  intents_[id] = arrival.intent;
  orchestrator_->Handle(arrival.request,
                        std::make_shared<Client>(this, id, std::move(asked)));
}

void Clients::Ended(const std::string& id, const Asked& asked,
                    const Result<core::Done>& done) {
  intents_.erase(id);
  Count(&tallies_.at(""), asked, done);
  if (!asked.variant.empty()) {
    Count(&tallies_.at(asked.variant), asked, done);
  }
  last_ = std::max(last_, executor_->Now());
  const bool all = ++ended_ == options_.workload.requests;
  if (options_.progress && (all || ended_ % kProgressEvery == 0)) {
    options_.progress(ended_);
  }
  if (all) return done_();
  if (options_.workload.clients == 0) return;
  // Who is turned away tries again later.
  const bool away = !done && done.error().code == ErrorCode::kOverloaded;
  Later(executor_->Now() + (away ? kBackOff : Duration(0)),
        [this] { AskNext(); });
}

void Clients::Count(Tally* tally, const Asked& asked,
                    const Result<core::Done>& done) const {
  ReportRow& row = tally->row;
  ++row.requests;
  // A delta may be more than one token, and a token no delta.
  const int tokens = done ? done->usage.completion_tokens : asked.tokens;
  row.output_tokens += tokens;
  if (asked.first) {
    tally->ttft.push_back(Seconds(*asked.first - asked.at));
    if (done && tokens > 1) {
      tally->tpot.push_back(Seconds(asked.last - *asked.first) / (tokens - 1));
    }
  }
  if (!done) {
    const bool full = done.error().code == ErrorCode::kOverloaded;
    ++(asked.gave_up ? row.cancelled : full ? row.rejected : row.failed);
    return;
  }
  ++row.finished;
  row.prompt_tokens += done->usage.prompt_tokens;
  row.cached_tokens += done->usage.cached_tokens;
  row.drafted_tokens += done->usage.drafted_tokens;
  row.accepted_tokens += done->usage.accepted_tokens;
  tally->total.push_back(Seconds(asked.last - asked.at));
  const auto known = options_.quality.find(asked.variant);
  if (known == options_.quality.end()) return;
  const auto& quality = known->second[static_cast<size_t>(asked.intent)];
  if (!quality) return;
  tally->quality[static_cast<size_t>(asked.intent)] += quality->value;
  ++tally->judged[static_cast<size_t>(asked.intent)];
}

double Clients::seconds() const { return Seconds(last_ - begin_); }

ReportRow Clients::RowOf(const Tally& tally, int64_t requests) const {
  ReportRow row = tally.row;
  row.ttft = SpreadOf(tally.ttft);
  row.tpot = SpreadOf(tally.tpot);
  row.total = SpreadOf(tally.total);
  if (seconds() > 0) {
    row.tokens_per_second = static_cast<double>(row.output_tokens) / seconds();
  }
  double quality = 0, judged = 0;
  for (size_t i = 0; i < core::kLabels; ++i) {
    if (tally.judged[i] == 0) continue;
    const auto count = static_cast<double>(tally.judged[i]);
    row.quality_of[i] = tally.quality[i] / count;
    quality += tally.quality[i];
    judged += count;
  }
  if (judged > 0) row.quality = quality / judged;
  if (requests > 0) {
    row.share =
        static_cast<double>(row.requests) / static_cast<double>(requests);
  }
  return row;
}

std::vector<ReportRow> Clients::Rows() const {
  const Tally& all = tallies_.at("");
  std::vector<ReportRow> rows;
  for (const std::string& name : options_.variants) {
    rows.push_back(RowOf(tallies_.at(name), all.row.requests));
  }
  rows.push_back(RowOf(all, all.row.requests));
  return rows;
}

}  // namespace aio::sim
