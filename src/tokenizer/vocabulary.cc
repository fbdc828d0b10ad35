// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

namespace aio::tokenizer {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";

// Pieces at which generation ends although no key of the file says so. The list
// is llama.cpp's (src/llama-vocab.cpp, special_eog_ids), less those of formats
// that this build refuses. Only tokens that are not plain text count: Qwen2 has
// a normal token "</s>", which closes an HTML element.
constexpr std::string_view kEndPieces[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "</s>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<reponame>",
    "<|file_sep|>",
};

bool IsEndPiece(std::string_view piece) {
  return std::find(std::begin(kEndPieces), std::end(kEndPieces), piece) !=
         std::end(kEndPieces);
}

// Older converters wrote role markers as user-defined tokens, which would let a
// user type them. Newer ones (convert_hf_to_gguf.py, does_token_look_special)
// go by the look of the piece; so does this, with the "[unused9]" of openPangu
// added.
bool LooksSpecial(std::string_view piece) {
  const auto framed = [&](std::string_view head, std::string_view tail) {
    return piece.size() > head.size() + tail.size() &&
           piece.starts_with(head) && piece.ends_with(tail);
  };
  return framed("<|", "|>") || framed("<\uFF5C", "\uFF5C>") ||
         framed("<unused", ">") || framed("[unused", "]");
}

const gguf::Array* FindArray(const gguf::File& file, std::string_view key) {
  const gguf::Value* value = file.Find(key);
  return value ? std::get_if<gguf::Array>(value) : nullptr;
}

Error Corrupt(std::string_view key, std::string_view what) {
  return {ErrorCode::kCorrupt, std::string(key) + ": " + std::string(what), {}};
}

// Item i of an integer array; nothing for other arrays.
std::optional<int64_t> IntegerAt(const gguf::Array& array, size_t i) {
  if (const auto* v = std::get_if<std::vector<int64_t>>(&array.items)) {
    return (*v)[i];
  }
  if (const auto* v = std::get_if<std::vector<uint64_t>>(&array.items)) {
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    return static_cast<int64_t>(std::min((*v)[i], kMax));
  }
  return std::nullopt;
}

}  // namespace

Result<Vocabulary> Vocabulary::Load(const gguf::File& file) {
  Vocabulary v;
  RETURN_IF_ERROR(v.LoadPieces(file));
  RETURN_IF_ERROR(v.LoadTypes(file));
  RETURN_IF_ERROR(v.LoadScores(file));
  v.MarkControl();
  RETURN_IF_ERROR(v.LoadIds(file));
  v.BuildIndex();
  return v;
}

Result<void> Vocabulary::LoadPieces(const gguf::File& file) {
  const gguf::Array* array = FindArray(file, kTokensKey);
  const auto* pieces =
      array ? std::get_if<std::vector<std::string_view>>(&array->items)
            : nullptr;
  if (!pieces) return Corrupt(kTokensKey, "no array of strings");
  if (pieces->empty() || pieces->size() > kTokensMax) {
    return Corrupt(kTokensKey, std::to_string(pieces->size()) + " tokens");
  }
  size_t total = 0;
  for (std::string_view piece : *pieces) {
    total += piece.size();
    if (total > std::numeric_limits<uint32_t>::max()) {
      return Corrupt(kTokensKey, "more than 4 GiB of text");
    }
  }
  bytes_.reserve(total);
  begins_.reserve(pieces->size() + 1);
  begins_.push_back(0);
  for (std::string_view piece : *pieces) {
    bytes_.insert(bytes_.end(), piece.begin(), piece.end());
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  return {};
}

Result<void> Vocabulary::LoadTypes(const gguf::File& file) {
  const size_t count = begins_.size() - 1;
  types_.assign(count, TokenType::kNormal);
  if (!file.Find(kTypesKey)) return {};
  const gguf::Array* array = FindArray(file, kTypesKey);
  if (!array || array->size() != count) {
    return Corrupt(kTypesKey, "not one type for each token");
  }
  for (size_t i = 0; i < count; ++i) {
    const auto type = IntegerAt(*array, i);
    if (!type || *type < 0 || *type > 6) {
      return Corrupt(kTypesKey,
                     "token " + std::to_string(i) + " has no type of 0..6");
    }
    // 0, "undefined", is in the enumeration of llama.h; no converter writes it.
    if (*type > 0) types_[i] = static_cast<TokenType>(*type);
    const size_t bytes = begins_[i + 1] - begins_[i];
    const bool text = *type <= 1 || *type >= 5;
    if (!text && bytes > kSpecialBytesMax) {
      return Corrupt(kTypesKey,
                     "token " + std::to_string(i) + " is special and too long");
    }
  }
  return {};
}

Result<void> Vocabulary::LoadScores(const gguf::File& file) {
  const size_t count = types_.size();
  if (!file.Find(kScoresKey)) return {};
  const gguf::Array* array = FindArray(file, kScoresKey);
  const auto* scores =
      array ? std::get_if<std::vector<double>>(&array->items) : nullptr;
  if (!scores || scores->size() != count) {
    return Corrupt(kScoresKey, "not one score for each token");
  }
  scores_.reserve(count);
  for (double score : *scores) {
    // A NaN has no place in the order of merges.
    if (std::isnan(score)) return Corrupt(kScoresKey, "a score is no number");
    scores_.push_back(static_cast<float>(score));
  }
  return {};
}

void Vocabulary::MarkControl() {
  ends_.assign(types_.size(), false);
  for (int32_t id = 0; id < size(); ++id) {
    const bool end = IsEndPiece(piece(id));
    if (types_[id] == TokenType::kUserDefined &&
        (end || LooksSpecial(piece(id)))) {
      types_[id] = TokenType::kControl;
    }
    if (end && IsSpecial(id)) ends_[id] = true;
  }
}

Result<void> Vocabulary::LoadIds(const gguf::File& file) {
  // An id beyond the table counts as absent: such files exist (a padding token
  // of 2^32 - 1) and llama.cpp takes them.
  const auto id_of = [&](std::string_view key) -> Result<int32_t> {
    const std::string name = "tokenizer.ggml." + std::string(key);
    ASSIGN_OR_RETURN(const int64_t id, file.Int(name, -1));
    return id >= 0 && id < size() ? static_cast<int32_t>(id) : -1;
  };
  ASSIGN_OR_RETURN(bos_, id_of("bos_token_id"));
  ASSIGN_OR_RETURN(eos_, id_of("eos_token_id"));
  ASSIGN_OR_RETURN(unknown_, id_of("unknown_token_id"));
  ASSIGN_OR_RETURN(const std::string model,
                   file.String("tokenizer.ggml.model", ""));
  // What a SentencePiece model has unless its trainer was told otherwise.
  if (model == "llama" && size() > 2) {
    if (unknown_ < 0 && types_[0] == TokenType::kUnknown) unknown_ = 0;
    if (bos_ < 0 && types_[1] == TokenType::kControl) bos_ = 1;
    if (eos_ < 0 && types_[2] == TokenType::kControl) eos_ = 2;
  }
  if (eos_ >= 0) ends_[eos_] = true;
  for (const char* key : {"eot_token_id", "eom_token_id"}) {
    ASSIGN_OR_RETURN(const int32_t id, id_of(key));
    if (id >= 0) ends_[id] = true;
  }
  return {};
}

void Vocabulary::BuildIndex() {
  index_.reserve(types_.size());
  text_index_.reserve(types_.size());
  for (int32_t id = 0; id < size(); ++id) {
    if (piece(id).empty()) continue;
    index_.emplace(piece(id), id);  // keeps the lowest id
    if (!IsSpecial(id) && types_[id] != TokenType::kByte) {
      text_index_.emplace(piece(id), id);
    }
  }
}

std::string_view Vocabulary::piece(int32_t id) const {
  return {bytes_.data() + begins_[id], begins_[id + 1] - begins_[id]};
}

bool Vocabulary::IsSpecial(int32_t id) const {
  return types_[id] == TokenType::kControl || types_[id] == TokenType::kUnknown;
}

int32_t Vocabulary::Find(std::string_view piece) const {
  const auto it = index_.find(piece);
  return it == index_.end() ? -1 : it->second;
}

int32_t Vocabulary::FindText(std::string_view piece) const {
  const auto it = text_index_.find(piece);
  return it == text_index_.end() ? -1 : it->second;
}

}  // namespace aio::tokenizer
