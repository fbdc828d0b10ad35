// SPDX-License-Identifier: Apache-2.0
#include "cli/quality_models.h"

#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/random.h"
#include "gguf/writer.h"
#include "model/config.h"
#include "model/cpu_forward.h"
#include "model/nest_file.h"
#include "model/pack_weights.h"
#include "model/weights.h"
#include "tensor/block_formats.h"

namespace aio::cli {
namespace {

using Bytes = std::shared_ptr<const std::vector<std::byte>>;

constexpr char kEmbedding[] = "token_embd.weight";
constexpr char kHead[] = "output.weight";

uint64_t StreamOf(std::string_view name) {
  uint64_t stream = 0;
  for (const char c : name) {
    stream = Mix(stream ^ static_cast<unsigned char>(c));
  }
  return stream;
}

// Moves each number of a Q8_0 block within what rounds to its code. The ends
// stay, since they make the scale.
void Unround(const gguf::Tensor& tensor, uint64_t seed,
             std::vector<float>* values) {
  const uint64_t stream = StreamOf(tensor.name);
  for (size_t i = 0; i < values->size(); ++i) {
    BlockQ8_0 block;
    std::memcpy(&block, tensor.data.data() + i / 32 * sizeof(block),
                sizeof(block));
    const int q = block.q[i % 32];
    if (q <= -127 || q >= 127) continue;
    const double off = 0.998 * (RandomUnit(seed, stream, i) - 0.5);
    (*values)[i] =
        static_cast<float>(double{F16ToF32(block.scale)} * (q + off));
  }
}

std::vector<float> NumbersOf(const gguf::Tensor& tensor, uint64_t unround) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  DecodeRow(tensor.type, tensor.data, values);
  if (unround != 0 && tensor.type == DType::kQ8_0) {
    Unround(tensor, unround, &values);
  }
  return values;
}

// Q8_0 codes without their lower four bits.
void DropLowerHalves(std::span<std::byte> blocks) {
  for (size_t at = 0; at < blocks.size(); at += sizeof(BlockQ8_0)) {
    for (size_t i = 2; i < sizeof(BlockQ8_0); ++i) {
      blocks[at + i] &= std::byte{0xF0};
    }
  }
}

// How matrices are written.
struct Form {
  DType type = DType::kF32;
  DType embedding = DType::kQ8_0;
  bool head_apart = true;
  bool drop = false;  // the lower halves of Q8_0
};

bool Fits(DType type, int64_t depth) {
  return depth % TraitsOf(type)->block_elements == 0;
}

class Maker {
 public:
  Maker(const gguf::File& file, std::set<std::string> matrices,
        const QualityOptions& options)
      : file_(file), matrices_(std::move(matrices)), options_(options) {}

  Result<Bytes> Make(const Form& form) const {
    gguf::Writer writer;
    for (const gguf::Entry& entry : file_.metadata()) {
      if (entry.key == "general.alignment") continue;
      writer.Add(std::string(entry.key), gguf::ItemOf(entry.value));
    }
    std::vector<std::vector<std::byte>> dropped;
    dropped.reserve(file_.tensors().size() + 1);
    for (const gguf::Tensor& tensor : file_.tensors()) {
      const std::string name(tensor.name);
      const bool tied = name == kEmbedding && matrices_.contains(name);
      if (name == kEmbedding)
        Add(name, tensor, form.embedding, nullptr, &writer);
      if (tied && form.head_apart) {
        Add(kHead, tensor, form.type, form.drop ? &dropped : nullptr, &writer);
      }
      if (name == kEmbedding) continue;
      const bool matrix = matrices_.contains(name);
      Add(name, tensor, matrix ? form.type : DType::kF32,
          matrix && form.drop ? &dropped : nullptr, &writer);
    }
    ASSIGN_OR_RETURN(auto bytes, writer.Serialize());
    return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  }

  // What `aio pack --nest` makes of the F32 file `bytes`.
  Result<Bytes> Nested(const Bytes& bytes) const {
    ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Parse(*bytes));
    ASSIGN_OR_RETURN(
        const model::NestedFile made,
        model::NestedFile::Make(file, options_.pool, [](int64_t, int64_t) {}));
    ASSIGN_OR_RETURN(auto nested, made.writer().Serialize());
    return std::make_shared<const std::vector<std::byte>>(std::move(nested));
  }

  Result<QualityModel> Load(std::string name, Bytes bytes) const {
    ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Parse(*bytes));
    model::CpuOptions options;
    options.pool = options_.pool;
    options.kv = kernels::KvType::kF32;
    options.columns_max = options_.columns_max;
    options.pages = options_.pages;
    ASSIGN_OR_RETURN(auto forward, model::LoadCpuForward(file, options));
    return QualityModel{std::move(name), 8, std::move(bytes),
                        std::shared_ptr<model::Forward>(std::move(forward))};
  }

 private:
  void Add(const std::string& name, const gguf::Tensor& tensor, DType type,
           std::vector<std::vector<std::byte>>* dropped,
           gguf::Writer* writer) const {
    if (!Fits(type, tensor.shape[0])) type = DType::kQ8_0;
    if (!Fits(type, tensor.shape[0])) type = DType::kF32;
    const std::vector<float> values = NumbersOf(tensor, options_.unround);
    if (dropped == nullptr || type != DType::kQ8_0) {
      writer->AddFloats(name, type, tensor.shape, values);
      return;
    }
    dropped->emplace_back(BytesFor(type, tensor.elements()));
    EncodeRow(type, values, dropped->back());
    DropLowerHalves(dropped->back());
    writer->AddTensor(name, type, tensor.shape, dropped->back());
  }

  const gguf::File& file_;
  const std::set<std::string> matrices_;
  const QualityOptions options_;
};

}  // namespace

Result<std::vector<QualityModel>> MakeQualityModels(
    const gguf::File& file, const QualityOptions& options) {
  ASSIGN_OR_RETURN(const model::ModelConfig config, model::ReadConfig(file));
  ASSIGN_OR_RETURN(model::Weights weights, model::LoadWeights(file, config));
  std::set<std::string> matrices;
  for (const model::Linear* l : model::LinearsOf(&weights)) {
    matrices.insert(l->name);
  }
  const bool tied = matrices.contains(kEmbedding);
  const Maker maker(file, matrices, options);
  std::vector<QualityModel> models;
  const auto add = [&](const std::string& name,
                       const Result<Bytes>& bytes) -> Result<void> {
    if (!bytes) return bytes.error();
    ASSIGN_OR_RETURN(QualityModel model, maker.Load(name, *bytes));
    models.push_back(std::move(model));
    return {};
  };
  const auto add_nested = [&](const std::string& suffix,
                              DType embedding) -> Result<void> {
    ASSIGN_OR_RETURN(const Bytes numbers,
                     maker.Make({DType::kF32, embedding, false}));
    RETURN_IF_ERROR(add("NEST-8" + suffix, maker.Nested(numbers)));
    models.push_back(models.back());
    models.back().name = "NEST-4" + suffix;
    models.back().bits = 4;
    return {};
  };
  RETURN_IF_ERROR(add("F32", maker.Make({DType::kF32, DType::kF32})));
  RETURN_IF_ERROR(add("Q8_0", maker.Make({DType::kQ8_0})));
  RETURN_IF_ERROR(add("Q4_K", maker.Make({DType::kQ4_K})));
  RETURN_IF_ERROR(add_nested("", DType::kF32));
  if (tied) RETURN_IF_ERROR(add_nested(", Q8_0 head", DType::kQ8_0));
  RETURN_IF_ERROR(
      add("Q8_0 >> 4", maker.Make({DType::kQ8_0, DType::kQ8_0, true, true})));
  return models;
}

}  // namespace aio::cli
