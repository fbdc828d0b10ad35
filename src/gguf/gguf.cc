// SPDX-License-Identifier: Apache-2.0
#include "gguf/gguf.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <utility>

#include "base/mapped_file.h"
#include "base/random.h"
#include "gguf/parse.h"
#include "gguf/split.h"

namespace aio::gguf {

struct File::State {
  std::string path;
  std::vector<MappedFile> maps;  // moves keep the addresses
  Part first;                    // with the tensors of all parts
  std::vector<uint32_t> by_name;
  int64_t file_bytes = 0;
  int64_t modified_ns = 0;

  Result<void> IndexTensors();
};

namespace {

Error Corrupt(std::string_view key, const std::string& what) {
  return {ErrorCode::kCorrupt, "metadata " + Quote(key) + " " + what, ""};
}

// The value as T; kCorrupt if the key is absent or holds another type.
template <typename T>
Result<T> Typed(const File& file, std::string_view key, const char* type) {
  const Value* value = file.Find(key);
  if (value == nullptr) return Corrupt(key, "is missing");
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) return Corrupt(key, std::string("is not ") + type);
  return *typed;
}

Error WithPath(const std::string& path, Error error) {
  error.message = path + ": " + error.message;
  return error;
}

Error NotSplitName(const std::string& path) {
  return {ErrorCode::kInvalidArgument,
          path +
              ": part of a split model, but its name does not end in "
              "-00001-of-00003.gguf or alike, so the other parts cannot be "
              "found",
          ""};
}

// Maps and checks part `index`; `first` gets its tensors, and all the rest too
// if it is the first.
Result<MappedFile> OpenPart(const SplitName& name, int index, Part* first) {
  const std::string path = name.PathOf(index);
  auto map = MappedFile::Open(path);
  if (!map) {
    Error error = std::move(map).error();
    error.message = "part " + std::to_string(index + 1) + " of " +
                    std::to_string(name.count) + ": " + error.message;
    return error;
  }
  auto part = ParsePart(map->bytes());
  if (!part) return WithPath(path, std::move(part).error());
  auto fits = CheckSplit(*part, index, name.count);
  if (!fits) return WithPath(path, std::move(fits).error());
  if (index == 0) {
    *first = std::move(part).value();
  } else {
    std::move(part->tensors.begin(), part->tensors.end(),
              std::back_inserter(first->tensors));
  }
  return map;
}

}  // namespace

size_t Array::size() const {
  return std::visit([](const auto& list) { return list.size(); }, items);
}

int64_t Tensor::elements() const {
  int64_t product = 1;  // cannot overflow: ParsePart checked it
  for (const int64_t size : shape) product *= size;
  return product;
}

Result<void> File::State::IndexTensors() {
  ASSIGN_OR_RETURN(by_name, SortByName(NamesOf(first.tensors), "tensor"));
  return {};
}

Result<File> File::Parse(std::span<const std::byte> bytes) {
  auto state = std::make_shared<State>();
  ASSIGN_OR_RETURN(state->first, ParsePart(bytes));
  ASSIGN_OR_RETURN(const int64_t parts, SplitCount(state->first));
  if (parts > 1) {
    return Error{ErrorCode::kUnsupported,
                 "part of a split model, which needs its other files", ""};
  }
  RETURN_IF_ERROR(state->IndexTensors());
  state->file_bytes = static_cast<int64_t>(bytes.size());
  return File(std::move(state));
}

Result<File> File::Open(const std::string& path) {
  ASSIGN_OR_RETURN(auto map, MappedFile::Open(path));
  auto part = ParsePart(map.bytes());
  if (!part) return WithPath(path, std::move(part).error());
  auto parts = SplitCount(*part);
  if (!parts) return WithPath(path, std::move(parts).error());

  auto state = std::make_shared<State>();
  state->path = path;
  if (*parts == 1) {
    state->first = std::move(part).value();
    state->maps.push_back(std::move(map));
  } else {
    const auto name = ParseSplitName(path);
    if (!name) return NotSplitName(path);
    for (int i = 0; i < name->count; ++i) {
      ASSIGN_OR_RETURN(auto next, OpenPart(*name, i, &state->first));
      state->maps.push_back(std::move(next));
    }
    auto complete =
        CheckSplitTensors(state->first, state->first.tensors.size());
    if (!complete) return WithPath(path, std::move(complete).error());
  }
  auto indexed = state->IndexTensors();
  if (!indexed) return WithPath(path, std::move(indexed).error());
  for (const MappedFile& each : state->maps) {
    state->file_bytes += static_cast<int64_t>(each.bytes().size());
    state->modified_ns = std::max(state->modified_ns, each.modified_ns());
  }
  return File(std::move(state));
}

uint32_t File::version() const { return state_->first.version; }

const std::vector<Entry>& File::metadata() const {
  return state_->first.metadata;
}

const std::vector<Tensor>& File::tensors() const {
  return state_->first.tensors;
}

int64_t File::file_bytes() const { return state_->file_bytes; }

int64_t File::modified_ns() const { return state_->modified_ns; }

uint64_t File::SampleHash() const {
  uint64_t h = Mix(static_cast<uint64_t>(file_bytes()));
  const auto add = [&](const void* data, size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) h = Mix(h ^ bytes[i]);
  };
  for (const Tensor& tensor : tensors()) {
    add(tensor.name.data(), tensor.name.size());
    const size_t n = std::min<size_t>(64, tensor.data.size());
    add(tensor.data.data(), n);
    add(tensor.data.data() + tensor.data.size() - n, n);
  }
  return h;
}

void File::Forget(std::span<const std::byte> data) const {
  const auto begin = reinterpret_cast<uintptr_t>(data.data());
  for (const MappedFile& map : state_->maps) {
    const auto first = reinterpret_cast<uintptr_t>(map.bytes().data());
    if (begin >= first && begin - first + data.size() <= map.bytes().size()) {
      return map.Forget(data);
    }
  }
}

const std::string& File::path() const { return state_->path; }

const Value* File::Find(std::string_view key) const {
  return state_->first.Find(key);
}

const Tensor* File::FindTensor(std::string_view name) const {
  const auto& tensors = state_->first.tensors;
  const auto& order = state_->by_name;
  const auto at = std::lower_bound(
      order.begin(), order.end(), name,
      [&](uint32_t i, std::string_view n) { return tensors[i].name < n; });
  if (at == order.end() || tensors[*at].name != name) return nullptr;
  return &tensors[*at];
}

Result<int64_t> File::Int(std::string_view key) const {
  const Value* value = Find(key);
  if (value == nullptr) return Corrupt(key, "is missing");
  if (const auto* i = std::get_if<int64_t>(value)) return *i;
  const auto* u = std::get_if<uint64_t>(value);
  if (u == nullptr) return Corrupt(key, "is not an integer");
  if (!std::in_range<int64_t>(*u)) return Corrupt(key, "is too large");
  return static_cast<int64_t>(*u);
}

Result<int64_t> File::Int(std::string_view key, int64_t fallback) const {
  if (Find(key) == nullptr) return fallback;
  return Int(key);
}

Result<double> File::Float(std::string_view key) const {
  ASSIGN_OR_RETURN(const double value, Typed<double>(*this, key, "a float"));
  // No key of any model means infinity, and a NaN would pass range checks.
  if (!std::isfinite(value)) return Corrupt(key, "is not a finite number");
  return value;
}

Result<double> File::Float(std::string_view key, double fallback) const {
  if (Find(key) == nullptr) return fallback;
  return Float(key);
}

Result<bool> File::Bool(std::string_view key, bool fallback) const {
  if (Find(key) == nullptr) return fallback;
  return Typed<bool>(*this, key, "a boolean");
}

Result<std::string> File::String(std::string_view key) const {
  ASSIGN_OR_RETURN(const auto text,
                   Typed<std::string_view>(*this, key, "a string"));
  return std::string(text);
}

Result<std::string> File::String(std::string_view key,
                                 std::string_view fallback) const {
  if (Find(key) == nullptr) return std::string(fallback);
  return String(key);
}

}  // namespace aio::gguf
