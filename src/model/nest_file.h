// SPDX-License-Identifier: Apache-2.0
//
// From a model's file to a nested one (docs/nest.md): matrices of F32, F16 and
// BF16 are encoded, those of Q8_0 stay as they are and are read as two halves.
// The embedding, whose rows are read one by one, becomes Q8_0; if it is the
// output too and not in Q8_0 already, that becomes a tensor of its own.
//
// Thread safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "tensor/nest.h"

namespace aio::model {

// What has become of a matrix.
struct NestedTensor {
  std::string name;
  DType from = DType::kF32;
  Nest nest = Nest::kNone;  // kNone: it stays as it was
  int64_t weights = 0;
  bool tried = false;  // as kK; then `loss` is what that lost, or would have
  NestLoss loss = {};
};

class NestedFile {
 public:
  // Encodes all matrices; what Q4_K makes of them stays in memory, 0.56 bytes a
  // weight. kInvalidArgument: it is nested already, or nothing of it can be;
  // kCorrupt naming a tensor with a number that is not finite; as ReadConfig
  // and LoadWeights. `file` must outlive this. May throw bad_alloc.
  static Result<NestedFile> Make(
      const gguf::File& file, ThreadPool* pool,
      const std::function<void(int64_t done, int64_t total)>& progress);

  // In the order of the file; the embedding where it is the output too.
  const std::vector<NestedTensor>& tensors() const { return tensors_; }
  // Writes what Make has made, as long as this lives.
  const gguf::Writer& writer() const { return writer_; }

 private:
  NestedFile() = default;
  Result<void> Add(const gguf::Tensor& tensor, const WeightMatrix* w,
                   ThreadPool* pool);
  void AddNested(const std::string& name, const gguf::Tensor& tensor,
                 std::unique_ptr<std::vector<BlockQ4_K>> blocks);

  gguf::Writer writer_;
  std::vector<NestedTensor> tensors_;
  std::vector<std::unique_ptr<std::vector<BlockQ4_K>>> blocks_;
};

}  // namespace aio::model
