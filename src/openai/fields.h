// SPDX-License-Identifier: Apache-2.0
//
// Reads a JSON object field by field with its type and range checked. The first
// thing wrong is kept and ends the reading; Finish() reports it, or a key that
// nobody asked for.
//
// Thread safety: none; lives on the stack of one parse.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace aio::openai {

class Fields {
 public:
  // `prefix` names the object in errors: "aio." or "". `object` must outlive
  // this. `foreign`, if there is one, keeps what would be wrong only here: the
  // first refusal or unknown key, which then is no error.
  Fields(const boost::json::object& object, std::string prefix,
         std::optional<Error>* foreign = nullptr)
      : object_(object), prefix_(std::move(prefix)), foreign_(foreign) {}

  // The value at `key`; null if absent, null, or something is wrong already.
  // Every key so asked for counts as known.
  const boost::json::value* Get(std::string_view key);

  // Each leaves `out` as it is when the field is absent. Bounds are inclusive.
  void Number(std::string_view key, double min, double max, float* out);
  std::optional<int64_t> Integer(std::string_view key, int64_t min,
                                 int64_t max);
  void Bool(std::string_view key, bool* out);
  void String(std::string_view key, std::string* out);
  const boost::json::object* Object(std::string_view key);

  // Keys that are accepted whatever they hold.
  void Accept(std::initializer_list<std::string_view> keys);
  // A field we cannot carry out: wrong unless `harmless` says that its value
  // asks for nothing.
  void Refuse(std::string_view key,
              bool (*harmless)(const boost::json::value& value));

  void Fail(ErrorCode code, std::string_view key, std::string message);
  // What is wrong unless there is somebody to pass it on to.
  void Pass(Error error);
  bool ok() const { return !error_.has_value(); }
  Result<void> Finish();

 private:
  const boost::json::object& object_;
  std::string prefix_;
  std::optional<Error>* foreign_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

}  // namespace aio::openai
