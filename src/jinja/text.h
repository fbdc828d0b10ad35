// SPDX-License-Identifier: Apache-2.0
//
// A string of the template language: bytes, and for each byte whether the
// template wrote it (trusted) or it came from a message or another value of
// the request (untrusted). Kept as runs, so that a prompt of two kinds of text
// costs two runs and not a flag per byte.
//
// Below it, the few Unicode properties that Python's str methods use.
//
// Thread safety: none; const once shared.
// Invariants: runs are not empty, neighbours differ, the last ends at size().
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>


namespace aio::jinja {

class Text {
 public:
  // Bytes of one provenance; adjacent runs differ.
  struct Run {
    size_t end;  // its first byte is the end of the run before
    bool trusted;
  };

  Text() = default;
  Text(std::string_view bytes, bool trusted) { Append(bytes, trusted); }

  std::string_view bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // What it costs to keep, in bytes, without the allocator's share.
  size_t memory() const { return bytes_.size() + runs_.size() * sizeof(Run); }

  // REQUIRES: at < size(). Cost: O(log runs).
  bool TrustedAt(size_t at) const { return runs_[RunAt(at)].trusted; }
  // All of it; true for the empty text.
  bool trusted() const { return runs_.empty() || only(true); }

  void Append(std::string_view bytes, bool trusted);
  // REQUIRES: begin <= end <= other.size().
  void Append(const Text& other, size_t begin, size_t end);
  void Append(const Text& other) { Append(other, 0, other.size()); }

  // The same bytes, none of them trusted.
  Text Untrusted() const { return Text(bytes_, false); }
  const std::vector<Run>& runs() const { return runs_; }

 private:
  size_t RunAt(size_t at) const;
  bool only(bool trusted) const {
    return runs_.size() == 1 && runs_[0].trusted == trusted;
  }

  std::string bytes_;
  std::vector<Run> runs_;
};

using TextPtr = std::shared_ptr<const Text>;

// 'bytes', for messages; cut if it is long.
std::string Quoted(std::string_view bytes);

// Characters in `bytes`; a byte that is not UTF-8 counts as one.
size_t Characters(std::string_view bytes);
// Where character `index` begins; bytes.size() if there are fewer.
size_t CharacterOffset(std::string_view bytes, size_t index);
// Where the character that ends at `end` begins. REQUIRES: end > 0.
size_t CharacterBefore(std::string_view bytes, size_t end);

// Where `needle` first stands in bytes[from..], or last in bytes; npos if
// nowhere. Linear however the two are made, unlike std::string_view::find.
size_t FindBytes(std::string_view bytes, std::string_view needle, size_t from);
size_t FindLastBytes(std::string_view bytes, std::string_view needle);

// What Python's str.isspace, splitlines, upper, lower, isalpha, … say about
// one character, by the C library's Unicode tables: one character maps to one.
bool IsSpace(char32_t c);
bool IsLineBreak(char32_t c);
bool IsUpper(char32_t c);
bool IsLower(char32_t c);
bool IsAlpha(char32_t c);
bool IsDigit(char32_t c);
char32_t ToUpper(char32_t c);
char32_t ToLower(char32_t c);
// Whether repr() shows it as it is. Unassigned characters count as printable.
bool IsPrintable(char32_t c);

}  // namespace aio::jinja
