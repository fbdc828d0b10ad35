// SPDX-License-Identifier: Apache-2.0
#include "eval/json_text.h"

#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <string_view>

namespace aio::eval {
namespace {

namespace json = boost::json;

constexpr int kIndentedLevels = 3;

void AppendNumber(double value, std::string* out) {
  if (!std::isfinite(value)) {
    *out += "null";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value,
                                 std::chars_format::general, 6);
  out->append(text, end.ptr);
}

class Writer {
 public:
  explicit Writer(std::string* out) : out_(out) {}

  void Write(const json::value& value, int level) {
    if (value.is_double()) {
      AppendNumber(value.get_double(), out_);
    } else if (value.is_object()) {
      WriteObject(value.get_object(), level);
    } else if (value.is_array()) {
      WriteArray(value.get_array(), level);
    } else {
      *out_ += json::serialize(value);
    }
  }

 private:
  void WriteObject(const json::object& object, int level) {
    *out_ += '{';
    bool first = true;
    for (const auto& [key, value] : object) {
      Break(&first, level);
      *out_ += json::serialize(json::string(key));
      *out_ += ": ";
      Write(value, level + 1);
    }
    Close(first, level, '}');
  }
  void WriteArray(const json::array& array, int level) {
    *out_ += '[';
    bool first = true;
    for (const json::value& value : array) {
      Break(&first, level);
      Write(value, level + 1);
    }
    Close(first, level, ']');
  }
  void Break(bool* first, int level) {
    if (!*first) *out_ += level < kIndentedLevels ? "," : ", ";
    *first = false;
    if (level < kIndentedLevels) Line(level + 1);
  }
  void Close(bool empty, int level, char bracket) {
    if (!empty && level < kIndentedLevels) Line(level);
    *out_ += bracket;
  }
  void Line(int level) {
    *out_ += '\n';
    out_->append(static_cast<size_t>(level), ' ');
  }

  std::string* out_;
};

}  // namespace

std::string JsonText(const json::value& value) {
  std::string out;
  Writer(&out).Write(value, 0);
  return out + "\n";
}

}  // namespace aio::eval
