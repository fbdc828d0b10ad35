// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value, or the reason there is none. Every function that can fail
// for a cause outside this program (a file, a peer, a client, a full queue)
// returns one. Names follow std::expected so that it can replace this class
// when the project moves to C++23.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace aio {

// What the caller may do about it. One table in openai/ maps these to HTTP.
enum class ErrorCode : uint8_t {
  kInvalidArgument,  // the caller's request is wrong; do not retry
  kNotFound,         // no such file, model or variant
  kCorrupt,          // bytes do not follow their format
  kUnsupported,      // valid, but this build cannot do it
  kDenied,           // no or wrong key, or not allowed here
  kOverloaded,       // a bounded queue or the KV pool is full; retry later
  kUnavailable,      // a peer did not answer; another one may
  kDeadline,         // took longer than it was allowed to
  kCancelled,        // the caller went away or asked to stop
  kInternal,         // a library failed in a way that nobody outside can mend
};

// The enumerator's name without the k: "InvalidArgument".
std::string_view CodeName(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;  // for people; code is for programs
  std::string param;    // the request field or config key at fault, if one is
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return v_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  const T& value() const& {
    CHECK(has_value());
    return *std::get_if<0>(&v_);
  }
  T& value() & {
    CHECK(has_value());
    return *std::get_if<0>(&v_);
  }
  T&& value() && {
    CHECK(has_value());
    return std::move(*std::get_if<0>(&v_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  const Error& error() const& {
    CHECK(!has_value());
    return *std::get_if<1>(&v_);
  }
  Error&& error() && {
    CHECK(!has_value());
    return std::move(*std::get_if<1>(&v_));
  }

 private:
  std::variant<T, Error> v_;
};

// Result without a value: `return {};` means it worked.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}

  bool has_value() const { return !failed_; }
  explicit operator bool() const { return !failed_; }
  const Error& error() const& {
    CHECK(failed_);
    return error_;
  }
  Error&& error() && {
    CHECK(failed_);
    return std::move(error_);
  }

 private:
  Error error_{};
  bool failed_ = false;
};

#define AIO_CONCAT2(a, b) a##b
#define AIO_CONCAT(a, b) AIO_CONCAT2(a, b)

// Returns early with the error, if `expr` is one.
#define RETURN_IF_ERROR(expr)                                         \
  do {                                                                \
    if (auto aio_r = (expr); !aio_r) return std::move(aio_r).error(); \
  } while (0)

// ASSIGN_OR_RETURN(auto x, F()): declares x, or returns F's error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_(AIO_CONCAT(aio_r, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_(r, lhs, expr) \
  auto r = (expr);                      \
  if (!r) return std::move(r).error();  \
  lhs = std::move(r).value()

}  // namespace aio
