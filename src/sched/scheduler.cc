// SPDX-License-Identifier: Apache-2.0
#include "sched/scheduler.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "cost/prompt_columns.h"

namespace aio::sched {
namespace {

using cost::kPrefillColumnsMin;

// Of an answer of which nobody can say anything.
constexpr double kAnswerTokens = 256;

}  // namespace

Claim ClaimOf(const core::Request& request, const core::Plan& plan) {
  double tokens = plan.output_tokens > 0 ? plan.output_tokens : kAnswerTokens;
  if (request.max_tokens) {
    tokens = std::clamp<double>(*request.max_tokens, 0, tokens);
  }
  return {request.tenant, request.weight, tokens};
}

Scheduler::Scheduler(const Options& options)
    : options_(options),
      pool_(options.pages),
      tree_({options.pages, options.page_tokens, options.secret}) {
  CHECK(options.columns_max >= 1 && options.sequences_max >= 1);
  CHECK(options.columns_beside_decode >= 1);
}

Result<void> Scheduler::Add(SequenceId id, std::vector<int32_t> tokens,
                            uint64_t salt, const Claim& claim) {
  CHECK(!tokens.empty() && !Has(id));
  if (queued() >= options_.queue_max) {
    return Error{ErrorCode::kOverloaded,
                 "the queue is full (" + std::to_string(options_.queue_max) +
                     " requests wait); retry later",
                 ""};
  }
  Sequence& made = sequences_[id];
  made.prompt = static_cast<int>(tokens.size());
  made.tokens = std::move(tokens);
  made.salt = salt;
  made.claim = claim;
  queue_.Push(id, claim.tenant, made.prompt + claim.answer_tokens,
              claim.weight);
  return {};
}

void Scheduler::Fork(SequenceId id, SequenceId parent) {
  CHECK(!Has(id));
  const Sequence& from = At(parent);
  Sequence made;
  made.prompt = from.prompt;
  made.tokens.assign(from.tokens.begin(), from.tokens.begin() + from.prompt);
  made.salt = from.salt;
  made.claim = from.claim;
  // Most likely the prompt's KV is there.
  queue_.Push(id, made.claim.tenant, 1 + made.claim.answer_tokens,
              made.claim.weight);
  sequences_.emplace(id, std::move(made));
}

void Scheduler::Extend(SequenceId id, int32_t token) {
  At(id).tokens.push_back(token);
}

void Scheduler::Remove(SequenceId id) {
  Release(&At(id));
  sequences_.erase(id);
  std::erase(running_, id);
  std::erase(paused_, id);
  queue_.Erase(id);
  if (sequences_.empty()) queue_.Rest();
}

StepPlan Scheduler::Plan() {
  StepPlan plan;
  Admit(&plan);
  // A copy: granting pages may pause sequences, which shortens running_.
  const std::vector<SequenceId> order = running_;
  ChooseDecode(order, &plan);
  ChoosePrefill(order, &plan);
  return plan;
}

// All of them, as long as there are columns; past that in turns, those first
// that have waited longest.
void Scheduler::ChooseDecode(const std::vector<SequenceId>& order,
                             StepPlan* plan) {
  std::vector<SequenceId> decoding;
  for (const SequenceId id : order) {
    if (At(id).left() == 1) decoding.push_back(id);
  }
  size_t columns = static_cast<size_t>(options_.columns_max);
  if (decoding.size() < order.size() && columns > kPrefillColumnsMin) {
    columns -= kPrefillColumnsMin;
  }
  if (decoding.size() > columns) {
    std::stable_sort(decoding.begin(), decoding.end(),
                     [&](SequenceId a, SequenceId b) {
                       return At(a).served < At(b).served;
                     });
    decoding.resize(columns);
  }
  for (const SequenceId id : decoding) Choose(id, 1, plan);
}

// Half of the columns go to the oldest prompt, so that a long one takes at most
// twice as long as alone, whatever comes after it. The rest goes to the prompts
// with the fewest columns left: the order that makes the mean time to first
// token least, and a short prompt behind one of 16K is answered early. Equal
// shares for all were rejected: many prompts of one length would then all be
// late. Prompts alike are served in their order.
void Scheduler::ChoosePrefill(const std::vector<SequenceId>& order,
                              StepPlan* plan) {
  struct Share {
    SequenceId id;
    int left;
    int columns;
  };
  std::vector<Share> shares;
  for (const SequenceId id : order) {
    if (At(id).left() > 1) shares.push_back({id, At(id).left(), 0});
  }
  if (shares.empty()) return;
  int columns = options_.columns_max - plan->columns;
  if (plan->columns > 0) {
    columns = std::min(columns, ColumnsBeside(plan->columns));
  }
  std::vector<Share*> shortest;
  for (Share& share : shares) shortest.push_back(&share);
  std::stable_sort(
      shortest.begin(), shortest.end(),
      [](const Share* a, const Share* b) { return a->left < b->left; });
  const auto give = [&](Share* share, int most) {
    const int more = std::min({share->left - share->columns, most, columns});
    share->columns += more;
    columns -= more;
  };
  give(&shares[0], (columns + 1) / 2);
  for (Share* share : shortest) give(share, columns);
  for (const Share& share : shares) {
    if (share.columns > 0) Choose(share.id, share.columns, plan);
  }
}

int64_t Scheduler::PromptTokens(std::span<const Slice> under_way) const {
  int64_t sum = 0;
  const auto add = [&](SequenceId id) {
    const int left = At(id).left();
    if (left > 1) sum += left;
  };
  for (const SequenceId id : running_) add(id);
  for (const SequenceId id : paused_) add(id);
  queue_.ForEach(add);
  for (const Slice& slice : under_way) {
    if (!Has(slice.id)) continue;  // cancelled meanwhile
    const int left = At(slice.id).left();
    if (left > 1) sum -= std::min(left, slice.known());
  }
  return sum;
}

// Of a step that decodes `n` columns.
int Scheduler::ColumnsBeside(int n) const {
  if (!options_.step_table) return options_.columns_beside_decode;
  return cost::ColumnsWithPrompts(*options_.step_table, options_.slowdown_max,
                                  n) -
         n;
}

void Scheduler::Choose(SequenceId id, int columns, StepPlan* plan) {
  if (std::find(running_.begin(), running_.end(), id) == running_.end()) {
    return;  // paused a moment ago, for an older one
  }
  const int begin = At(id).computed;
  if (!Grant(id, begin + columns, plan)) return;
  Sequence& s = At(id);
  s.served = ++slices_;
  plan->slices.push_back({id, begin, columns, begin + columns == s.known()});
  plan->columns += columns;
}

int Scheduler::AddDrafts(SequenceId id, int count, StepPlan* plan) {
  const auto slice = std::find_if(plan->slices.begin(), plan->slices.end(),
                                  [id](const Slice& s) { return s.id == id; });
  CHECK(slice != plan->slices.end() && slice->logits && slice->drafts == 0);
  Sequence& s = At(id);
  count = std::min(count, options_.columns_max - plan->columns);
  while (static_cast<int>(s.pages.size()) < PagesFor(s.known() + count)) {
    const int32_t page = TakePage(plan);
    if (page < 0) break;
    s.pages.push_back(page);
  }
  const int room =
      static_cast<int>(s.pages.size()) * options_.page_tokens - s.known();
  count = std::clamp(count, 0, room);
  slice->drafts = count;
  slice->count += count;
  plan->columns += count;
  return count;
}

void Scheduler::Commit(const StepPlan& plan) {
  for (const Slice& slice : plan.slices) {
    const auto it = sequences_.find(slice.id);
    if (it == sequences_.end()) continue;
    Sequence& s = it->second;
    s.computed = slice.begin + slice.known();
    Store(&s, s.computed == s.prompt);
  }
}

void Scheduler::Accept(SequenceId id, int32_t token) {
  Sequence& s = At(id);
  CHECK(s.left() == 0);
  s.tokens.push_back(token);
  ++s.computed;
  Store(&s, false);
}

const std::vector<int32_t>& Scheduler::PagesOf(SequenceId id) const {
  const auto guest = guests_.find(id);
  return guest != guests_.end() ? guest->second.pages : At(id).pages;
}

const std::vector<int32_t>& Scheduler::TokensOf(SequenceId id) const {
  return At(id).tokens;
}

const Scheduler::Sequence& Scheduler::At(SequenceId id) const {
  const auto it = sequences_.find(id);
  CHECK(it != sequences_.end());
  return it->second;
}

Scheduler::Sequence& Scheduler::At(SequenceId id) {
  return const_cast<Sequence&>(std::as_const(*this).At(id));
}

// Nothing overtakes the head of the queue but what a tenant asks for that has
// had less: a long prompt is not starved by short ones.
void Scheduler::Admit(StepPlan* plan) {
  while (queued() > 0 && running() < options_.sequences_max) {
    const bool paused = !paused_.empty();
    const SequenceId id = paused ? paused_.front() : queue_.Front();
    const Sequence& s = At(id);
    // The last token is always computed again: its logits are wanted.
    const PrefixTree::Match match =
        tree_.Find(s.salt, std::span(s.tokens).first(s.tokens.size() - 1));
    const int missing =
        PagesFor(s.known()) - static_cast<int>(match.pages.size());
    const auto idle =
        std::count_if(match.pages.begin(), match.pages.end(),
                      [&](int32_t page) { return tree_.users(page) == 0; });
    if (pages_free() - idle < missing) {
      if (DropGuest()) continue;  // what is known may have gone with it
      if (!running_.empty()) return;
    }
    paused ? paused_.pop_front() : queue_.Pop();
    running_.push_back(id);
    Begin(id, match, plan);
  }
}

void Scheduler::Begin(SequenceId id, const PrefixTree::Match& match,
                      StepPlan* plan) {
  Sequence& s = At(id);
  CHECK(s.pages.empty() && s.computed == 0);
  Attach(match, &s, plan);
  if (!s.admitted) plan->admitted.push_back({id, s.known(), s.computed});
  s.admitted = true;
}

void Scheduler::Attach(const PrefixTree::Match& match, Sequence* s,
                       StepPlan* plan) {
  for (const int32_t page : match.pages) tree_.Use(page);
  s->pages = match.pages;
  s->nodes = static_cast<int>(match.pages.size());
  s->computed = s->nodes * options_.page_tokens;
  const int32_t own = match.partial < 0 ? -1 : TakePage(plan);
  if (own < 0) return;
  // Evicting may have chosen the very page: then it is its own copy.
  if (own != match.partial) plan->copies.push_back({match.partial, own});
  if (tree_.Holds(match.partial)) tree_.Touch(match.partial);
  s->pages.push_back(own);
  s->computed = match.tokens;
}

int32_t Scheduler::TakePage(StepPlan* plan) {
  if (pool_.free() == 0 && tree_.idle() > 0) {
    pool_.Give(tree_.Evict());
    ++plan->evicted;
  }
  return pool_.free() > 0 ? pool_.Take() : -1;
}

bool Scheduler::Grant(SequenceId id, int tokens, StepPlan* plan) {
  const auto needed = static_cast<size_t>(PagesFor(tokens));
  while (At(id).pages.size() < needed) {
    const int32_t page = TakePage(plan);
    if (page >= 0) {
      At(id).pages.push_back(page);
      continue;
    }
    if (DropGuest()) continue;
    const SequenceId newest = running_.back();
    PauseNewest(plan);
    if (newest == id) return false;
  }
  return true;
}

// Slices already planned belong to older sequences or to decode columns; a
// paused one's slice is taken out of the plan again.
void Scheduler::PauseNewest(StepPlan* plan) {
  CHECK(!running_.empty());
  const SequenceId id = running_.back();
  running_.pop_back();
  Release(&At(id));
  paused_.push_front(id);
  ++plan->paused;
  std::erase_if(plan->slices, [&](const Slice& slice) {
    if (slice.id != id) return false;
    plan->columns -= slice.count;
    return true;
  });
}

void Scheduler::Store(Sequence* s, bool tail) {
  const int page_tokens = options_.page_tokens;
  for (;;) {
    const auto i = static_cast<size_t>(s->nodes);
    const int begin = s->nodes * page_tokens;
    const int count = std::min(page_tokens, s->computed - begin);
    if (count <= 0 || (count < page_tokens && !tail)) return;
    const int32_t page = s->pages[i];
    const int32_t holder =
        tree_.Insert(s->salt, i == 0 ? -1 : s->pages[i - 1],
                     std::span(s->tokens).subspan(begin, count), page);
    if (count < page_tokens) return;
    // Two computed the same page side by side: the same bytes, one is enough.
    if (holder != page) {
      tree_.Use(holder);
      pool_.Give(page);
      s->pages[i] = holder;
    }
    ++s->nodes;
  }
}

void Scheduler::Release(Sequence* s) {
  Store(s, true);
  for (; !s->pages.empty(); s->pages.pop_back()) {
    const int32_t page = s->pages.back();
    if (tree_.Holds(page)) {
      tree_.Unuse(page);
    } else {
      pool_.Give(page);
    }
  }
  s->nodes = 0;
  s->computed = 0;
  ForgetUnused();
}

void Scheduler::ForgetUnused() {
  while (!options_.prefix_cache && tree_.idle() > 0) {
    pool_.Give(tree_.Evict());
  }
}

// ---- Guests
// ------------------------------------------------------------------

void Scheduler::AddGuest(SequenceId id, uint64_t salt) {
  CHECK(!Has(id) && !HasGuest(id));
  guests_[id].salt = salt;
}

void Scheduler::RemoveGuest(SequenceId id) {
  const auto it = guests_.find(id);
  CHECK(it != guests_.end());
  ReleaseGuest(&it->second);
  guests_.erase(it);
}

int Scheduler::PrepareGuest(SequenceId id, std::span<const int32_t> tokens,
                            StepPlan* plan) {
  CHECK(!tokens.empty());
  Sequence& guest = guests_.at(id);
  const auto parts = std::ranges::mismatch(guest.tokens, tokens);
  const auto common = static_cast<int>(parts.in1 - guest.tokens.begin());
  const auto most = static_cast<int>(tokens.size()) - 1;
  guest.computed = std::min({guest.computed, common, most});
  // What it shares is written by nobody.
  if (guest.computed < guest.nodes * options_.page_tokens) {
    ReleaseGuest(&guest);
  }
  guest.tokens.assign(tokens.begin(), tokens.end());
  if (guest.pages.empty()) {
    Attach(tree_.Find(guest.salt, tokens.first(most)), &guest, plan);
  }
  while (static_cast<int>(guest.pages.size()) < PagesFor(guest.known())) {
    const int32_t page = TakePage(plan);
    if (page < 0) {
      ReleaseGuest(&guest);
      return -1;
    }
    guest.pages.push_back(page);
  }
  return guest.computed;
}

void Scheduler::CommitGuest(SequenceId id, int computed, int known) {
  Sequence& guest = guests_.at(id);
  CHECK(computed <= guest.known());
  guest.computed = std::min(computed, known);
  Store(&guest, false);
  guest.computed = computed;
}

bool Scheduler::DropGuest() {
  for (auto it = guests_.rbegin(); it != guests_.rend(); ++it) {
    if (it->second.pages.empty()) continue;
    ReleaseGuest(&it->second);
    return true;
  }
  return false;
}

void Scheduler::ReleaseGuest(Sequence* guest) {
  for (; !guest->pages.empty(); guest->pages.pop_back()) {
    if (static_cast<int>(guest->pages.size()) <= guest->nodes) {
      tree_.Unuse(guest->pages.back());
    } else {
      pool_.Give(guest->pages.back());
    }
  }
  guest->nodes = 0;
  guest->computed = 0;
  ForgetUnused();
}

}  // namespace aio::sched
