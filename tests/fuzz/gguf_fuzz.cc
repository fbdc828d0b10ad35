// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a GGUF file: opens or is refused, and whatever it offers can be
// read.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"

namespace {

volatile uint64_t sink;  // keeps the reads below

void Touch(std::string_view text) {
  for (const char c : text) sink = sink + static_cast<uint8_t>(c);
}

void Touch(const aio::gguf::Array& array) {
  if (const auto* texts =
          std::get_if<std::vector<std::string_view>>(&array.items)) {
    for (const auto text : *texts) Touch(text);
  }
  sink = sink + array.size();
}

void Touch(const aio::gguf::File& file, const aio::gguf::Entry& entry) {
  Touch(entry.key);
  CHECK(file.Find(entry.key) == &entry.value);
  if (const auto* text = std::get_if<std::string_view>(&entry.value)) {
    Touch(*text);
  }
  if (const auto* array = std::get_if<aio::gguf::Array>(&entry.value)) {
    Touch(*array);
  }
  const int readable = file.Int(entry.key).has_value() +
                       file.Float(entry.key).has_value() +
                       file.Bool(entry.key, false).has_value() +
                       file.String(entry.key).has_value();
  CHECK(readable <= 1);  // a value has one type
}

void Touch(const aio::gguf::File& file, const aio::gguf::Tensor& tensor) {
  CHECK(file.FindTensor(tensor.name) == &tensor);
  CHECK(tensor.elements() > 0);
  CHECK(!tensor.data.empty());
  sink = sink + static_cast<uint64_t>(tensor.data.front()) +
         static_cast<uint64_t>(tensor.data.back());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file =
      aio::gguf::File::Parse(std::as_bytes(std::span(data, size)));
  if (!file) {
    Touch(file.error().message);
    return 0;
  }
  for (const auto& entry : file->metadata()) Touch(*file, entry);
  for (const auto& tensor : file->tensors()) Touch(*file, tensor);
  return 0;
}
