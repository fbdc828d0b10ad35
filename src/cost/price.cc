// SPDX-License-Identifier: Apache-2.0
#include "cost/price.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/check.h"
#include "cost/prompt_columns.h"

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
    for (size_t i = 0; i < std::min(most, model.loads.size()); ++i) {
      const Load& load = model.loads[i];
      left_.push_back(load.tokens_left);
      context_ += load.context_tokens;
      if (load.prefill_seconds == 0) ++decoding_;
      coarse_ = coarse_ && load.coarse;
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
        // Newcomers find no more places than there are.
        const double mates =
            std::max(static_cast<double>(n),
                     std::min(n + model_.arrivals_per_second * middle,
                              model_.sequences_max - 1.0));
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

  // Steps until there is a place for us.
  double StepsToWait() const {
    const auto most = static_cast<size_t>(std::max(1, model_.sequences_max));
    if (model_.loads.size() < most) return 0;
    const size_t before = model_.loads.size() - most;  // they wait too
    if (before < left_.size()) return left_[left_.size() - 1 - before];
    return left_.front() * (1 + static_cast<double>(before) /
                                    static_cast<double>(left_.size()));
  }

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
      const int columns = ColumnsWithPrompts(table, model_.slowdown_max, n);
      const double step = table.Seconds(columns, 0);
      ride.with = std::max(ride.with, step / (columns - n));
      if (n < decoding_) continue;
      ride.step = step;
      ride.more = (step - table.Seconds(n, 0)) / (columns - n);
    }
    return ride;
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
    // One that reads 8 bits makes all of the step do.
    const double without =
        DecodeSeconds(*model_.steps, coarse_, mates, context_);
    const double with = DecodeSeconds(*model_.steps, coarse_ && ask_.coarse,
                                      mates + 1, context_ + own_context_);
    return {with - without, with};
  }

  const ModelLoad& model_;
  const Ask& ask_;
  std::vector<double> left_;  // tokens, most first, of those that run
  double context_ = 0, own_context_ = 0;
  int decoding_ = 0;
  bool coarse_ = true;  // all who run read 4 bits
};

// What a model of the device has to do without us.
struct Now {
  double step = 0;     // one as it is now; 0: none
  double backlog = 0;  // prompts
  double work = 0;     // prompts, and steps until the last answer has ended
};

Now NowOf(const ModelLoad& model) {
  const size_t running =
      std::min(model.loads.size(),
               static_cast<size_t>(std::max(1, model.sequences_max)));
  Now now;
  double context = 0, longest = 0;
  bool coarse = true;
  for (size_t i = 0; i < model.loads.size(); ++i) {
    const Load& load = model.loads[i];
    now.backlog += load.prefill_seconds;
    if (i >= running) continue;
    context += load.context_tokens;
    coarse = coarse && load.coarse;
    longest = std::max(longest, load.tokens_left);
  }
  now.step = DecodeSeconds(*model.steps, coarse, static_cast<double>(running),
                           context);
  now.work = now.backlog + longest * now.step;
  return now;
}

// What our `seconds` become on a device that other models share evenly as long
// as they have work.
double Shared(std::span<const Now> device, size_t ours, double seconds) {
  double shared = seconds;
  for (size_t u = 0; u < device.size(); ++u) {
    if (u != ours) shared += std::min(seconds, device[u].work);
  }
  return shared;
}

// Until what is under way has ended, half of it on average: a step of our
// model, a turn of each other one.
double UntilFree(std::span<const ModelLoad> device, std::span<const Now> now,
                 size_t ours) {
  double seconds = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    seconds += u == ours ? now[u].step
                         : std::min(now[u].step, device[u].slice_seconds);
  }
  return 0.5 * seconds;
}

// For each other request of the device, the steps it has in common with us; its
// steps counted in ours.
double StepsShared(std::span<const ModelLoad> device, std::span<const Now> now,
                   size_t ours, double steps, double step_with) {
  double sum = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    const double ours_per_step =
        u != ours && step_with > 0 ? now[u].step / step_with : 1;
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
  std::vector<Now> now;
  size_t models = 1, others = 0;  // at work, ours among them; requests on them
  for (const ModelLoad& m : device) {
    now.push_back(NowOf(m));
    others += m.loads.size();
    if (&m != &model && !m.loads.empty()) ++models;
  }
  // How long we are here decides who comes meanwhile.
  const double steps = std::max(1.0, price.steps);
  const double between =
      static_cast<double>(models) * batch.Over(steps, 0).with;
  const Batch::Life life = batch.Over(steps, between);
  price.step = life.more;
  const double wait = now[ask.model].backlog + life.with * batch.StepsToWait();
  const double begun = wait + prompt.with;
  const double free = UntilFree(device, now, ask.model);
  price.queue = free + Shared(now, ask.model, wait);
  price.ttft = free + Shared(now, ask.model, begun);
  const double all =
      free + Shared(now, ask.model, begun + price.steps * life.with);
  if (price.steps > 0) price.step_own = (all - price.ttft) / price.steps;
  price.token = price.step_own / ask.tokens_per_step;
  price.others =
      price.prefill * static_cast<double>(others) +
      price.step * StepsShared(device, now, ask.model, price.steps, life.with);
  return price;
}

}  // namespace aio::cost
