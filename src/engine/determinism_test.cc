// SPDX-License-Identifier: Apache-2.0
//
// The determinism contract (design.md, section 7) as a product: a model's
// weights and KV type have one hash of the logits of every position of a text,
// whatever the scheduler made of it: how many sequences decode beside it, how
// its prompt is cut, how many threads compute, whether its beginning was in the
// prefix tree, whether it was paused and computed anew. The sequences beside it
// are held to the same. Texts are given, not sampled.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <numeric>
#include <ostream>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/attention.h"
#include "model/cpu_forward.h"
#include "model/test_model.h"
#include "sched/scheduler.h"

namespace aio::engine {
namespace {

using kernels::KvType;
using sched::SequenceId;

constexpr int kVocabulary = 61;
constexpr int kTokens = 80;    // of the text: two pages and half of a third
constexpr int kShared = 40;    // of those, the donor's too: a page and a part
constexpr int kOthers = 16;    // at most beside the text
constexpr int kPages = 48;     // never full, but where the text is to be paused
constexpr int kJunk = kPages;  // one more, whose KV fits none of the texts

// How the text comes to its KV.
enum class Way {
  kMiss,
  kHit,     // from a donor that is over; the page they part in is copied
  kPaused,  // at the end of its first page, and computed anew
};

struct Cell {
  int columns;  // sequences that decode in one step, the text's among them
  int chunk;    // columns of prefill in one step
  Way way;
};

std::string NameOf(const Cell& cell) {
  constexpr const char* kWays[] = {"miss", "hit", "paused"};
  return std::to_string(cell.columns) + " columns, chunks of " +
         std::to_string(cell.chunk) + ", " +
         kWays[static_cast<size_t>(cell.way)];
}

std::vector<Cell> AllCells() {
  std::vector<Cell> cells;
  for (const Way way : {Way::kMiss, Way::kHit, Way::kPaused}) {
    for (const int columns : {1, 2, 3, 5, 8, 9, 17}) {
      for (const int chunk : {1, 7, 32, 512}) {
        cells.push_back({columns, chunk, way});
      }
    }
  }
  return cells;
}

uint64_t HashOf(std::span<const float> logits) {
  uint64_t hash = 0;  // of bits: a zero's sign counts too
  for (const float x : logits) hash = Mix(hash ^ std::bit_cast<uint32_t>(x));
  return hash;
}

uint64_t HashOf(const std::vector<uint64_t>& rows) {
  uint64_t hash = 0;
  for (const uint64_t row : rows) hash = Mix(hash ^ row);
  return hash;
}

struct Text {
  std::vector<int32_t> tokens;
  std::vector<uint64_t> want;  // hash of each position's logits

  int length() const { return static_cast<int>(tokens.size()); }
};

Text MakeText(uint64_t stream, int tokens) {
  Text text;
  for (int i = 0; i < tokens; ++i) {
    const uint64_t bits = RandomBits(3, stream, static_cast<uint64_t>(i));
    text.tokens.push_back(static_cast<int32_t>(bits % kVocabulary));
  }
  return text;
}

// The text alone, a column a step, its pages in order: no scheduler.
void ComputeAlone(model::Forward* forward, Text* text) {
  std::vector<int32_t> pages(kPages);
  std::iota(pages.begin(), pages.end(), 0);
  int position = 0;
  for (const int32_t token : text->tokens) {
    forward->Step(std::vector<model::Column>{{token, position, pages, true}});
    text->want.push_back(HashOf(forward->Logits(0)));
    ++position;
  }
}

// Which columns' logits are read: all, or only those that the engine reads.
enum class Ask { kAll, kLast };

// What becomes of a sequence at the end of its text.
enum class End { kLeaves, kStays, kBeginsAgain };

struct Sequence {
  const Text* text = nullptr;
  End end = End::kLeaves;
  bool over = false;
  int cached = 0;              // tokens, when it was admitted
  int widest = 0;              // of its slices
  int columns = 0;             // computed; more than it has, if it was paused
  std::vector<uint64_t> rows;  // hash of each position's logits; 0: not yet
};

// Given texts through the scheduler, step by step as the engine does it: copies
// pages, computes the slices, commits, adds a token to who has computed all
// that is known of it. Every row of logits is compared.
class Driver {
 public:
  Driver(model::Forward* forward, const sched::Options& options, Ask ask)
      : forward_(forward), scheduler_(options), ask_(ask) {}

  SequenceId Start(const Text& text, int prompt, int length, End end) {
    const SequenceId id = next_++;
    const auto begin = text.tokens.begin();
    CHECK(scheduler_.Add(id, {begin, begin + prompt}, 0));
    Sequence& made = sequences_[id];
    made.text = &text;
    made.end = end;
    made.rows.resize(static_cast<size_t>(length));
    return id;
  }
  void Stop(SequenceId id) {
    scheduler_.Remove(id);
    sequences_.at(id).over = true;
  }
  void StopAllBut(SequenceId kept) {
    for (const auto& [id, sequence] : sequences_) {
      if (!sequence.over && id != kept) Stop(id);
    }
  }
  void Step();

  const Sequence& At(SequenceId id) const { return sequences_.at(id); }
  int paused() const { return paused_; }
  int copies() const { return copies_; }
  // Whether a step was of as many columns, each the one that a sequence lacked.
  bool Decoded(int columns) const { return decoded_.count(columns) > 0; }

 private:
  void Count(const sched::StepPlan& plan);
  void Compute(const sched::StepPlan& plan);
  void Compare(SequenceId id, int position, std::span<const float> logits);
  void Feed(SequenceId id);

  model::Forward* forward_;
  sched::Scheduler scheduler_;
  Ask ask_;
  std::map<SequenceId, Sequence> sequences_;
  SequenceId next_ = 1;
  int steps_ = 0;
  int paused_ = 0;
  int copies_ = 0;
  bool differed_ = false;
  std::set<int> decoded_;
};

void Driver::Step() {
  CHECK(++steps_ < 1000);  // no cell takes half as many
  const sched::StepPlan plan = scheduler_.Plan();
  Count(plan);
  for (const auto& copy : plan.copies) forward_->CopyPage(copy.from, copy.to);
  if (plan.slices.empty()) return;
  Compute(plan);
  scheduler_.Commit(plan);
  for (const sched::Slice& slice : plan.slices) {
    if (slice.logits) Feed(slice.id);
  }
}

void Driver::Count(const sched::StepPlan& plan) {
  paused_ += plan.paused;
  copies_ += static_cast<int>(plan.copies.size());
  for (const auto& a : plan.admitted) {
    sequences_.at(a.id).cached = a.cached_tokens;
  }
  bool decode = true;
  for (const sched::Slice& slice : plan.slices) {
    Sequence& s = sequences_.at(slice.id);
    s.widest = std::max(s.widest, slice.count);
    s.columns += slice.count;
    decode = decode && slice.count == 1 && slice.logits;
  }
  if (decode) decoded_.insert(plan.columns);
}

void Driver::Compute(const sched::StepPlan& plan) {
  std::vector<model::Column> columns;
  std::vector<SequenceId> ids;
  for (const sched::Slice& slice : plan.slices) {
    const auto& tokens = scheduler_.TokensOf(slice.id);
    const int end = slice.begin + slice.count;
    for (int p = slice.begin; p < end; ++p) {
      const bool wanted = slice.logits && p + 1 == end;
      columns.push_back({tokens[static_cast<size_t>(p)], p,
                         scheduler_.PagesOf(slice.id),
                         wanted || ask_ == Ask::kAll});
      ids.push_back(slice.id);
    }
  }
  forward_->Step(columns);
  int row = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].logits) continue;
    Compare(ids[i], columns[i].position, forward_->Logits(row++));
  }
}

void Driver::Compare(SequenceId id, int position,
                     std::span<const float> logits) {
  Sequence& s = sequences_.at(id);
  const auto p = static_cast<size_t>(position);
  const uint64_t hash = HashOf(logits);
  s.rows[p] = hash;
  if (hash == s.text->want[p] || differed_) return;
  differed_ = true;  // the first says enough
  ADD_FAILURE() << "step " << steps_ << ", sequence " << id << ", position "
                << position;
}

// An id is gone from the scheduler once it is removed: who begins again does so
// as a new sequence.
void Driver::Feed(SequenceId id) {
  const Sequence& s = sequences_.at(id);
  const size_t known = scheduler_.TokensOf(id).size();
  if (known < s.rows.size()) {
    scheduler_.Extend(id, s.text->tokens[known]);
    return;
  }
  if (s.end == End::kStays) return;
  Stop(id);
  if (s.end == End::kBeginsAgain) {
    Start(*s.text, 1, static_cast<int>(known), s.end);
  }
}

// Tokens of the text that are known at once. A hit leaves more than 32 of them
// to compute; what is to be paused at the end of a page decodes some before.
int PromptOf(Way way) {
  return way == Way::kMiss ? 45 : way == Way::kHit ? kShared + 36 : 28;
}

sched::Options OptionsOf(const Cell& cell) {
  const bool pause = cell.way == Way::kPaused;
  sched::Options options;
  options.page_tokens = model::kPageTokens;
  // To pause the text at the end of its first page: two for the elder, one for
  // everybody else.
  options.pages = pause ? 2 + cell.columns : kPages;
  // Beside decoding, the scheduler keeps four columns for prompts.
  options.columns_max =
      cell.columns == 1 ? cell.chunk : cell.columns + std::max(cell.chunk, 4);
  options.columns_beside_decode = cell.chunk;
  options.prefix_cache = !pause;  // off: the KV of who is paused is lost
  return options;
}

// That what the cell is called did happen.
void ExpectAsNamed(const Cell& cell, const Driver& driver, const Sequence& s) {
  const bool hit = cell.way == Way::kHit;
  const bool pause = cell.way == Way::kPaused;
  EXPECT_TRUE(driver.Decoded(cell.columns));
  // Computed anew: the first page and the token that had none.
  const int prefill =
      pause ? model::kPageTokens + 1 : PromptOf(cell.way) - (hit ? kShared : 0);
  EXPECT_EQ(s.widest, std::min(cell.chunk, prefill));
  EXPECT_EQ(s.cached, hit ? kShared : 0);
  EXPECT_EQ(s.columns + s.cached, kTokens + (pause ? model::kPageTokens : 0));
  EXPECT_EQ(driver.paused() > 0, pause);
  // Who of the others was paused may share a first token with one that runs.
  if (!pause) {
    EXPECT_EQ(driver.copies(), hit ? 1 : 0);
  }
}

struct Case {
  DType type;
  KvType kv;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << aio::NameOf(c.type) << " " << kernels::NameOf(c.kv);
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const DType type : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0,
                           DType::kQ4_K, DType::kQ6_K}) {
    cases.push_back({type, KvType::kF16});
    cases.push_back({type, KvType::kQ8});
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  return std::string(aio::NameOf(info.param.type)) + "_kv_" +
         kernels::NameOf(info.param.kv);
}

// The K types have blocks of 256 weights. No mix of types: the output shows the
// order of sums of its own type; codes hide the last bits of what is before.
model::RandomModel Description(DType type) {
  const bool wide = type == DType::kQ4_K || type == DType::kQ6_K;
  model::RandomModel m;
  m.type = type;
  m.seed = 5;
  m.vocabulary = kVocabulary;
  m.hidden = wide ? 256 : 64;
  m.layers = 2;
  m.heads = wide ? 8 : 4;
  m.kv_heads = 2;
  m.head_dim = wide ? 32 : 16;
  m.feed_forward = wide ? 256 : 96;
  m.context = 128;
  return m;
}

class ProductTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    std::copy_n(text_.tokens.begin(), kShared, donor_.tokens.begin());
    for (uint64_t i = 0; i < kOthers; ++i) {
      others_.push_back(MakeText(10 + i, 60));
    }
    ThreadPool pool(1);
    const auto forward = Load(&pool);
    for (Text& other : others_) ComputeAlone(forward.get(), &other);
    for (Text* text : {&text_, &donor_, &elder_}) {
      ComputeAlone(forward.get(), text);
    }
    const std::set<uint64_t> rows(text_.want.begin(), text_.want.end());
    ASSERT_EQ(rows.size(), kTokens) << "positions that nothing tells apart";
  }

  // With its junk page written.
  std::unique_ptr<model::Forward> Load(ThreadPool* pool) const {
    model::CpuOptions options;
    options.pool = pool;
    options.kv = GetParam().kv;
    options.pages = kPages + 1;
    options.columns_max = kOthers + 1 + 512;
    auto loaded = model::LoadCpuForward(model_.file(), options);
    CHECK(loaded);
    const std::vector<int32_t> pages = {kJunk};
    std::vector<model::Column> columns;
    for (const int32_t token : MakeText(1, model::kPageTokens).tokens) {
      const int position = static_cast<int>(columns.size());
      columns.push_back({token, position, pages, false});
    }
    (*loaded)->Step(columns);
    return *std::move(loaded);
  }

  void Run(model::Forward* forward, const Cell& cell, Ask ask) const;
  void StartOthers(Driver* driver, const Cell& cell) const;

  const model::TestModel model_{Description(GetParam().type)};
  Text text_ = MakeText(2, kTokens);
  Text donor_ = MakeText(3, kShared + 6);
  Text elder_ = MakeText(4, model::kPageTokens + 1);
  std::vector<Text> others_;
};
INSTANTIATE_TEST_SUITE_P(Models, ProductTest, testing::ValuesIn(AllCases()),
                         CaseName);

// Each begins with a token and goes on a column a step, so that the text's
// prompt is always beside decoding. Of different lengths, and again at their
// end, so that they are soon at different positions. Where the text is to be
// paused they are long: who comes after it would be paused first.
void ProductTest::StartOthers(Driver* driver, const Cell& cell) const {
  for (int i = 0; i + 1 < cell.columns; ++i) {
    const Text& text = others_[static_cast<size_t>(i)];
    const int length =
        cell.way == Way::kPaused ? text.length() : 7 + i * 9 % 54;
    driver->Start(text, 1, length, End::kBeginsAgain);
  }
}

void ProductTest::Run(model::Forward* forward, const Cell& cell,
                      Ask ask) const {
  // What an earlier cell left there might be right.
  for (int page = 0; page < kPages; ++page) forward->CopyPage(kJunk, page);
  Driver driver(forward, OptionsOf(cell), ask);
  SequenceId before = 0;
  if (cell.way == Way::kHit) {
    before =
        driver.Start(donor_, donor_.length(), donor_.length(), End::kLeaves);
    while (!driver.At(before).over) driver.Step();
  } else if (cell.way == Way::kPaused) {
    before =
        driver.Start(elder_, elder_.length(), elder_.length(), End::kStays);
    while (driver.At(before).rows.back() == 0) driver.Step();
  }
  StartOthers(&driver, cell);
  const SequenceId id =
      driver.Start(text_, PromptOf(cell.way), kTokens, End::kLeaves);
  bool resumed = false;
  while (!driver.At(id).over) {
    driver.Step();
    if (cell.way == Way::kPaused && driver.paused() > 0 && !resumed) {
      driver.StopAllBut(id);
      StartOthers(&driver, cell);
      resumed = true;
    }
  }
  ExpectAsNamed(cell, driver, driver.At(id));
  if (ask == Ask::kLast) return;
  std::vector<uint64_t> rows = driver.At(id).rows;
  if (cell.way == Way::kHit) {
    std::copy_n(driver.At(before).rows.begin(), kShared, rows.begin());
  }
  EXPECT_EQ(HashOf(rows), HashOf(text_.want));
}

TEST_P(ProductTest, ATextHasOneHashInEveryCell) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    const auto forward = Load(&pool);
    for (const Cell& cell : AllCells()) {
      SCOPED_TRACE(NameOf(cell) + ", " + std::to_string(threads) + " threads");
      Run(forward.get(), cell, Ask::kAll);
    }
  }
}

// Whose logits nobody reads leaves the last layer early.
TEST_P(ProductTest, LogitsThatNobodyReadsChangeNoOthers) {
  ThreadPool pool(2);
  const auto forward = Load(&pool);
  for (const Cell& cell : AllCells()) {
    if (cell.chunk == 1) continue;
    SCOPED_TRACE(NameOf(cell));
    Run(forward.get(), cell, Ask::kLast);
  }
}

}  // namespace
}  // namespace aio::engine
