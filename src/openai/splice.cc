// SPDX-License-Identifier: Apache-2.0
#include "openai/splice.h"

#include <cstdint>
#include <vector>

#include "openai/json.h"

namespace aio::openai {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Walks over the members of an object known to be valid JSON.
class Members {
 public:
  explicit Members(std::string_view object) : text_(object) {
    Space();
    ++at_;  // {
  }

  // The next member; false if there is none.
  bool Next() {
    Space();
    if (at_ < text_.size() && text_[at_] == ',') ++at_;
    Space();
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    const size_t begin = at_;
    String();
    key_ = text_.substr(begin, at_ - begin);
    Space();
    ++at_;  // :
    Space();
    const size_t value = at_;
    Value();
    value_ = text_.substr(value, at_ - value);
    return true;
  }

  // With its quotes, as it is written.
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

  bool Is(std::string_view key) const {
    const std::string_view inner = key_.substr(1, key_.size() - 2);
    if (inner.find('\\') == std::string_view::npos) return inner == key;
    const auto decoded = ParseJson(key_);
    return decoded && AsString(*decoded) == key;
  }

 private:
  void Space() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }

  void String() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }

  void Value() {
    if (at_ < text_.size() && text_[at_] == '"') return String();
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        String();
        --at_;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return;
        if (--depth == 0) {
          ++at_;
          return;
        }
      } else if (depth == 0 && (c == ',' || IsSpace(c))) {
        return;
      }
    }
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string_view key_, value_;
};

// Line breaks can only stand between tokens: inside strings they are escaped.
void AppendOnOneLine(std::string_view json, std::string* out) {
  const size_t from = out->size();
  out->append(json);
  for (const char line_break : {'\n', '\r'}) {
    size_t at = from;
    while ((at = out->find(line_break, at)) != std::string::npos) {
      (*out)[at] = ' ';
    }
  }
}

void AppendMember(std::string_view quoted_key, std::string_view value,
                  std::string* out) {
  if (out->size() > 1) out->push_back(',');
  out->append(quoted_key).push_back(':');
  AppendOnOneLine(value, out);
}

}  // namespace

std::string Spliced(std::string_view object, std::span<const Splice> splices) {
  std::string out;
  out.reserve(object.size() + 128);
  out.push_back('{');
  uint64_t placed = 0;  // a bit a splice
  Members members(object);
  while (members.Next()) {
    size_t i = 0;
    while (i < splices.size() && !members.Is(splices[i].key)) ++i;
    if (i == splices.size()) {
      AppendMember(members.key(), members.value(), &out);
    } else if (!splices[i].value.empty() && (placed >> i & 1) == 0) {
      AppendMember(members.key(), splices[i].value, &out);
      placed |= uint64_t{1} << i;
    }
  }
  for (size_t i = 0; i < splices.size(); ++i) {
    if (splices[i].value.empty() || (placed >> i & 1) != 0) continue;
    AppendMember(JsonString(splices[i].key), splices[i].value, &out);
  }
  out.push_back('}');
  return out;
}

std::string_view ValueText(std::string_view object, std::string_view key) {
  std::string_view found;
  Members members(object);
  while (members.Next()) {
    if (members.Is(key)) found = members.value();
  }
  return found;
}

}  // namespace aio::openai
