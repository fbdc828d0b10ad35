// SPDX-License-Identifier: Apache-2.0
#include "jinja/text.h"

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"

namespace aio::jinja {
namespace {

// C.UTF-8 is built into the C library (glibc 2.35 and later), so that the
// properties do not depend on the user's locale. Null elsewhere: ASCII only.
locale_t Unicode() {
  static const locale_t locale =
      newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr));
  return locale;
}

bool Has(char32_t c, int (*property)(wint_t, locale_t)) {
  if (Unicode() == nullptr) return false;
  return property(static_cast<wint_t>(c), Unicode()) != 0;
}

bool Between(char32_t c, char32_t low, char32_t high) {
  return c >= low && c <= high;
}

}  // namespace

void Text::Append(std::string_view bytes, bool trusted) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), trusted});
  }
}

void Text::Append(const Text& other, size_t begin, size_t end) {
  CHECK(begin <= end && end <= other.size() && &other != this);
  if (begin == end) return;
  for (size_t i = other.RunAt(begin); begin < end; ++i) {
    const size_t stop = std::min(end, other.runs_[i].end);
    Append(other.bytes().substr(begin, stop - begin), other.runs_[i].trusted);
    begin = stop;
  }
}

size_t Text::RunAt(size_t at) const {
  const auto run = std::upper_bound(
      runs_.begin(), runs_.end(), at,
      [](size_t position, const Run& r) { return position < r.end; });
  return static_cast<size_t>(run - runs_.begin());
}

std::string Quoted(std::string_view bytes) {
  std::string out(1, '\'');
  return out.append(bytes.substr(0, 64)).append(1, '\'');
}

size_t Characters(std::string_view bytes) {
  size_t count = 0;
  for (size_t i = 0; i < bytes.size(); ++count) i += DecodeUtf8(bytes, i).size;
  return count;
}

size_t CharacterOffset(std::string_view bytes, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < bytes.size(); --index) {
    at += DecodeUtf8(bytes, at).size;
  }
  return at;
}

size_t CharacterBefore(std::string_view bytes, size_t end) {
  for (size_t back = 2; back <= std::min<size_t>(4, end); ++back) {
    if (DecodeUtf8(bytes, end - back).size == back) return end - back;
  }
  return end - 1;
}

size_t FindBytes(std::string_view bytes, std::string_view needle, size_t from) {
  if (from > bytes.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // glibc's memmem is the two-way algorithm.
  const void* found = memmem(bytes.data() + from, bytes.size() - from,
                             needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
}

size_t FindLastBytes(std::string_view bytes, std::string_view needle) {
  const std::string back(bytes.rbegin(), bytes.rend());
  const std::string back_needle(needle.rbegin(), needle.rend());
  const size_t at = FindBytes(back, back_needle, 0);
  if (at == std::string_view::npos) return at;
  return bytes.size() - at - needle.size();
}

bool IsSpace(char32_t c) {
  return Between(c, 0x09, 0x0D) || Between(c, 0x1C, 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || Between(c, 0x2000, 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsLineBreak(char32_t c) {
  return Between(c, 0x0A, 0x0D) || Between(c, 0x1C, 0x1E) || c == 0x85 ||
         c == 0x2028 || c == 0x2029;
}

bool IsUpper(char32_t c) {
  return c < 0x80 ? Between(c, 'A', 'Z') : Has(c, iswupper_l);
}

bool IsLower(char32_t c) {
  return c < 0x80 ? Between(c, 'a', 'z') : Has(c, iswlower_l);
}

bool IsDigit(char32_t c) { return Between(c, '0', '9'); }

bool IsAlpha(char32_t c) {
  return c < 0x80 ? IsUpper(c) || IsLower(c) : Has(c, iswalpha_l);
}

char32_t ToUpper(char32_t c) {
  if (c < 0x80) return Between(c, 'a', 'z') ? c - 32 : c;
  return Unicode() == nullptr ? c : towupper_l(c, Unicode());
}

char32_t ToLower(char32_t c) {
  if (c < 0x80) return Between(c, 'A', 'Z') ? c + 32 : c;
  return Unicode() == nullptr ? c : towlower_l(c, Unicode());
}

bool IsPrintable(char32_t c) {
  const bool control = c < 0x20 || Between(c, 0x7F, 0xA0) || c == 0xAD ||
                       Between(c, 0x600, 0x605) || c == 0x61C || c == 0x6DD ||
                       c == 0x180E || Between(c, 0x200B, 0x200F) ||
                       Between(c, 0x202A, 0x202E) || Between(c, 0x2060, 0x206F);
  const bool unusual = Between(c, 0xE000, 0xF8FF) || c == 0xFEFF ||
                       Between(c, 0xFFF0, 0xFFFB) || c >= 0xE0000;
  return !control && !unusual && (c == ' ' || !IsSpace(c));
}

}  // namespace aio::jinja
