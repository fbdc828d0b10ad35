// SPDX-License-Identifier: Apache-2.0
#include "cost/price.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.h"

namespace aio::cost {
namespace {

// A step of `n` sequences that decode; between whole numbers on a line. None:
// no step.
double DecodeSeconds(const StepCost& steps, bool coarse, double n,
                     double context) {
  const auto whole = static_cast<int>(n);
  const auto at = [&](int columns) {
    if (columns == 0) return 0.0;
    StepSize size = {.columns = columns};
    size.context_tokens = static_cast<int64_t>(context);
    size.coarse = coarse;
    return steps.Seconds(size);
  };
  const double low = at(whole);
  return n == whole ? low : low + (n - whole) * (at(whole + 1) - low);
}

// A chunk of a prompt beside `decoding` sequences.
double ChunkSeconds(const StepCost& steps, bool coarse, int begin, int count,
                    int decoding) {
  StepSize size = {.columns = count + decoding};
  size.coarse = coarse;
  size.Add(begin, count);
  return steps.Seconds(size);
}

// One model seen by one request.
class Batch {
 public:
  Batch(const ModelLoad& model, const Ask& ask) : model_(model), ask_(ask) {
    const auto most = static_cast<size_t>(std::max(1, model.sequences_max));
    for (size_t i = 0; i < model.loads.size(); ++i) {
      const Load& load = model.loads[i];
      backlog_ += load.prefill_seconds;
      if (i >= most) continue;
      left_.push_back(load.tokens_left);
      context_ += load.context_tokens;
      if (load.prefill_seconds == 0) ++decoding_;
    }
    std::ranges::sort(left_, std::greater());
    own_context_ = ask.cached_tokens + ask.new_tokens + 0.5 * ask.output_tokens;
  }

  // Averages over our `steps`, given `seconds` between two of them: what a step
  // costs more for us, and what it takes with us.
  struct Life {
    double more = 0, with = 0;
  };
  Life Over(double steps, double seconds) const {
    Life sum;
    double at = 0;  // steps
    for (size_t n = left_.size();; --n) {
      // Until the one of `n` that ends next has ended.
      const double until =
          n == 0 ? steps : std::min(steps, left_[n - 1] / ask_.tokens_per_step);
      if (until > at) {
        const double middle = 0.5 * (at + until) * seconds;
        const double mates =
            static_cast<double>(n) + model_.arrivals_per_second * middle;
        const Life now = n == 0 ? Alone(steps * seconds) : Among(mates);
        sum.more += (until - at) * now.more;
        sum.with += (until - at) * now.with;
        at = until;
      }
      if (n == 0) break;
    }
    return {sum.more / steps, sum.with / steps};
  }

  // Device seconds of our prompt, and how long it takes: on columns that steps
  // of decoding leave free as long as there are such steps, then alone.
  struct Prompt {
    double more = 0, with = 0;
  };
  Prompt Prefill() const {
    const double alone = PrefillSeconds(model_, ask_.coarse, ask_.cached_tokens,
                                        ask_.new_tokens);
    if (decoding_ == 0) return {alone, alone};
    const double tokens = ask_.new_tokens;
    const Ride ride = Riding();
    // A column alone is never slower.
    const double rate = std::max(ride.with, alone / tokens);
    const double most = left_.front() * ride.step;
    const double riding = std::min(tokens * rate, most);
    const double rest = 1 - riding / (tokens * rate);
    return {riding / rate * ride.more + rest * alone, riding + rest * alone};
  }

  // Of all prompts before ours.
  double backlog() const { return backlog_; }
  // Steps until there is a place for us.
  double StepsToWait() const {
    const auto most = static_cast<size_t>(std::max(1, model_.sequences_max));
    if (model_.loads.size() < most) return 0;
    const size_t before = model_.loads.size() - most;  // they wait too
    if (before < left_.size()) return left_[left_.size() - 1 - before];
    return left_.front() * (1 + static_cast<double>(before) /
                                    static_cast<double>(left_.size()));
  }
  // A step as it is now, and how many of those are left.
  double StepNow() const {
    return DecodeSeconds(*model_.steps, false,
                         static_cast<double>(left_.size()), context_);
  }
  double StepsLeft() const { return left_.empty() ? 0 : left_.front(); }

 private:
  // Of prompts beside those that decode now: what a column costs more, how long
  // it takes, and such a step.
  struct Ride {
    double more = 0, with = 0, step = 0;
  };
  // How many columns ride is a staircase: at an edge, more decoding may make a
  // prompt quicker. Nobody may count on it: the slowest of so many or fewer.
  Ride Riding() const {
    const StepTable& table = ask_.coarse && model_.steps->coarse
                                 ? *model_.steps->coarse
                                 : model_.steps->table;
    Ride ride;
    for (int n = 1; n <= decoding_; ++n) {
      const int columns = ColumnsWith(table, n);
      const double step = table.Seconds(columns, 0);
      ride.with = std::max(ride.with, step / (columns - n));
      if (n < decoding_) continue;
      ride.step = step;
      ride.more = (step - table.Seconds(n, 0)) / (columns - n);
    }
    return ride;
  }
  // As the scheduler plans them (sched/scheduler.cc).
  int ColumnsWith(const StepTable& table, int decoding) const {
    const int least = (decoding + 4 + 7) / 8 * 8;
    return std::max(least, table.ColumnsWithin(model_.slowdown_max, decoding));
  }
  // Who wakes a model pays its step, shared by those expected to join
  // meanwhile.
  Life Alone(double life) const {
    const double step =
        DecodeSeconds(*model_.steps, ask_.coarse, 1, own_context_);
    const double joiners = 0.5 * model_.arrivals_per_second * life;
    const double share =
        joiners < 1e-6 ? 1 : (1 - std::exp(-joiners)) / joiners;
    return {step * share, step};
  }
  Life Among(double mates) const {
    const double without =
        DecodeSeconds(*model_.steps, ask_.coarse, mates, context_);
    const double with = DecodeSeconds(*model_.steps, ask_.coarse, mates + 1,
                                      context_ + own_context_);
    return {with - without, with};
  }

  const ModelLoad& model_;
  const Ask& ask_;
  std::vector<double> left_;  // tokens, most first, of those that run
  double context_ = 0, own_context_ = 0, backlog_ = 0;
  int decoding_ = 0;
};

// What our `seconds` become on a device that other models share evenly as long
// as they have work.
double Shared(std::span<const ModelLoad> device, const Ask& ask,
              double seconds) {
  double shared = seconds;
  for (size_t u = 0; u < device.size(); ++u) {
    if (u == ask.model || device[u].loads.empty()) continue;
    const Batch other(device[u], {.model = u});
    shared += std::min(seconds,
                       other.backlog() + other.StepsLeft() * other.StepNow());
  }
  return shared;
}

// Until what is under way has ended, half of it on average: a step of our
// model, a turn of each other one.
double UntilFree(std::span<const ModelLoad> device, const Ask& ask) {
  double seconds = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    if (device[u].loads.empty()) continue;
    const double step = Batch(device[u], {.model = u}).StepNow();
    seconds += u == ask.model ? step : std::min(step, device[u].slice_seconds);
  }
  return 0.5 * seconds;
}

// For each other request of the device, the steps it has in common with us; its
// steps counted in ours.
double StepsShared(std::span<const ModelLoad> device, const Ask& ask,
                   double steps, double step_with) {
  double sum = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    double ours_per_step = 1;
    if (u != ask.model && !device[u].loads.empty()) {
      const Batch other(device[u], {.model = u});
      ours_per_step = step_with > 0 ? other.StepNow() / step_with : 1;
    }
    for (const Load& load : device[u].loads) {
      sum += std::min(steps, load.tokens_left * ours_per_step);
    }
  }
  return sum;
}

}  // namespace

double PrefillSeconds(const ModelLoad& model, bool coarse, int cached,
                      int tokens) {
  double seconds = 0;
  for (int done = 0; done < tokens;) {
    const int count = std::min(std::max(1, model.columns_max), tokens - done);
    seconds += ChunkSeconds(*model.steps, coarse, cached + done, count, 0);
    done += count;
  }
  return seconds;
}

Price PriceOf(std::span<const ModelLoad> device, const Ask& ask) {
  CHECK(ask.model < device.size());
  const ModelLoad& model = device[ask.model];
  const Batch batch(model, ask);
  Price price;
  // The first token comes with the prompt.
  price.steps = std::max(0.0, ask.output_tokens - 1) / ask.tokens_per_step;
  const Batch::Prompt prompt = batch.Prefill();
  price.prefill = prompt.more;
  // How long we are here decides who comes meanwhile.
  const double steps = std::max(1.0, price.steps);
  double between = batch.Over(steps, 0).with;
  for (const ModelLoad& m : device) {
    if (&m != &model && !m.loads.empty()) between += batch.Over(steps, 0).with;
  }
  const Batch::Life life = batch.Over(steps, between);
  price.step = life.more;
  const double wait = batch.backlog() + life.with * batch.StepsToWait();
  const double free = UntilFree(device, ask);
  price.queue = free + Shared(device, ask, wait);
  price.ttft = free + Shared(device, ask, wait + prompt.with);
  const double all =
      free + Shared(device, ask, wait + prompt.with + price.steps * life.with);
  if (price.steps > 0) price.step_own = (all - price.ttft) / price.steps;
  price.token = price.step_own / ask.tokens_per_step;
  size_t others = 0;
  for (const ModelLoad& m : device) others += m.loads.size();
  price.others = price.prefill * static_cast<double>(others) +
                 price.step * StepsShared(device, ask, price.steps, life.with);
  return price;
}

}  // namespace aio::cost
