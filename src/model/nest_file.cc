// SPDX-License-Identifier: Apache-2.0
#include "model/nest_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "model/config.h"
#include "model/pack_weights.h"
#include "model/weights.h"
#include "tensor/block_formats.h"

namespace aio::model {
namespace {

constexpr char kEmbedding[] = "token_embd.weight";
constexpr char kOutput[] = "output.weight";

// Numbers from number `first` on.
std::vector<float> Numbers(const gguf::Tensor& tensor, int64_t first,
                           int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  DecodeRow(tensor.type,
            tensor.data.subspan(BytesFor(tensor.type, first),
                                BytesFor(tensor.type, count)),
            values);
  return values;
}

// Whether each is a number that Q8_0 can hold, whose scale is an F16.
bool Fit(const std::vector<float>& values) {
  constexpr float kLargest = 65504.0f * 127;
  return std::ranges::all_of(values,
                             [](float v) { return std::fabs(v) <= kLargest; });
}

Error NotFinite(std::string_view name) {
  return {ErrorCode::kCorrupt,
          "tensor " + std::string(name) +
              " has a number that is not finite, or far too large for a "
              "weight: the file is damaged",
          ""};
}

gguf::Fill AsQ8_0(const gguf::Tensor& tensor) {
  return [&tensor](int64_t first, std::span<std::byte> blocks) {
    const auto count = static_cast<int64_t>(blocks.size() / sizeof(BlockQ8_0));
    const auto values =
        Numbers(tensor, first * kBlockElements, count * kBlockElements);
    EncodeRow(DType::kQ8_0, values, blocks);
  };
}

// Bytes of residuals, wherever they are cut.
gguf::Fill Residuals(const gguf::Tensor& tensor,
                     const std::vector<BlockQ4_K>& blocks) {
  return [&](int64_t first, std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      const int64_t block = first / kFineBytes;
      const auto at = static_cast<size_t>(first % kFineBytes);
      uint8_t fine[kFineBytes];
      FineCodes(
          Numbers(tensor, block * kSuperBlockElements, kSuperBlockElements)
              .data(),
          blocks[static_cast<size_t>(block)], fine);
      const size_t count = std::min(kFineBytes - at, bytes.size());
      std::memcpy(bytes.data(), fine + at, count);
      bytes = bytes.subspan(count);
      first += static_cast<int64_t>(count);
    }
  };
}

// Of all rows, shared out.
NestLoss Encode(const WeightMatrix& w, ThreadPool* pool,
                std::vector<BlockQ4_K>* blocks) {
  const int64_t per_row = w.depth / kSuperBlockElements;
  blocks->resize(static_cast<size_t>(w.rows * per_row));
  std::vector<NestLoss> losses(static_cast<size_t>(pool->threads()));
  pool->Run([&](int thread) {
    const Range mine = Share(w.rows, thread, pool->threads());
    std::vector<uint8_t> fine(static_cast<size_t>(w.depth / 2));
    for (int64_t r = mine.begin; r < mine.end; ++r) {
      losses[static_cast<size_t>(thread)].Add(
          EncodeNest(w, {r, r + 1}, blocks->data() + r * per_row, fine.data()));
    }
  });
  NestLoss all;
  for (const NestLoss& loss : losses) all.Add(loss);
  return all;
}

// What a reader takes for granted of the file it was, or that a writer adds.
bool IsStale(std::string_view key) {
  return key == "general.alignment" || key == "general.file_type" ||
         key.starts_with("split.");
}

bool AreNumbers(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

Result<void> CheckNumbers(const gguf::Tensor& tensor, ThreadPool* pool) {
  std::vector<char> finite(static_cast<size_t>(pool->threads()), 1);
  pool->Run([&](int thread) {
    constexpr int64_t kStep = 1 << 16;
    const Range mine = Share(tensor.elements(), thread, pool->threads());
    for (int64_t at = mine.begin; at < mine.end; at += kStep) {
      const int64_t count = std::min(kStep, mine.end - at);
      if (!Fit(Numbers(tensor, at, count))) {
        finite[static_cast<size_t>(thread)] = 0;
      }
    }
  });
  if (std::ranges::find(finite, 0) != finite.end()) {
    return NotFinite(tensor.name);
  }
  return {};
}

Result<void> CheckCanBeNested(const gguf::File& file, const Weights& weights) {
  if (file.Find(kNestKey) != nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 file.path() + " is nested already", ""};
  }
  if (weights.nested) return {};
  return Error{ErrorCode::kInvalidArgument,
               "no matrix of " + file.path() +
                   " can be nested: they must be F32, F16, BF16 or Q8_0, in "
                   "rows of a multiple of 32",
               ""};
}

}  // namespace

Result<NestedFile> NestedFile::Make(
    const gguf::File& file, ThreadPool* pool,
    const std::function<void(int64_t, int64_t)>& progress) {
  ASSIGN_OR_RETURN(const ModelConfig config, ReadConfig(file));
  ASSIGN_OR_RETURN(Weights weights, LoadWeights(file, config, true));
  RETURN_IF_ERROR(CheckCanBeNested(file, weights));
  std::map<std::string_view, const WeightMatrix*> matrices;
  int64_t total = 0, done = 0;
  for (const Linear* l : LinearsOf(&weights)) matrices[l->name] = &l->matrix;
  for (const auto& [name, w] : matrices) total += w->rows * w->depth;
  NestedFile made;
  for (const gguf::Entry& entry : file.metadata()) {
    if (IsStale(entry.key)) continue;
    made.writer_.Add(std::string(entry.key), gguf::ItemOf(entry.value));
  }
  made.writer_.Add(kNestKey, kNestVersion);
  for (const gguf::Tensor& tensor : file.tensors()) {
    const auto found = matrices.find(tensor.name);
    const WeightMatrix* w = found == matrices.end() ? nullptr : found->second;
    RETURN_IF_ERROR(made.Add(tensor, w, pool));
    if (w == nullptr) continue;
    done += w->rows * w->depth;
    progress(done, total);
  }
  return made;
}

// `w`: the tensor as one of the matrices that are multiplied with, or null.
Result<void> NestedFile::Add(const gguf::Tensor& tensor, const WeightMatrix* w,
                             ThreadPool* pool) {
  const std::string name(tensor.name);
  const bool embedding = name == kEmbedding;
  NestedTensor entry = {name, tensor.type, Nest::kNone, tensor.elements()};
  if (w != nullptr) entry.nest = w->nest;
  if (entry.nest == Nest::kK) {
    auto blocks = std::make_unique<std::vector<BlockQ4_K>>();
    entry.tried = true;
    entry.loss = Encode(*w, pool, blocks.get());
    if (!entry.loss.finite) return NotFinite(name);
    if (entry.loss.Serves()) {
      AddNested(embedding ? kOutput : name, tensor, std::move(blocks));
    } else {
      entry.nest = Nest::k8;
    }
  }
  const bool to_q8 = (embedding || entry.nest == Nest::k8) &&
                     AreNumbers(tensor.type) &&
                     tensor.shape[0] % kBlockElements == 0;
  if (to_q8) {
    RETURN_IF_ERROR(CheckNumbers(tensor, pool));
    writer_.AddGenerated(name, DType::kQ8_0, tensor.shape, AsQ8_0(tensor));
  } else if (entry.nest != Nest::kK) {
    writer_.AddTensor(name, tensor.type, tensor.shape, tensor.data);
  }
  if (w != nullptr) tensors_.push_back(std::move(entry));
  return {};
}

void NestedFile::AddNested(const std::string& name, const gguf::Tensor& tensor,
                           std::unique_ptr<std::vector<BlockQ4_K>> blocks) {
  writer_.AddTensor(name, DType::kQ4_K, tensor.shape,
                    std::as_bytes(std::span(*blocks)));
  writer_.AddGenerated(name + kNestSuffix, DType::kI8,
                       {tensor.shape[0] / 2, tensor.shape[1]},
                       Residuals(tensor, *blocks));
  blocks_.push_back(std::move(blocks));
}

}  // namespace aio::model
