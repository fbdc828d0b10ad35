// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary_tokenizer.h"

#include <string>
#include <utility>

namespace aio::tokenizer {
namespace {

// The whole prompt, and where it is trusted: ranges that touch are one, so that
// a template may write a token in two pieces. Nothing else is remembered of the
// spans, so their borders cannot become borders of tokens.
std::string Join(const Spans& spans, std::vector<Range>* trusted) {
  std::string text;
  for (const Span& span : spans) {
    const size_t begin = text.size();
    text += span.text;
    if (!span.trusted || span.text.empty()) continue;
    if (!trusted->empty() && trusted->back().end == begin) {
      trusted->back().end = text.size();
    } else {
      trusted->push_back({begin, text.size()});
    }
  }
  return text;
}

}  // namespace

VocabularyTokenizer::VocabularyTokenizer(Vocabulary vocabulary,
                                         const Options& options)
    : vocabulary_(std::move(vocabulary)),
      special_(vocabulary_, options.strip_right),
      add_bos_(options.add_bos),
      bytes_(static_cast<size_t>(vocabulary_.size())) {}

std::vector<int32_t> VocabularyTokenizer::Encode(const Spans& spans,
                                                 bool add_bos) const {
  std::vector<Range> trusted;
  const std::string text = Join(spans, &trusted);
  std::vector<int32_t> ids;
  bool after_special = true;
  for (const Fragment& fragment : special_.Split(text, trusted)) {
    if (fragment.id >= 0) {
      ids.push_back(fragment.id);
    } else {
      EncodeText(fragment.text, after_special, &ids);
    }
    after_special = fragment.id >= 0;
  }
  if (add_bos && add_bos_ && bos() >= 0 &&
      (ids.empty() || ids.front() != bos())) {
    ids.insert(ids.begin(), bos());
  }
  return ids;
}

std::string_view VocabularyTokenizer::Bytes(int32_t id, bool special) const {
  if (!vocabulary_.Contains(id)) return {};
  if (!special && vocabulary_.IsSpecial(id)) return {};
  const Decoded& d = bytes_[id];
  if (d.size < 0) return vocabulary_.piece(id);
  return {decoded_.data() + d.begin, static_cast<size_t>(d.size)};
}

std::string_view VocabularyTokenizer::Piece(int32_t id) const {
  return vocabulary_.Contains(id) ? vocabulary_.piece(id) : std::string_view();
}

int32_t VocabularyTokenizer::Find(std::string_view piece) const {
  return vocabulary_.Find(piece);
}

void VocabularyTokenizer::SetBytes(int32_t id, std::string_view bytes) {
  // Decoding never lengthens a piece and all pieces have less than 4 GiB.
  bytes_[id] = {static_cast<uint32_t>(decoded_.size()),
                static_cast<int32_t>(bytes.size())};
  decoded_.insert(decoded_.end(), bytes.begin(), bytes.end());
}

}  // namespace aio::tokenizer
