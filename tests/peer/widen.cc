// SPDX-License-Identifier: Apache-2.0
//
// The same model with every weight in F32, to the value: what a quantized file
// means when nothing is rounded on the way.
//
//   widen IN.gguf OUT.gguf
#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "tensor/block_formats.h"

namespace aio::golden {
namespace {

template <typename To, typename From>
std::vector<To> Each(const std::vector<From>& items) {
  return std::vector<To>(items.begin(), items.end());
}

// File widens numbers; llama.cpp wants them as converters write them.
gguf::Item Narrow(const gguf::Array& array) {
  return std::visit(
      [](const auto& items) -> gguf::Item {
        using T = typename std::decay_t<decltype(items)>::value_type;
        if constexpr (std::is_same_v<T, uint64_t>) {
          return Each<uint32_t>(items);
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return Each<int32_t>(items);
        } else if constexpr (std::is_same_v<T, double>) {
          return Each<float>(items);
        } else if constexpr (std::is_same_v<T, bool>) {
          return items;
        } else {
          return Each<std::string>(items);
        }
      },
      array.items);
}

gguf::Item Narrow(const gguf::Value& value) {
  return std::visit(
      [](const auto& v) -> gguf::Item {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, uint64_t>) {
          return static_cast<uint32_t>(v);
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return static_cast<int32_t>(v);
        } else if constexpr (std::is_same_v<T, double>) {
          return static_cast<float>(v);
        } else if constexpr (std::is_same_v<T, bool>) {
          return v;
        } else if constexpr (std::is_same_v<T, std::string_view>) {
          return std::string(v);
        } else {
          return Narrow(v);
        }
      },
      value);
}

Result<void> Widen(const std::string& in, const std::string& out) {
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(in));
  gguf::Writer writer;
  for (const gguf::Entry& entry : file.metadata()) {
    if (entry.key == "general.file_type") {
      writer.Add(std::string(entry.key), uint32_t{0});  // all F32
    } else {
      writer.Add(std::string(entry.key), Narrow(entry.value));
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
