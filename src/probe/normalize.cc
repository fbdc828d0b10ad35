// SPDX-License-Identifier: Apache-2.0
#include "probe/normalize.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/utf8.h"
#include "probe/lexicon.h"

namespace aio::probe {
namespace {

// How many words of each end get a token that tells their place.
constexpr size_t kPlacedWords = 10;

// fastText averages over all tokens of a line, so what is said once fades in a
// long prompt: the features are repeated once for every so many tokens.
constexpr int kWordsPerRepeat = 24;

struct Range {
  char32_t first, last;
};
template <size_t N>
bool In(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](const Range& r) {
    return c >= r.first && c <= r.last;
  });
}

// Scripts written without spaces between words, plus Hangul, whose words are
// too many for a small vocabulary.
bool IsIdeograph(char32_t c) {
  static constexpr std::array<Range, 6> kRanges = {{{0x3040, 0x30FF},
                                                    {0x3400, 0x4DBF},
                                                    {0x4E00, 0x9FFF},
                                                    {0xAC00, 0xD7AF},
                                                    {0xF900, 0xFAFF},
                                                    {0x20000, 0x3134F}}};
  return In(kRanges, c);
}

// Beyond ASCII everything counts as a letter but the blocks of punctuation,
// symbols and spaces; exact categories would need tables and tell no more.
bool IsLetter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  static constexpr std::array<Range, 5> kSymbols = {{{0x80, 0xBF},
                                                     {0x2000, 0x2BFF},
                                                     {0x3000, 0x303F},
                                                     {0xFE00, 0xFFFF},
                                                     {0x1F000, 0x1FAFF}}};
  return c != 0xD7 && c != 0xF7 && !In(kSymbols, c) && !IsIdeograph(c);
}

bool IsSpace(char32_t c) {
  return c == ' ' || c == '\t' || c == '\r' || c == 0xA0 || c == 0x3000 ||
         c == 0xFEFF || (c >= 0x2000 && c <= 0x200F);
}

bool IsDigit(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 0xFF10 && c <= 0xFF19);
}

// Latin, Greek and Cyrillic, where upper and lower case are a fixed step apart.
char32_t Lower(char32_t c) {
  if (c >= 'A' && c <= 'Z') return c + 32;
  if (c < 0xC0) return c;
  if (c <= 0xDE && c != 0xD7) return c + 32;
  if (c >= 0x391 && c <= 0x3A9) return c + 32;
  if (c >= 0x410 && c <= 0x42F) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  return c;
}

// Full-width forms as the ASCII they stand for, the usual quotes as one.
char32_t Fold(char32_t c) {
  if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFEE0;
  switch (c) {
    case 0x2018:
    case 0x2019:
      return '\'';
    case 0x201C:
    case 0x201D:
    case 0x300C:
    case 0x300D:
      return '"';
    case 0x3002:
      return '.';
    case 0x3001:
      return ',';
    default:
      return Lower(c);
  }
}

// Reads a text into tokens and counts what the features need.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) { Read(); }
  Tokens Result() const;

 private:
  enum class Kind : uint8_t { kWord, kIdeograph, kOther };
  struct Token {
    std::string text;
    Kind kind;
  };
  void Read();
  void ReadWord();
  void ReadNumber();
  void ReadLineBreak();
  void ReadSymbol(char32_t c);
  void Features(std::string* out) const;
  void PlacedWords(std::string* out) const;
  void Cues(std::string* out) const;
  uint32_t CuesAt(size_t at) const;
  CodePoint Peek() const { return DecodeUtf8(text_, at_); }
  char32_t FoldedPeek() const { return Fold(Peek().value); }

  const std::string_view text_;
  size_t at_ = 0;
  std::vector<Token> tokens_;
  int words_ = 0, ideographs_ = 0, foreign_ = 0, digits_ = 0, symbols_ = 0;
  int lines_ = 0, indents_ = 0, options_ = 0, options_of_numbers_ = 0, tex_ = 0,
      code_ = 0;
  char32_t last_ = 0;  // the last character that is no space
};

void Reader::Read() {
  while (at_ < text_.size()) {
    const CodePoint raw = Peek();
    const char32_t c = Fold(raw.value);
    if (c == '\n') {
      ReadLineBreak();
      continue;
    }
    if (!IsSpace(c)) last_ = c;
    if (IsSpace(c) || c < ' ') {
      at_ += raw.size;
    } else if (IsIdeograph(c)) {
      ++ideographs_;
      std::string token;
      AppendUtf8(c, &token);
      tokens_.push_back({std::move(token), Kind::kIdeograph});
      at_ += raw.size;
    } else if (IsDigit(c)) {
      ReadNumber();
    } else if (IsLetter(c)) {
      ReadWord();
    } else {
      ReadSymbol(c);
    }
  }
}

void Reader::ReadWord() {
  constexpr size_t kBytesMax = 24;  // longer is an identifier or noise
  std::string word;
  bool foreign = false;
  while (at_ < text_.size()) {
    const CodePoint raw = Peek();
    const char32_t c = Fold(raw.value);
    if (!IsLetter(c)) break;
    foreign = foreign || c >= 0x80;
    if (word.size() < kBytesMax) AppendUtf8(c, &word);
    last_ = c;
    at_ += raw.size;
  }
  ++words_;
  foreign_ += foreign;
  tokens_.push_back({std::move(word), Kind::kWord});
}

void Reader::ReadNumber() {
  int length = 0;
  while (at_ < text_.size() && IsDigit(FoldedPeek())) {
    at_ += Peek().size;
    ++length;
  }
  last_ = '0';
  digits_ += length;
  tokens_.push_back(
      {"<d" + std::to_string(std::min(length, 5)) + ">", Kind::kOther});
}

void Reader::ReadLineBreak() {
  ++at_;
  ++lines_;
  tokens_.push_back({"<nl>", Kind::kOther});
  const size_t start = at_;
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) {
    ++at_;
  }
  if (at_ - start >= 2 || (at_ > start && text_[start] == '\t')) {
    ++indents_;
    tokens_.push_back({"<in>", Kind::kOther});
  }
  // "(A)", "A." or "A)" at the start of a line is an answer to choose.
  const std::string_view rest = text_.substr(at_, 3);
  const size_t letter = !rest.empty() && rest[0] == '(' ? 1 : 0;
  if (rest.size() > letter + 1 && rest[letter] >= 'A' && rest[letter] <= 'E' &&
      (rest[letter + 1] == ')' || (letter == 0 && rest[letter + 1] == '.'))) {
    ++options_;
    size_t from = at_ + letter + 2;
    while (from < text_.size() && text_[from] == ' ') ++from;
    const char first = from < text_.size() ? text_[from] : 0;
    options_of_numbers_ +=
        IsDigit(first) || first == '$' || first == '-' || first == '\\';
    at_ += letter + 2;
  }
}

void Reader::ReadSymbol(char32_t c) {
  int run = 0;
  while (at_ < text_.size() && FoldedPeek() == c) {
    at_ += Peek().size;
    ++run;
  }
  ++symbols_;
  if (c == '$' || c == '\\' || c == '^') ++tex_;
  if (c == '{' || c == '}' || c == ';' || c == '=' || c == '_' || c == '`' ||
      c == '#' || c == '<' || c == '>' || c == '[' || c == ']') {
    ++code_;
  }
  std::string token;
  AppendUtf8(c, &token);
  if (run > 1) token += token;
  tokens_.push_back({std::move(token), Kind::kOther});
}

// 0 for none, then 1 + log2, capped.
int Level(int count, int most) {
  int level = 0;
  while (count > 0 && level < most) {
    count >>= 1;
    ++level;
  }
  return level;
}

void Reader::Features(std::string* out) const {
  const auto add = [out](const char* name, int level) {
    *out += std::string("<") + name + ":" + std::to_string(level) + "> ";
  };
  const int units = std::max(1, words_ + ideographs_);
  const int marks = std::max<int>(1, static_cast<int>(tokens_.size()));
  add("len", Level(units / 4, 7));
  add("lines", Level(lines_, 4));
  add("han", 4 * ideographs_ / units);
  add("foreign", 4 * foreign_ / units);
  add("digits", std::min(4, 16 * digits_ / marks));
  add("symbols", std::min(5, 10 * symbols_ / marks));
  add("choice", options_ < 3 ? 0 : options_of_numbers_ >= 2 ? 2 : 1);
  add("tex", Level(tex_, 3));
  add("code", Level(code_, 5));
  add("in", Level(indents_, 3));
  const char* end = last_ == '?'   ? "?"
                    : last_ == '.' ? "."
                    : last_ == ':' ? ":"
                    : last_ == '"' ? "q"
                    : last_ == ')' ? ")"
                                   : "-";
  *out += std::string("<end:") + end + "> ";
}

void Reader::PlacedWords(std::string* out) const {
  std::vector<const std::string*> words;
  for (const Token& token : tokens_) {
    if (token.kind != Kind::kOther) words.push_back(&token.text);
  }
  const size_t n = std::min(kPlacedWords, words.size());
  for (size_t i = 0; i < n; ++i) *out += "^" + *words[i] + " ";
  for (size_t i = words.size() - n; i < words.size(); ++i) {
    *out += *words[i] + "$ ";
  }
}

// Of the word at `at`, alone and with its neighbours.
uint32_t Reader::CuesAt(size_t at) const {
  uint32_t cues = CuesOf(tokens_[at].text);
  std::string joined = tokens_[at].text;
  const bool ideograph = tokens_[at].kind == Kind::kIdeograph;
  const size_t longest = ideograph ? 4 : 2;
  for (size_t n = 1; n < longest && at + n < tokens_.size(); ++n) {
    if (tokens_[at + n].kind != tokens_[at].kind) break;
    if (!ideograph) joined += ' ';
    joined += tokens_[at + n].text;
    cues |= CuesOf(joined);
  }
  return cues;
}

void Reader::Cues(std::string* out) const {
  constexpr size_t kPlaced = 12;
  std::array<int, kCues> count{};
  uint32_t first = 0, last = 0;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].kind == Kind::kOther) continue;
    const uint32_t cues = CuesAt(i);
    if (i < kPlaced) first |= cues;
    if (i + kPlaced >= tokens_.size()) last |= cues;
    for (size_t c = 0; c < kCues; ++c) count[c] += cues >> c & 1;
  }
  for (size_t c = 0; c < kCues; ++c) {
    const std::string name = std::to_string(c);
    *out += "<cue" + name + ":" + std::to_string(Level(count[c], 3)) + "> ";
    if (first >> c & 1) *out += "<^cue" + name + "> ";
    if (last >> c & 1) *out += "<cue" + name + "$> ";
  }
}

Tokens Reader::Result() const {
  Tokens out;
  Features(&out.features);
  Cues(&out.features);
  PlacedWords(&out.features);
  out.repeats = 1 + static_cast<int>(tokens_.size()) / kWordsPerRepeat;
  for (const Token& token : tokens_) out.words += token.text + " ";
  return out;
}

}  // namespace

std::string_view TextOf(const core::Request& request) {
  if (!request.chat) return request.prompt;
  for (auto m = request.messages.rbegin(); m != request.messages.rend(); ++m) {
    if (m->role == core::Role::kUser) return m->content;
  }
  return request.messages.empty() ? std::string_view()
                                  : request.messages.back().content;
}

std::string Window(std::string_view text) {
  if (text.size() <= 2 * kWindowBytes) return std::string(text);
  const auto continues = [text](size_t at) {
    return (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80;
  };
  // At most 3 steps: a run of continuation bytes longer than that is no UTF-8.
  size_t head = kWindowBytes, tail = text.size() - kWindowBytes;
  for (int i = 0; i < 3 && continues(head); ++i) --head;
  for (int i = 0; i < 3 && continues(tail); ++i) ++tail;
  std::string out(text.substr(0, head));
  out += ' ';
  out += text.substr(tail);
  return out;
}

Tokens Normalize(std::string_view text) {
  const std::string window = Window(text);
  return Reader(window).Result();
}

std::string Line(const Tokens& tokens) {
  std::string line;
  for (int i = 0; i < tokens.repeats; ++i) line += tokens.features;
  return line + tokens.words;
}

}  // namespace aio::probe
