// SPDX-License-Identifier: Apache-2.0
//
// JSON of a request as values, and values as JSON: the `tojson` filter as
// Hugging Face's chat templates have it (json.dumps with ensure_ascii=False,
// keys in their order, no HTML escapes).
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "jinja/runtime.h"
#include "jinja/value.h"

namespace aio::jinja {

// Strings come out untrusted. An integer above 2^63 - 1 is an error.
Result<Value> FromJson(Runtime& rt, const boost::json::value& json,
                       int depth = 0);

// json.dumps' options.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool pretty = false;  // one item a line, each level indented by `indent`
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// Strings keep their provenance; all that JSON adds is untrusted.
Result<Value> ToJson(Runtime& rt, const Value& value, const JsonStyle& style);

}  // namespace aio::jinja
