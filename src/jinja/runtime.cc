// SPDX-License-Identifier: Apache-2.0
#include "jinja/runtime.h"

#include <algorithm>

namespace aio::jinja {
namespace {

constexpr size_t kTextBytes = 96;  // a Text, its control block, two allocations

std::string Over(std::string_view what, uint64_t limit) {
  return "the template exceeds its limit of " + std::to_string(limit) + " " +
         std::string(what);
}

}  // namespace

Error Fail(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), ""};
}

Error Unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message), ""};
}

Runtime::~Runtime() {
  // Values inside objects release strings into reserved_, so they go first.
  objects_.clear();
}

Error Runtime::OutOfSteps() const {
  return Fail(Over("steps", limits_.steps_max));
}

bool Runtime::Reserve(size_t bytes) {
  if (bytes > limits_.memory_bytes_max - reserved_) return false;
  reserved_ += bytes;
  return true;
}

Error Runtime::OutOfMemory() const {
  return Fail(Over("bytes of memory", limits_.memory_bytes_max));
}

Result<Value> Runtime::NewString(Text text, bool markup) {
  const size_t bytes = kTextBytes + text.memory();
  if (text.size() > limits_.string_bytes_max) {
    return Fail(Over("bytes in one string", limits_.string_bytes_max));
  }
  if (!Spend()) return OutOfSteps();
  if (!Reserve(bytes)) return OutOfMemory();
  const auto release = [this, bytes](const Text* t) {
    delete t;
    Release(bytes);
  };
  return Value::Str(TextPtr(new Text(std::move(text)), release), markup);
}

Result<Value> Runtime::Substring(const Text& text, size_t begin, size_t end) {
  TextBuilder out(*this);
  out.Append(text, begin, end);
  return out.Finish();
}

Result<Sequence*> Runtime::NewSequence(Sequence::Kind kind,
                                       std::vector<Value> items) {
  if (!Reserve(items.size() * sizeof(Value))) return OutOfMemory();
  if (!Spend(1 + items.size())) return OutOfSteps();
  return New<Sequence>(kind, std::move(items));
}

Result<Sequence*> Runtime::NewRange(int64_t start, int64_t step, size_t count) {
  return New<Sequence>(start, step, count);
}

Result<void> Runtime::SetByCode(Dict* dict, std::string code, Value key,
                                Value value) {
  if (!Spend(StepsFor(code.size()))) return OutOfSteps();
  if (!Reserve(Dict::kEntryBytes + 2 * code.size())) return OutOfMemory();
  dict->Set(std::move(code), std::move(key), std::move(value));
  return {};
}

Result<void> Runtime::Set(Dict* dict, const Value& key, Value value) {
  ASSIGN_OR_RETURN(std::string code, KeyCode(key));
  return SetByCode(dict, std::move(code), key, std::move(value));
}

Result<void> Runtime::Set(Dict* dict, std::string_view key, Value value) {
  ASSIGN_OR_RETURN(Value name, NewString(key, false));
  return SetByCode(dict, StringKeyCode(key), std::move(name), std::move(value));
}

Result<void> Runtime::Append(Sequence* list, Value value) {
  if (!Spend()) return OutOfSteps();
  if (!Reserve(2 * sizeof(Value))) return OutOfMemory();
  list->items().push_back(std::move(value));
  return {};
}

Error Runtime::Raise(std::string message) {
  raised_ = true;
  return Fail(std::move(message));
}

Error DepthGuard::error() const {
  return Fail(Over("levels of nesting",
                   static_cast<uint64_t>(runtime_.limits_.depth_max)));
}

bool TextBuilder::Fits(size_t bytes) {
  const size_t room = runtime_.limits().string_bytes_max - text_.size();
  if (full_ || bytes > room || !runtime_.Spend(Runtime::StepsFor(bytes))) {
    full_ = true;
  }
  return !full_;
}

void TextBuilder::Account() {
  const size_t now = text_.memory();
  if (now <= reserved_) return;
  if (runtime_.Reserve(now - reserved_)) {
    reserved_ = now;
  } else {
    full_ = true;
  }
}

void TextBuilder::Append(std::string_view bytes, bool trusted) {
  if (!Fits(bytes.size())) return;
  text_.Append(bytes, trusted);
  Account();
}

void TextBuilder::Append(const Text& text, size_t begin, size_t end) {
  if (!Fits(end - begin)) return;
  text_.Append(text, begin, end);
  Account();
}

Result<Text> TextBuilder::Take() {
  if (full_) {
    if (!runtime_.Spend(0)) return runtime_.OutOfSteps();
    if (!runtime_.Reserve(0) || text_.memory() > reserved_) {
      return runtime_.OutOfMemory();
    }
    return Fail(
        Over("bytes in one string", runtime_.limits().string_bytes_max));
  }
  runtime_.Release(reserved_);
  reserved_ = 0;
  return std::exchange(text_, Text());
}

Result<Value> TextBuilder::Finish() {
  ASSIGN_OR_RETURN(Text text, Take());
  return runtime_.NewString(std::move(text));
}

}  // namespace aio::jinja
