// SPDX-License-Identifier: Apache-2.0
//
// The same model with every weight in F32, to the value: what a quantized file
// means when nothing is rounded on the way.
//
//   widen IN.gguf OUT.gguf
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "tensor/block_formats.h"

namespace aio::golden {
namespace {

// File widens numbers; llama.cpp wants them as converters write them. What is
// in a model file fits.
template <typename T>
struct Narrowed {
  using Type = T;
};
template <>
struct Narrowed<uint64_t> {
  using Type = uint32_t;
};
template <>
struct Narrowed<int64_t> {
  using Type = int32_t;
};
template <>
struct Narrowed<double> {
  using Type = float;
};
template <>
struct Narrowed<std::string_view> {
  using Type = std::string;
};

struct Narrow {
  gguf::Item operator()(const gguf::Array& array) const {
    return std::visit(*this, array.items);
  }
  template <typename T>
  gguf::Item operator()(const std::vector<T>& items) const {
    return std::vector<typename Narrowed<T>::Type>(items.begin(), items.end());
  }
  template <typename T>
  gguf::Item operator()(const T& value) const {
    return static_cast<typename Narrowed<T>::Type>(value);
  }
};

Result<void> Widen(const std::string& in, const std::string& out) {
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(in));
  gguf::Writer writer;
  for (const gguf::Entry& entry : file.metadata()) {
    if (entry.key == "general.file_type") {
      writer.Add(std::string(entry.key), uint32_t{0});  // all F32
    } else {
      writer.Add(std::string(entry.key), std::visit(Narrow(), entry.value));
    }
  }
  for (const gguf::Tensor& tensor : file.tensors()) {
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    DecodeRow(tensor.type, tensor.data, values);
    writer.AddFloats(std::string(tensor.name), DType::kF32, tensor.shape,
                     values);
  }
  return writer.Write(out);
}

}  // namespace
}  // namespace aio::golden

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: widen IN.gguf OUT.gguf\n");
    return 2;
  }
  const auto done = aio::golden::Widen(argv[1], argv[2]);
  if (!done) std::fprintf(stderr, "widen: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
