// SPDX-License-Identifier: Apache-2.0
#include "jinja/value.h"

#include <bit>
#include <cmath>

namespace aio::jinja {
namespace {

constexpr size_t kIndexFrom = 12;  // entries from which Dict keeps an index
constexpr int kKeyDepthMax = 20;   // of tuples within tuples
constexpr size_t kKeyCodeMax = 1 << 20;  // bytes of a tuple's code

}  // namespace

std::optional<int64_t> Value::AsInt() const {
  if (integer()) return *integer();
  if (boolean()) return *boolean() ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::AsDouble() const {
  if (number()) return *number();
  if (const auto i = AsInt()) return static_cast<double>(*i);
  return std::nullopt;
}

std::string Value::Why() const {
  const Undefined* undefined = As<Undefined>();
  return undefined == nullptr ? "" : std::string(undefined->why->bytes());
}

std::string StringKeyCode(std::string_view key) {
  std::string code = "s";
  code.append(key);
  return code;
}

Result<std::string> KeyCode(const Value& key, int depth) {
  if (key.text()) return StringKeyCode(key.text()->bytes());
  if (key.is_none()) return std::string("n");
  if (key.is_undefined()) return std::string("u");
  if (const auto i = key.AsInt()) return std::to_string(*i).insert(0, 1, 'i');
  if (const double* d = key.number()) {
    const bool whole = std::trunc(*d) == *d && std::abs(*d) < 0x1p63;
    if (whole) return KeyCode(Value::Int(static_cast<int64_t>(*d)));
    return std::to_string(std::bit_cast<uint64_t>(*d)).insert(0, 1, 'f');
  }
  const Sequence* tuple = key.sequence();
  if (tuple && tuple->kind() == Sequence::Kind::kTuple &&
      depth < kKeyDepthMax) {
    std::string code = "t";
    for (size_t i = 0; i < tuple->size(); ++i) {
      ASSIGN_OR_RETURN(const std::string part,
                       KeyCode(tuple->at(i), depth + 1));
      code += std::to_string(part.size()) + ":" + part;
      if (code.size() > kKeyCodeMax) break;
    }
    if (code.size() <= kKeyCodeMax) return code;
  }
  return Error{ErrorCode::kInvalidArgument,
               "a value of this type cannot be a key (unhashable)", ""};
}

size_t Dict::IndexOf(std::string_view code) const {
  if (!index_.empty()) {
    const auto it = index_.find(code);
    return it == index_.end() ? entries_.size() : it->second;
  }
  size_t i = 0;
  while (i < entries_.size() && entries_[i].code != code) ++i;
  return i;
}

const Value* Dict::Find(std::string_view code) const {
  const size_t i = IndexOf(code);
  return i < entries_.size() ? &entries_[i].value : nullptr;
}

const Value* Dict::FindString(std::string_view key) const {
  return Find(StringKeyCode(key));
}

void Dict::Set(std::string code, Value key, Value value) {
  const size_t i = IndexOf(code);
  if (i < entries_.size()) {
    entries_[i].value = std::move(value);
    return;
  }
  entries_.push_back({std::move(code), std::move(key), std::move(value)});
  if (entries_.size() == kIndexFrom) {
    for (size_t j = 0; j < i; ++j) index_.emplace(entries_[j].code, j);
  }
  if (entries_.size() >= kIndexFrom) index_.emplace(entries_[i].code, i);
}

bool Dict::Erase(std::string_view code) {
  const size_t at = IndexOf(code);
  if (at == entries_.size()) return false;
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(at));
  index_.clear();
  for (size_t i = 0; entries_.size() >= kIndexFrom && i < entries_.size();
       ++i) {
    index_.emplace(entries_[i].code, i);
  }
  return true;
}

}  // namespace aio::jinja
