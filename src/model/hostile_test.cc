// SPDX-License-Identifier: Apache-2.0
//
// A model file is untrusted: whatever bytes are changed, loading answers with
// an error or a model that steps. And a step allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "model/cpu_forward.h"
#include "model/random_model.h"

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Counts what this program allocates; the sanitizers have their own.
void* operator new(size_t size) {
  ++allocations;
  void* p = std::malloc(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

namespace aio::model {
namespace {

RandomModel Tiny() {
  RandomModel m;
  m.architecture = "qwen3";
  m.vocabulary = 9;
  m.hidden = 32;
  m.layers = 2;
  m.heads = 2;
  m.kv_heads = 1;
  m.head_dim = 16;
  m.feed_forward = 32;
  m.context = 64;
  return m;
}

constexpr int kColumns = 6;
const int32_t kPages[] = {0, 1};

// Steps the first tokens of one sequence, if the file loads.
bool LoadsAndSteps(const std::vector<std::byte>& bytes, ThreadPool* pool) {
  const auto file = gguf::File::Parse(bytes);
  if (!file) return false;
  CpuOptions options;
  options.pool = pool;
  options.pages = 2;
  options.columns_max = kColumns;
  const auto plan = PlanMemory(*file, options);
  // As the engine does: what does not fit is not loaded.
  if (!plan || plan->page_bytes > 1 << 20 || plan->scratch_bytes > 1 << 24) {
    return false;
  }
  const auto forward = LoadCpuForward(*file, options);
  if (!forward) return false;
  std::vector<Column> columns;
  const int count = std::min(kColumns, (*forward)->context_tokens_max());
  for (int i = 0; i < count; ++i) {
    columns.push_back({i % (*forward)->vocabulary(), i, kPages, i % 2 == 0});
  }
  (*forward)->Step(columns);
  return true;
}

TEST(HostileModelTest, ChangedBytesGiveAnErrorOrAModel) {
  ThreadPool pool(1);
  auto bytes = MakeRandomModel(Tiny()).Serialize();
  ASSERT_TRUE(bytes);
  ASSERT_TRUE(LoadsAndSteps(*bytes, &pool));
  // The metadata and the table of tensors come first.
  const size_t header = std::min<size_t>(bytes->size(), 3000);
  int loaded = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    std::vector<std::byte> changed = *bytes;
    for (uint64_t j = 0; j <= i % 3; ++j) {
      const size_t at = RandomBits(1, i, 2 * j) % header;
      changed[at] = static_cast<std::byte>(RandomBits(1, i, 2 * j + 1));
    }
    loaded += LoadsAndSteps(changed, &pool) ? 1 : 0;
  }
  EXPECT_GT(loaded, 0);
  EXPECT_LT(loaded, 4000);
}

// One damaged scale or number, in a matrix or in a vector.
TEST(HostileModelTest, AWeightThatIsNoNumberIsRefusedByItsTensorsName) {
  ThreadPool pool(2);
  for (const DType type :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_1}) {
    for (const char* name :
         {"blk.1.ffn_down.weight", "output.weight", "blk.0.attn_norm.weight"}) {
      RandomModel m = Tiny();
      m.type = type;
      auto bytes = MakeRandomModel(m).Serialize();
      ASSERT_TRUE(bytes);
      const auto clean = gguf::File::Parse(*bytes);
      ASSERT_TRUE(clean);
      const gguf::Tensor* tensor = clean->FindTensor(name);
      ASSERT_NE(tensor, nullptr);
      // The last row's first block begins with its scale.
      const auto traits = TraitsOf(tensor->type);
      const size_t row_bytes = static_cast<size_t>(
          tensor->shape[0] / traits->block_elements * traits->block_bytes);
      auto* at = bytes->data() + (tensor->data.data() - bytes->data()) +
                 tensor->data.size() - row_bytes;
      std::fill_n(at, tensor->type == DType::kF32 ? 4 : 2, std::byte{0x7F});
      if (tensor->type == DType::kF32) at[2] = std::byte{0xFF};
      if (tensor->type == DType::kBF16) at[0] = std::byte{0xFF};
      const auto file = gguf::File::Parse(*bytes);
      ASSERT_TRUE(file);
      CpuOptions options;
      options.pool = &pool;
      const auto forward = LoadCpuForward(*file, options);
      ASSERT_FALSE(forward) << NameOf(type) << " " << name;
      EXPECT_EQ(forward.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(forward.error().message.find(name), std::string::npos)
          << forward.error().message;
    }
  }
}

TEST(CpuForwardAllocationTest, AStepAllocatesNothing) {
  ThreadPool pool(2);
  for (const DType type : {DType::kF32, DType::kQ8_0}) {
    RandomModel m = Tiny();
    m.type = type;
    const auto bytes = MakeRandomModel(m).Serialize();
    ASSERT_TRUE(bytes);
    const auto file = gguf::File::Parse(*bytes);
    ASSERT_TRUE(file);
    CpuOptions options;
    options.pool = &pool;
    options.pages = 2;
    options.columns_max = kColumns;
    const auto forward = LoadCpuForward(*file, options);
    ASSERT_TRUE(forward);
    std::vector<Column> columns;
    for (int i = 0; i < kColumns; ++i) columns.push_back({1, i, kPages, true});
    const int64_t before = allocations;
    (*forward)->Step(columns);  // the very first one, too
    (*forward)->Step(columns);
    EXPECT_EQ(allocations - before, 0);
  }
}

}  // namespace
}  // namespace aio::model
