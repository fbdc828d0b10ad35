// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/agreement.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace aio::orchestrator {
namespace {

bool Within(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

// Latin-1's signs, general punctuation, CJK punctuation and full-width forms.
bool IsPunctuation(char32_t c) {
  return Within(c, 0x80, 0xBF) || Within(c, 0x2000, 0x206F) ||
         Within(c, 0x3000, 0x303F) || Within(c, 0xFF00, 0xFF0F) ||
         Within(c, 0xFF1A, 0xFF20);
}

// Kana and ideographs.
bool IsAlone(char32_t c) {
  return Within(c, 0x3040, 0x30FF) || Within(c, 0x3400, 0x9FFF) ||
         Within(c, 0xF900, 0xFAFF) || Within(c, 0x20000, 0x3FFFF);
}

// Sorted.
std::vector<std::string> WordsOf(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    const std::string_view bytes = text.substr(at, c.size);
    at += c.size;
    if (c.value < 0x80) {
      const char byte = bytes[0];
      if (byte >= 'A' && byte <= 'Z') {
        word += static_cast<char>(byte - 'A' + 'a');
      } else if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9')) {
        word += byte;
      } else {
        finish();
      }
    } else if (!c.valid || IsPunctuation(c.value)) {
      finish();
    } else if (IsAlone(c.value)) {
      finish();
      words.emplace_back(bytes);
    } else {
      word += bytes;
    }
  }
  finish();
  std::sort(words.begin(), words.end());
  return words;
}

}  // namespace

double Agreement(std::string_view a, std::string_view b) {
  const std::vector<std::string> left = WordsOf(a);
  const std::vector<std::string> right = WordsOf(b);
  if (left.empty() && right.empty()) return 1;
  std::vector<std::string> common;
  std::set_intersection(left.begin(), left.end(), right.begin(), right.end(),
                        std::back_inserter(common));
  return 2 * static_cast<double>(common.size()) /
         static_cast<double>(left.size() + right.size());
}

}  // namespace aio::orchestrator
