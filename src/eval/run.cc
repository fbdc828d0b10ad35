// SPDX-License-Identifier: Apache-2.0
#include "eval/run.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace aio::eval {
namespace {

// An answer on its way: asked, answered, checked.
struct Item {
  Job job;
  std::optional<Result<Reply>> reply;
  Record record;
};

// Shared with callbacks that may come when the runner has gone.
struct Mailbox {
  Mutex mutex;
  std::condition_variable_any changed;
  std::deque<Item> answered GUARDED_BY(mutex);
  std::deque<Item> to_check GUARDED_BY(mutex);
  std::deque<Item> checked GUARDED_BY(mutex);
  bool stopping GUARDED_BY(mutex) = false;
  bool closing GUARDED_BY(mutex) = false;  // the checkers may go
};

void FillRecord(const Reply& reply, Record* record) {
  record->answer = reply.text;
  record->served = reply.served;
  record->sensed = reply.sensed;
  record->finish = reply.finish;
  record->usage = reply.usage;
  record->begun = reply.begun;
  record->seconds = reply.seconds;
  record->first_seconds = reply.first_seconds;
  record->probe_seconds = reply.probe_seconds;
  record->margin = reply.margin;
}

void FillVerdict(const Result<Verdict>& verdict, Record* record) {
  if (verdict) {
    record->right = verdict->right;
    record->why = verdict->why;
  } else {
    record->error = "checker: " + verdict.error().message;
  }
}

}  // namespace

struct Runner::State {
  Parts parts;
  RunOptions options;
  std::shared_ptr<Mailbox> mail = std::make_shared<Mailbox>();
  std::vector<std::thread> checkers;
  size_t asked = 0;
  int answering = 0;  // requests that have not ended
  int checking = 0;   // answers that wait for or are with a checker
  bool cancelled = false;
  bool full = false;                    // nothing can be recorded any more
  std::optional<Error> error;           // the first that ends the run
  std::map<std::string, int> failures;  // of a contender without an answer
  std::set<std::string> answers;        // contenders that have answered

  void CheckLoop();
  void Ask(const Job& job);
  bool MayAsk(const std::vector<Job>& jobs) const;
  void Answered(Item item);
  void Keep(const Record& record);
  void NoteFailure(const Record& record);
  // Blocks until something has ended; false if it was a call to stop.
  bool Next(Item* item, bool* was_checked);
  void CancelOnce();
};

void Runner::State::CheckLoop() {
  for (;;) {
    Item item;
    {
      MutexLock lock(mail->mutex);
      while (mail->to_check.empty() && !mail->closing) {
        mail->changed.wait(mail->mutex);
      }
      if (mail->to_check.empty()) return;
      item = std::move(mail->to_check.front());
      mail->to_check.pop_front();
    }
    FillVerdict(parts.check(*item.job.task, item.record.answer), &item.record);
    {
      MutexLock lock(mail->mutex);
      mail->checked.push_back(std::move(item));
    }
    mail->changed.notify_all();
  }
}

void Runner::State::Ask(const Job& job) {
  ++answering;
  parts.ask(*job.task, job.contender, [mail = mail, job](Result<Reply> reply) {
    {
      MutexLock lock(mail->mutex);
      mail->answered.push_back({job, std::move(reply), {}});
    }
    mail->changed.notify_all();
  });
}

// Checks that pile up hold answers in memory and would end long after the
// decoding.
bool Runner::State::MayAsk(const std::vector<Job>& jobs) const {
  return !cancelled && asked < jobs.size() && answering < options.parallel &&
         checking <= 4 * options.checkers + options.parallel;
}

void Runner::State::Keep(const Record& record) {
  if (full) return;
  if (Result<void> kept = parts.record(record); !kept) {
    full = true;
    error = std::move(kept).error();
  }
}

void Runner::State::NoteFailure(const Record& record) {
  if (answers.count(record.contender) > 0) return;
  const int count = ++failures[record.contender];
  if (count < options.failures_max || error) return;
  error = Error{ErrorCode::kUnavailable,
                "the first " + std::to_string(count) + " requests to '" +
                    record.contender +
                    "' failed, so no more are sent; the last: " + record.error,
                ""};
}

void Runner::State::Answered(Item item) {
  --answering;
  Record& record = item.record;
  record.task = item.job.task->id;
  record.contender = item.job.contender;
  record.intent = item.job.task->intent;
  record.session = options.session;
  Result<Reply> reply = *std::move(item.reply);
  item.reply.reset();
  if (!reply) {
    // A request that we ended ourselves has no result.
    if (cancelled && reply.error().code == ErrorCode::kCancelled) return;
    record.error = std::string(CodeName(reply.error().code)) + ": " +
                   reply.error().message;
    NoteFailure(record);
    return Keep(record);
  }
  answers.insert(record.contender);
  FillRecord(*reply, &record);
  if (options.checkers == 0) {
    FillVerdict(parts.check(*item.job.task, record.answer), &record);
    return Keep(record);
  }
  ++checking;
  {
    MutexLock lock(mail->mutex);
    mail->to_check.push_back(std::move(item));
  }
  mail->changed.notify_all();
}

bool Runner::State::Next(Item* item, bool* was_checked) {
  MutexLock lock(mail->mutex);
  while (mail->answered.empty() && mail->checked.empty() &&
         (!mail->stopping || cancelled)) {
    mail->changed.wait(mail->mutex);
  }
  if (mail->stopping && !cancelled) return false;
  *was_checked = !mail->checked.empty();
  std::deque<Item>& from = *was_checked ? mail->checked : mail->answered;
  *item = std::move(from.front());
  from.pop_front();
  return true;
}

void Runner::State::CancelOnce() {
  if (std::exchange(cancelled, true)) return;
  parts.cancel();
}

Runner::Runner(Parts parts, RunOptions options)
    : state_(std::make_unique<State>()) {
  state_->parts = std::move(parts);
  state_->options = options;
}

Runner::~Runner() {
  {
    MutexLock lock(state_->mail->mutex);
    state_->mail->closing = true;
  }
  state_->mail->changed.notify_all();
  for (std::thread& checker : state_->checkers) checker.join();
}

Result<void> Runner::Run(const std::vector<Job>& jobs) {
  State& s = *state_;
  for (int i = 0; i < s.options.checkers; ++i) {
    s.checkers.emplace_back([&s] { s.CheckLoop(); });
  }
  for (;;) {
    if (s.error) s.CancelOnce();
    while (s.MayAsk(jobs)) s.Ask(jobs[s.asked++]);
    if (s.answering == 0 && s.checking == 0) break;
    Item item;
    bool was_checked = false;
    if (!s.Next(&item, &was_checked)) {
      s.error = Error{ErrorCode::kCancelled, "stopped", ""};
    } else if (was_checked) {
      --s.checking;
      s.Keep(item.record);
    } else {
      s.Answered(std::move(item));
    }
  }
  if (s.error) return *s.error;
  return {};
}

void Runner::Stop() {
  {
    MutexLock lock(state_->mail->mutex);
    state_->mail->stopping = true;
  }
  state_->mail->changed.notify_all();
}

}  // namespace aio::eval
