// SPDX-License-Identifier: Apache-2.0
//
// What one rendering has: its limits and what is left of them, the clock, and
// the objects its values point to.
//
// Thread safety: none; one per rendering.
// Invariants: no more than limits.memory_bytes_max is reserved at any time.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jinja/limits.h"
#include "jinja/text.h"
#include "jinja/value.h"

namespace aio::jinja {

// An error of the template's code: Python would raise TypeError and the like.
Error Fail(std::string message);
// Valid Jinja that this evaluator does not know.
Error Unsupported(std::string message);

class Runtime {
 public:
  Runtime(const TemplateLimits& limits, std::chrono::local_seconds now)
      : limits_(limits), now_(now) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const TemplateLimits& limits() const { return limits_; }
  std::chrono::local_seconds now() const { return now_; }

  // False if the rendering has done more than it may; then return OutOfSteps().
  bool Spend(size_t steps = 1) {
    steps_ += steps;
    return steps_ <= limits_.steps_max;
  }
  Error OutOfSteps() const;
  uint64_t steps() const { return steps_; }
  // The steps that handling so many bytes costs.
  static size_t StepsFor(size_t bytes) { return 1 + bytes / 32; }

  // False if that would be too much; then return OutOfMemory().
  bool Reserve(size_t bytes);
  void Release(size_t bytes) { reserved_ -= bytes; }
  Error OutOfMemory() const;
  size_t reserved() const { return reserved_; }

  // Strings give their memory back when their last value is gone.
  Result<Value> NewString(Text text, bool markup = false);
  Result<Value> NewString(std::string_view bytes, bool trusted) {
    return NewString(Text(bytes, trusted));
  }
  // Bytes [begin, end) of `text` with their provenance.
  Result<Value> Substring(const Text& text, size_t begin, size_t end);

  // Objects live until the Runtime ends, and so does their memory.
  Result<Sequence*> NewSequence(Sequence::Kind kind, std::vector<Value> items);
  Result<Sequence*> NewRange(int64_t start, int64_t step, size_t count);
  Result<Dict*> NewDict() { return New<Dict>(); }
  Result<Namespace*> NewNamespace() { return New<Namespace>(); }
  Result<Loop*> NewLoop() { return New<Loop>(); }
  Result<Callable*> NewCallable() { return New<Callable>(); }
  // Sets a key of a dict, paying for its growth.
  Result<void> Set(Dict* dict, const Value& key, Value value);
  Result<void> Set(Dict* dict, std::string_view key, Value value);
  // Appends to a list, paying for its growth.
  Result<void> Append(Sequence* list, Value value);

  // raise_exception(): the error is the template's own and keeps its message.
  Error Raise(std::string message);
  bool raised() const { return raised_; }

 private:
  friend class DepthGuard;
  template <typename T, typename... Args>
  Result<T*> New(Args&&... args) {
    if (!Reserve(sizeof(T) + kObjectBytes)) return OutOfMemory();
    auto object = std::make_unique<T>(std::forward<Args>(args)...);
    T* const raw = object.get();
    objects_.push_back(std::move(object));
    return raw;
  }
  Result<void> SetByCode(Dict* dict, std::string code, Value key, Value value);

  static constexpr size_t kObjectBytes = 32;  // allocator and bookkeeping

  const TemplateLimits limits_;
  const std::chrono::local_seconds now_;
  uint64_t steps_ = 0;
  size_t reserved_ = 0;
  int depth_ = 0;
  bool raised_ = false;
  std::vector<std::unique_ptr<HeapObject>> objects_;
};

// Holds one level of the evaluation depth while it lives.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& runtime) : runtime_(runtime) {
    ++runtime_.depth_;
  }
  ~DepthGuard() { --runtime_.depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

  // False: too deep; return error().
  bool ok() const { return runtime_.depth_ <= runtime_.limits_.depth_max; }
  Error error() const;

 private:
  Runtime& runtime_;
};

// Builds a string within the limits: what does not fit is dropped, and Finish
// says so, so that callers need to check only there. Loops that could go on for
// long ask full().
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  ~TextBuilder() { runtime_.Release(reserved_); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  Runtime& runtime() { return runtime_; }
  void Append(std::string_view bytes, bool trusted);
  void Append(const Text& text, size_t begin, size_t end);
  void Append(const Text& text) { Append(text, 0, text.size()); }
  bool full() const { return full_; }
  bool empty() const { return text_.empty(); }

  // Leave the builder empty.
  Result<Text> Take();
  Result<Value> Finish();

 private:
  bool Fits(size_t bytes);
  void Account();

  Runtime& runtime_;
  Text text_;
  size_t reserved_ = 0;
  bool full_ = false;
};

}  // namespace aio::jinja
