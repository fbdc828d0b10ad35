// SPDX-License-Identifier: Apache-2.0
#include "probe/model_file.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>

#include "core/intent.h"

namespace aio::probe {
namespace {

constexpr int32_t kMagic = 793712314;
constexpr int32_t kVersion = 12;
constexpr int32_t kSupervised = 3, kSoftmax = 3;
constexpr int32_t kDimensionMax = 1024, kEntriesMax = 4 << 20;
constexpr int32_t kBucketsMax = 64 << 20, kNgramMax = 16;
constexpr int64_t kCentroids = 256;  // of a quantizer of 8 bits

Error Wrong(const std::string& what) {
  return {ErrorCode::kCorrupt, "not a usable text probe model: " + what, ""};
}

// Reads in order; past the end everything is 0 and `ok` false.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T Next() {
    T value{};
    if (!Has(sizeof value)) return value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  // Up to the next zero byte, which it takes too.
  std::string_view Word() {
    const size_t end = bytes_.find('\0', at_);
    if (end == std::string_view::npos) {
      ok_ = false;
      return {};
    }
    const std::string_view word = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return word;
  }
  bool Skip(int64_t count) {
    if (count < 0 || !Has(static_cast<size_t>(count))) return ok_ = false;
    at_ += static_cast<size_t>(count);
    return true;
  }
  // REQUIRES: count is bounded, so that its bytes do not overflow.
  bool FiniteFloats(int64_t count) {
    if (count < 0 || !Has(static_cast<size_t>(count) * sizeof(float))) {
      return ok_ = false;
    }
    bool finite = true;
    for (int64_t i = 0; i < count; ++i) {
      finite = std::isfinite(Next<float>()) && finite;
    }
    return finite;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && at_ == bytes_.size(); }

 private:
  bool Has(size_t count) {
    ok_ = ok_ && bytes_.size() - at_ >= count;
    return ok_;
  }
  std::string_view bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

struct Header {
  int32_t dimension = 0, buckets = 0;
  int32_t words = 0, labels = 0;
  int64_t pruned = -1;  // rows kept of the buckets; -1: all of them
};

Result<void> CheckArguments(Bytes* in, Header* header) {
  if (in->Next<int32_t>() != kMagic || in->Next<int32_t>() != kVersion) {
    return Wrong("it does not begin like a fastText model of version 12");
  }
  header->dimension = in->Next<int32_t>();
  in->Skip(4 * 4);  // window, epochs, minimum count, negatives: training only
  const int32_t word_ngrams = in->Next<int32_t>();
  const int32_t loss = in->Next<int32_t>(), model = in->Next<int32_t>();
  header->buckets = in->Next<int32_t>();
  const int32_t least = in->Next<int32_t>(), most = in->Next<int32_t>();
  in->Skip(4 + 8);  // learning rate steps, sampling: training only
  if (!in->ok()) return Wrong("it is truncated");
  if (loss != kSoftmax || model != kSupervised) {
    return Wrong("it is no classifier with a softmax");
  }
  if (header->dimension < 1 || header->dimension > kDimensionMax) {
    return Wrong("its dimension is out of range");
  }
  // Negative lengths would count as huge ones: the library compares unsigned.
  if (word_ngrams < 0 || word_ngrams > kNgramMax || least < 0 || most < 0 ||
      most > kNgramMax || (most > 0 && least > most)) {
    return Wrong("its n-grams are out of range");
  }
  const bool hashes = word_ngrams > 1 || most > 0;
  if (header->buckets < (hashes ? 1 : 0) || header->buckets > kBucketsMax) {
    return Wrong("its buckets are out of range");
  }
  return {};
}

// fastText takes entry words + i for label i, so labels must come last.
Result<void> CheckEntries(Bytes* in, const Header& header) {
  std::set<std::string> labels;
  for (int32_t i = 0; i < header.words + header.labels; ++i) {
    const std::string_view word = in->Word();
    const int64_t count = in->Next<int64_t>();
    const int8_t type = in->Next<int8_t>();
    if (!in->ok()) return Wrong("its dictionary is truncated");
    if (count < 0 || type != (i < header.words ? 0 : 1)) {
      return Wrong("its dictionary is out of order");
    }
    if (i < header.words) continue;
    if (word.substr(0, kLabelPrefix.size()) != kLabelPrefix ||
        !core::LabelNamed(word.substr(kLabelPrefix.size())) ||
        !labels.insert(std::string(word)).second) {
      return Wrong("its labels are not the intents");
    }
  }
  return {};
}

Result<void> CheckDictionary(Bytes* in, Header* header) {
  const int32_t size = in->Next<int32_t>();
  header->words = in->Next<int32_t>();
  header->labels = in->Next<int32_t>();
  in->Skip(8);  // tokens seen
  header->pruned = in->Next<int64_t>();
  if (!in->ok()) return Wrong("it is truncated");
  if (header->words < 1 || header->words > kEntriesMax ||
      header->labels != static_cast<int32_t>(core::kLabels) ||
      size != header->words + header->labels) {
    return Wrong("its dictionary has an impossible size");
  }
  if (header->pruned < -1 || header->pruned > header->buckets) {
    return Wrong("its pruning has an impossible size");
  }
  RETURN_IF_ERROR(CheckEntries(in, *header));
  for (int64_t i = 0; i < header->pruned; ++i) {
    const int32_t from = in->Next<int32_t>(), to = in->Next<int32_t>();
    if (!in->ok() || from < 0 || to < 0 || to >= header->pruned) {
      return Wrong("its pruning points outside");
    }
  }
  return {};
}

Result<void> CheckQuantizer(Bytes* in, int64_t dimension, int64_t parts) {
  const int32_t dim = in->Next<int32_t>(), subs = in->Next<int32_t>();
  const int32_t size = in->Next<int32_t>(), last = in->Next<int32_t>();
  if (!in->ok() || dim != dimension || size < 1 || size > dim ||
      subs != (dim + size - 1) / size || subs != parts ||
      last != (dim % size == 0 ? size : dim % size)) {
    return Wrong("its quantizer has an impossible shape");
  }
  if (!in->FiniteFloats(dim * kCentroids)) {
    return Wrong("its quantizer is truncated or not finite");
  }
  return {};
}

Result<void> CheckQuantized(Bytes* in, int64_t rows, int64_t columns) {
  const auto normalized = in->Next<uint8_t>();
  const int64_t m = in->Next<int64_t>(), n = in->Next<int64_t>();
  const int32_t codes = in->Next<int32_t>();
  if (!in->ok() || normalized > 1 || m != rows || n != columns || codes < 0 ||
      codes % rows != 0) {
    return Wrong("a matrix has an impossible shape");
  }
  if (!in->Skip(codes)) return Wrong("a matrix is truncated");
  RETURN_IF_ERROR(CheckQuantizer(in, columns, codes / rows));
  if (normalized == 0) return {};
  if (!in->Skip(rows)) return Wrong("its norms are truncated");
  return CheckQuantizer(in, 1, 1);
}

Result<void> CheckDense(Bytes* in, int64_t rows, int64_t columns) {
  const int64_t m = in->Next<int64_t>(), n = in->Next<int64_t>();
  if (!in->ok() || m != rows || n != columns) {
    return Wrong("a matrix has an impossible shape");
  }
  if (!in->FiniteFloats(rows * columns)) {
    return Wrong("a matrix is truncated or not finite");
  }
  return {};
}

}  // namespace

Result<void> CheckModelFile(std::string_view bytes) {
  if (bytes.size() > kModelBytesMax) return Wrong("it is too large");
  Bytes in(bytes);
  Header header;
  RETURN_IF_ERROR(CheckArguments(&in, &header));
  RETURN_IF_ERROR(CheckDictionary(&in, &header));
  const auto quantized = in.Next<uint8_t>();
  if (!in.ok() || quantized > 1 || (quantized == 0 && header.pruned >= 0)) {
    return Wrong("its matrix is of no known kind");
  }
  const int64_t rows =
      header.words + (header.pruned < 0 ? header.buckets : header.pruned);
  RETURN_IF_ERROR(quantized == 1 ? CheckQuantized(&in, rows, header.dimension)
                                 : CheckDense(&in, rows, header.dimension));
  const auto quantized_output = in.Next<uint8_t>();
  if (!in.ok() || quantized_output > quantized) {
    return Wrong("its output matrix is of no known kind");
  }
  RETURN_IF_ERROR(quantized_output == 1
                      ? CheckQuantized(&in, header.labels, header.dimension)
                      : CheckDense(&in, header.labels, header.dimension));
  if (!in.done()) return Wrong("it is longer than its matrices");
  return {};
}

}  // namespace aio::probe
