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

// Until the clock and what comes by it agree.
constexpr int kRounds = 6;

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

// A chunk of a prompt, alone.
double ChunkSeconds(const StepCost& steps, bool coarse, int begin, int count) {
  StepSize size = {.columns = count};
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
      if (load.prompt_tokens == 0) ++decoding_;
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
                     std::min(n + model_.arrivals_per_second * Stay(middle),
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

  // Device seconds of our prompt; of the model's time until it begins, and
  // until the first token; and of its last step.
  struct Prompt {
    double more = 0, begins = 0, ends = 0, last = 0;
    double slowest = 0;  // until the first token with as many others or fewer
  };
  // On columns that steps of decoding leave free as long as there are such
  // steps, then alone.
  Prompt Prefill() const {
    const int tokens = ask_.new_tokens;
    const int ahead = TokensAhead();
    const double alone =
        PrefillSeconds(model_, ask_.coarse, ask_.cached_tokens, tokens);
    const double before = PrefillSeconds(model_, ask_.coarse, 0, ahead);
    Prompt prompt = {alone, before, before + alone, LastChunk(),
                     before + alone};
    for (int n = 1; n <= decoding_; ++n) {
      const Ride ours = Riding(n, ahead + tokens, alone + before);
      prompt.slowest = std::max(prompt.slowest, ours.with);
      if (n < decoding_) continue;
      prompt.ends = ours.with;
      const Ride theirs = ahead > 0 ? Riding(n, ahead, before) : Ride();
      prompt.begins = theirs.with;
      prompt.more = ours.more - theirs.more;
      prompt.last = ours.last;
    }
    return prompt;
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
  // Prompts beside sequences that decode: what they cost more, how long they
  // take, and the last step of that.
  struct Ride {
    double more = 0, with = 0, last = 0;
  };
  // `tokens` that would take `alone` if nobody decoded.
  Ride Riding(int decoding, int tokens, double alone) const {
    // As the scheduler: it goes by the cheaper columns where there are such.
    const StepTable& widths =
        model_.steps->coarse ? *model_.steps->coarse : model_.steps->table;
    const int free =
        ColumnsWithPrompts(widths, model_.slowdown_max, decoding) - decoding;
    const double empty = StepWith(decoding, 0);
    const double full = StepWith(decoding, free);
    const double steps = static_cast<double>(tokens) / free;
    if (left_.front() < steps) {
      const double rest = 1 - left_.front() / steps;
      return {left_.front() * (full - empty) + rest * alone,
              left_.front() * full + rest * alone, std::min(alone, full)};
    }
    const double whole = std::floor(steps);
    Ride ride = {whole * (full - empty), whole * full, full};
    if (const int part = tokens % free; part > 0) {
      ride.last = StepWith(decoding, part);
      ride.more += ride.last - empty;
      ride.with += ride.last;
    }
    return ride;
  }
  // A step of `decoding` sequences and `chunk` columns of prompts.
  double StepWith(int decoding, int chunk) const {
    StepSize size = {.columns = decoding + chunk};
    size.coarse = coarse_ && ask_.coarse;
    size.context_tokens = static_cast<int64_t>(context_);
    if (chunk > 0) {
      size.Add(ask_.cached_tokens + (ask_.new_tokens - chunk) / 2, chunk);
    }
    return model_.steps->Seconds(size);
  }
  double LastChunk() const {
    const int most = std::max(1, model_.columns_max);
    const int count = (ask_.new_tokens - 1) % most + 1;
    return ChunkSeconds(*model_.steps, ask_.coarse,
                        ask_.cached_tokens + ask_.new_tokens - count, count);
  }
  // Tokens of other prompts that are computed before ours is: of the oldest as
  // many as of the others, and all of those that are shorter
  // (sched::Scheduler::ChoosePrefill).
  int TokensAhead() const {
    const Load* oldest = nullptr;
    int shorter = 0;
    for (const Load& load : model_.loads) {
      if (load.prompt_tokens == 0) continue;
      if (oldest == nullptr) {
        oldest = &load;
      } else if (load.prompt_tokens <= ask_.new_tokens) {
        shorter += load.prompt_tokens;
      }
    }
    if (oldest == nullptr) return 0;
    return shorter + std::min(oldest->prompt_tokens, ask_.new_tokens + shorter);
  }
  // Newcomers go, too: those who came within a life are here.
  double Stay(double seconds) const {
    return model_.life_seconds > 0 ? std::min(seconds, model_.life_seconds)
                                   : seconds;
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
  double weight = 1, arrivals = 0, life = 0;  // of ModelLoad
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
  now.weight = model.turn_weight;
  now.arrivals = model.arrivals_per_second;
  now.life = model.life_seconds;
  return now;
}

// Seconds of the first `seconds` in which somebody is there who has come since:
// arrivals are Poisson, and stay for a life.
double WithNewcomers(const Now& model, double seconds) {
  if (model.arrivals <= 0 || model.life <= 0) return 0;
  const double coming = std::min(seconds, model.life);
  const double nobody = std::exp(-model.arrivals * coming);
  return coming - (1 - nobody) / model.arrivals +
         (seconds - coming) * (1 - nobody);
}

// What another model, which gets `theirs` for a second of ours while it has
// work, takes of the device while we take `seconds`: for what there is, and
// then for what has come meanwhile. That comes by the clock, which goes on
// during their turns.
double TakenBy(const Now& other, double theirs, double seconds) {
  const double beside = std::min(seconds, other.work / theirs);
  const double rest = seconds - beside;
  if (rest <= 0) return theirs * beside;
  const double begun = beside * (1 + theirs);
  double clock = rest, with = 0;  // of `rest`, that somebody is there
  for (int i = 0; i < kRounds; ++i) {
    const double there =
        WithNewcomers(other, begun + clock) - WithNewcomers(other, begun);
    with = rest * there / (there + (clock - there) * (1 + theirs));
    clock = rest + with * theirs;
  }
  return theirs * (beside + with);
}

// What our `seconds` become on a device that other models share.
double Shared(std::span<const Now> device, size_t ours, double seconds) {
  double shared = seconds;
  for (size_t u = 0; u < device.size(); ++u) {
    if (u == ours) continue;
    shared +=
        TakenBy(device[u], device[u].weight / device[ours].weight, seconds);
  }
  return shared;
}

// Until a step of ours may begin. Where nobody can tell: until what is under
// way has ended, half of it on average, a step of our model and a turn of each
// other one.
double UntilFree(std::span<const ModelLoad> device, std::span<const Now> now,
                 size_t ours) {
  if (device[ours].step_in_seconds >= 0) return device[ours].step_in_seconds;
  double seconds = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    seconds += u == ours ? now[u].step
                         : std::min(now[u].step, device[u].slice_seconds);
  }
  return 0.5 * seconds;
}

// The same for a prompt, whose steps but the last take `seconds`: it is over
// soon, so turns count one by one. Others have none after the last step, and
// none as long as they have had more than we.
double PromptShared(std::span<const ModelLoad> device, std::span<const Now> now,
                    size_t ours, double seconds) {
  const ModelLoad& model = device[ours];
  if (model.step_in_seconds < 0) return Shared(now, ours, seconds);
  if (seconds <= 0 || seconds < model.run_seconds) return seconds;
  double shared = seconds;
  for (size_t u = 0; u < device.size(); ++u) {
    if (u == ours || now[u].work <= 0) continue;
    const double turn = std::min(now[u].step, device[u].slice_seconds);
    if (turn <= 0) continue;
    const double between = turn * model.turn_weight / now[u].weight;  // of ours
    const double turns =
        std::floor((seconds - model.run_seconds) / between) + 1;
    shared += std::min(turns * turn, now[u].work);
  }
  return shared;
}

// For each other request of the device, the steps it has in common with us; its
// steps counted in ours.
double StepsShared(std::span<const ModelLoad> device, std::span<const Now> now,
                   size_t ours, double steps, double step_with) {
  double sum = 0;
  for (size_t u = 0; u < device.size(); ++u) {
    const double ours_per_step =
        u != ours && step_with > 0
            ? now[u].step / step_with * now[ours].weight / now[u].weight
            : 1;
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
    seconds += ChunkSeconds(*model.steps, coarse, cached + done, count);
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
  size_t others = 0;  // requests on the device
  double slower = 1;  // as long as all models at work are
  for (const ModelLoad& m : device) {
    now.push_back(NowOf(m));
    others += m.loads.size();
    if (&m == &model || m.loads.empty()) continue;
    slower += m.turn_weight / model.turn_weight;
  }
  // How long we are here decides who comes meanwhile.
  const double steps = std::max(1.0, price.steps);
  const Batch::Life life =
      batch.Over(steps, slower * batch.Over(steps, 0).with);
  price.step = life.more;
  const double wait = life.with * batch.StepsToWait();
  const double begun = wait + prompt.ends;
  const double free = UntilFree(device, now, ask.model);
  price.queue = free + Shared(now, ask.model, wait + prompt.begins);
  const double last = std::min(prompt.last, model.slice_seconds);
  price.ttft = free + last + PromptShared(device, now, ask.model, begun - last);
  const double steps_own = price.steps * life.with;
  // Turns are counted whole for the first token.
  const double all = std::max(price.ttft + steps_own,
                              free + Shared(now, ask.model, begun + steps_own));
  if (price.steps > 0) price.step_own = (all - price.ttft) / price.steps;
  const double slowest =
      free + Shared(now, ask.model, wait + prompt.slowest + steps_own);
  price.stairs = std::max(0.0, slowest - price.own());
  price.token = price.step_own / ask.tokens_per_step;
  price.others =
      price.prefill * static_cast<double>(others) +
      price.step * StepsShared(device, now, ask.model, price.steps, life.with);
  return price;
}

}  // namespace aio::cost
