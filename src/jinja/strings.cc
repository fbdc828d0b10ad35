// SPDX-License-Identifier: Apache-2.0
#include "jinja/strings.h"

#include <algorithm>

#include "base/utf8.h"

namespace aio::jinja {
namespace {

// Appends the character `c` that text has at `at`, as `to` would have it.
void AppendMapped(const Text& text, size_t at, const CodePoint& c, char32_t to,
                  TextBuilder* out) {
  if (!c.valid || c.value == to) {
    out->Append(text, at, at + c.size);
    return;
  }
  std::string mapped;
  AppendUtf8(to, &mapped);
  out->Append(mapped, text.TrustedAt(at));
}

// The case of the next character, given what stands before it.
char32_t Mapped(char32_t c, Case to, bool first, bool in_word) {
  switch (to) {
    case Case::kUpper:
      return ToUpper(c);
    case Case::kLower:
      return ToLower(c);
    case Case::kCapitalize:
      return first ? ToUpper(c) : ToLower(c);
    case Case::kTitle:
      return in_word ? ToLower(c) : ToUpper(c);
    case Case::kSwap:
      return IsUpper(c) ? ToLower(c) : ToUpper(c);
  }
  return c;
}

// Whether the character at `at` is one to strip.
bool Strippable(std::string_view bytes, size_t at, size_t size,
                const std::optional<std::string_view>& chars) {
  if (!chars) return IsSpace(DecodeUtf8(bytes, at).value);
  const std::string_view character = bytes.substr(at, size);
  for (size_t i = 0; i < chars->size();) {
    const size_t width = DecodeUtf8(*chars, i).size;
    if (chars->substr(i, width) == character) return true;
    i += width;
  }
  return false;
}

// Collects pieces while the list that will hold them could fit the memory.
class PieceList {
 public:
  explicit PieceList(Runtime& rt)
      : rt_(rt), most_(rt.limits().memory_bytes_max / kBytesEach) {}
  void Add(size_t begin, size_t end) { pieces_.emplace_back(begin, end); }
  bool full() const { return pieces_.size() > most_; }
  int64_t size() const { return static_cast<int64_t>(pieces_.size()); }
  Result<Pieces> Finish(bool reversed = false) {
    if (full()) return rt_.OutOfMemory();
    if (reversed) std::reverse(pieces_.begin(), pieces_.end());
    return std::move(pieces_);
  }

 private:
  static constexpr size_t kBytesEach = 128;  // a short string in a list
  Runtime& rt_;
  const size_t most_;
  Pieces pieces_;
};

// Moves `at` over white space, or over anything else.
size_t SkipForward(std::string_view bytes, size_t at, bool space) {
  while (at < bytes.size()) {
    const CodePoint c = DecodeUtf8(bytes, at);
    if (IsSpace(c.value) != space) break;
    at += c.size;
  }
  return at;
}

size_t SkipBack(std::string_view bytes, size_t at, bool space) {
  while (at > 0) {
    const size_t before = CharacterBefore(bytes, at);
    if (IsSpace(DecodeUtf8(bytes, before).value) != space) break;
    at = before;
  }
  return at;
}

Result<Pieces> SplitAtSpaces(Runtime& rt, std::string_view bytes,
                             int64_t count) {
  PieceList pieces(rt);
  size_t at = SkipForward(bytes, 0, true);
  while (at < bytes.size() && !pieces.full()) {
    const bool last = pieces.size() == count;
    const size_t end = last ? bytes.size() : SkipForward(bytes, at, false);
    pieces.Add(at, end);
    at = SkipForward(bytes, end, true);
  }
  return pieces.Finish();
}

Result<Pieces> SplitAtSpacesFromRight(Runtime& rt, std::string_view bytes,
                                      int64_t count) {
  PieceList pieces(rt);
  size_t end = SkipBack(bytes, bytes.size(), true);
  while (end > 0 && !pieces.full()) {
    const bool last = pieces.size() == count;
    const size_t begin = last ? 0 : SkipBack(bytes, end, false);
    pieces.Add(begin, end);
    end = SkipBack(bytes, begin, true);
  }
  return pieces.Finish(true);
}

Result<Pieces> SplitAt(Runtime& rt, std::string_view bytes,
                       std::string_view separator, int64_t count) {
  PieceList pieces(rt);
  size_t begin = 0;
  while (pieces.size() != count && !pieces.full()) {
    const size_t at = FindBytes(bytes, separator, begin);
    if (at == std::string_view::npos) break;
    pieces.Add(begin, at);
    begin = at + separator.size();
  }
  pieces.Add(begin, bytes.size());
  return pieces.Finish();
}

// The mirror image of SplitAt, on the mirror images of its texts.
Result<Pieces> SplitAtFromRight(Runtime& rt, std::string_view bytes,
                                std::string_view separator, int64_t count) {
  const std::string back(bytes.rbegin(), bytes.rend());
  const std::string back_separator(separator.rbegin(), separator.rend());
  ASSIGN_OR_RETURN(Pieces pieces, SplitAt(rt, back, back_separator, count));
  std::reverse(pieces.begin(), pieces.end());
  for (auto& [begin, end] : pieces) {
    begin = bytes.size() - begin;
    end = bytes.size() - end;
    std::swap(begin, end);
  }
  return pieces;
}

// replace('', x): x before each character and at the end.
Result<Value> Interleave(Runtime& rt, const Text& text, const Text& part,
                         int64_t count) {
  TextBuilder out(rt);
  size_t i = 0;
  for (; count != 0 && !out.full(); --count) {
    out.Append(part);
    if (i == text.size()) break;
    const size_t size = DecodeUtf8(text.bytes(), i).size;
    out.Append(text, i, i + size);
    i += size;
  }
  out.Append(text, i, text.size());
  return out.Finish();
}

}  // namespace

Result<Value> ChangeCase(Runtime& rt, const Text& text, Case to) {
  TextBuilder out(rt);
  bool in_word = false;
  for (size_t i = 0; i < text.size() && !out.full();) {
    const CodePoint c = DecodeUtf8(text.bytes(), i);
    AppendMapped(text, i, c, Mapped(c.value, to, i == 0, in_word), &out);
    in_word = IsUpper(c.value) || IsLower(c.value);
    i += c.size;
  }
  return out.Finish();
}

Result<Value> JinjaTitle(Runtime& rt, const Text& text) {
  TextBuilder out(rt);
  bool first = true;
  for (size_t i = 0; i < text.size() && !out.full();) {
    const CodePoint c = DecodeUtf8(text.bytes(), i);
    const char32_t to = first ? ToUpper(c.value) : ToLower(c.value);
    AppendMapped(text, i, c, to, &out);
    first = IsSpace(c.value) ||
            std::u32string_view(U"-({[<").find(c.value) != std::u32string::npos;
    i += c.size;
  }
  return out.Finish();
}

Result<Value> Strip(Runtime& rt, const Text& text,
                    std::optional<std::string_view> chars, Side side) {
  const std::string_view bytes = text.bytes();
  size_t begin = 0, end = bytes.size();
  const size_t cost = chars ? 1 + chars->size() / 8 : 1;  // per character
  while (side != Side::kRight && begin < end) {
    const size_t size = DecodeUtf8(bytes, begin).size;
    if (!Strippable(bytes, begin, size, chars)) break;
    begin += size;
    if (!rt.Spend(cost)) return rt.OutOfSteps();
  }
  while (side != Side::kLeft && begin < end) {
    const size_t last = CharacterBefore(bytes, end);
    if (!Strippable(bytes, last, end - last, chars)) break;
    end = last;
    if (!rt.Spend(cost)) return rt.OutOfSteps();
  }
  return rt.Substring(text, begin, end);
}

Result<Value> Replace(Runtime& rt, const Text& text, const Text& old_part,
                      const Text& new_part, int64_t count) {
  if (old_part.empty()) return Interleave(rt, text, new_part, count);
  if (!rt.Spend(Runtime::StepsFor(text.size()))) return rt.OutOfSteps();
  TextBuilder out(rt);
  size_t done = 0;
  for (; count != 0 && !out.full(); --count) {
    const size_t at = FindBytes(text.bytes(), old_part.bytes(), done);
    if (at == std::string_view::npos) break;
    out.Append(text, done, at);
    out.Append(new_part);
    done = at + old_part.size();
  }
  out.Append(text, done, text.size());
  return out.Finish();
}

Result<int64_t> CountOf(Runtime& rt, std::string_view bytes,
                        std::string_view part) {
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  int64_t count = 0;
  for (size_t at = FindBytes(bytes, part, 0); at != std::string_view::npos;
       at = FindBytes(bytes, part, at + part.size())) {
    ++count;
  }
  return count;
}

Result<Pieces> Split(Runtime& rt, std::string_view bytes,
                     const Splitting& how) {
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  if (!how.separator) {
    return how.from_right ? SplitAtSpacesFromRight(rt, bytes, how.count)
                          : SplitAtSpaces(rt, bytes, how.count);
  }
  return how.from_right ? SplitAtFromRight(rt, bytes, *how.separator, how.count)
                        : SplitAt(rt, bytes, *how.separator, how.count);
}

Result<Pieces> SplitLines(Runtime& rt, std::string_view bytes, bool keep_ends) {
  if (!rt.Spend(Runtime::StepsFor(bytes.size()))) return rt.OutOfSteps();
  PieceList pieces(rt);
  size_t begin = 0;
  for (size_t i = 0; i < bytes.size() && !pieces.full();) {
    const CodePoint c = DecodeUtf8(bytes, i);
    size_t next = i + c.size;
    if (IsLineBreak(c.value)) {
      if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
      pieces.Add(begin, keep_ends ? next : i);
      begin = next;
    }
    i = next;
  }
  if (begin < bytes.size()) pieces.Add(begin, bytes.size());
  return pieces.Finish();
}

Result<Value> ListOfPieces(Runtime& rt, const Text& text,
                           const Pieces& pieces) {
  std::vector<Value> items;
  for (const auto& [begin, end] : pieces) {
    Result<Value> piece = rt.Substring(text, begin, end);
    if (!piece) return std::move(piece).error();
    items.push_back(*std::move(piece));
  }
  ASSIGN_OR_RETURN(Sequence* const list,
                   rt.NewSequence(Sequence::Kind::kList, std::move(items)));
  return Value::Of(list);
}

Result<Value> Indent(Runtime& rt, const Text& text, const Indentation& how) {
  // Jinja adds a line break before it splits, so that a break at the end of the
  // text makes a last, empty line.
  ASSIGN_OR_RETURN(Pieces lines, SplitLines(rt, text.bytes(), false));
  const size_t end = text.size();
  if (end == 0 ||
      IsLineBreak(
          DecodeUtf8(text.bytes(), CharacterBefore(text.bytes(), end)).value)) {
    lines.emplace_back(end, end);
  }
  TextBuilder out(rt);
  for (size_t i = 0; i < lines.size() && !out.full(); ++i) {
    const auto [begin, stop] = lines[i];
    if (i > 0) out.Append("\n", true);
    const bool wanted = i == 0 ? how.first : how.blank || begin < stop;
    if (wanted) out.Append(how.indent);
    out.Append(text, begin, stop);
  }
  return out.Finish();
}

}  // namespace aio::jinja
