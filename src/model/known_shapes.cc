// SPDX-License-Identifier: Apache-2.0
#include "model/known_shapes.h"

#include <string>
#include <vector>

#include "base/check.h"

namespace aio::model {
namespace {

// From the config.json that each model's makers publish beside its weights:
// openPangu-Embedded-1B and -7B (V1.1), Qwen/Qwen2.5-*, Qwen/Qwen3-0.6B and
// meta-llama/Llama-3.*. Llama 3 scales its rope by frequency, which a GGUF has
// as a tensor of divisors.
struct Row {
  const char* name;
  const char* architecture;
  int layers, hidden, heads, kv_heads, head_dim, feed_forward;
  int vocabulary, context;
  float norm_epsilon, rope_base;
  bool tied, rope_divisors;
};

// clang-format off
constexpr Row kRows[] = {
    {"openPangu-1B", "pangu-embedded", 26, 1536, 12, 6, 128, 6144,
     153376, 32768, 1e-5f, 4e6f, true, false},
    {"openPangu-7B", "pangu-embedded", 34, 4096, 32, 8, 128, 12800,
     153376, 32768, 1e-5f, 16e6f, false, false},
    {"Qwen2.5-0.5B", "qwen2", 24, 896, 14, 2, 64, 4864,
     151936, 32768, 1e-6f, 1e6f, true, false},
    {"Qwen2.5-1.5B", "qwen2", 28, 1536, 12, 2, 128, 8960,
     151936, 32768, 1e-6f, 1e6f, true, false},
    {"Qwen2.5-7B", "qwen2", 28, 3584, 28, 4, 128, 18944,
     152064, 32768, 1e-6f, 1e6f, false, false},
    {"Qwen3-0.6B", "qwen3", 28, 1024, 16, 8, 128, 3072,
     151936, 40960, 1e-6f, 1e6f, true, false},
    {"Llama-3.2-1B", "llama", 16, 2048, 32, 8, 64, 8192,
     128256, 131072, 1e-5f, 5e5f, true, true},
    {"Llama-3.1-8B", "llama", 32, 4096, 32, 8, 128, 14336,
     128256, 131072, 1e-5f, 5e5f, false, true},
};
// clang-format on

RandomModel Description(const Row& row) {
  RandomModel model;
  model.name = row.name;
  model.architecture = row.architecture;
  model.layers = row.layers;
  model.hidden = row.hidden;
  model.heads = row.heads;
  model.kv_heads = row.kv_heads;
  model.head_dim = row.head_dim;
  model.feed_forward = row.feed_forward;
  model.vocabulary = row.vocabulary;
  model.context = row.context;
  model.norm_epsilon = row.norm_epsilon;
  model.rope_base = row.rope_base;
  model.tied = row.tied;
  model.rope_divisors = row.rope_divisors;
  return model;
}

// The numbers that GGUF has for kinds of tokens.
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

struct Pieces {
  std::vector<std::string> texts;
  std::vector<int32_t> types;

  void Add(std::string text, TokenType type) {
    texts.push_back(std::move(text));
    types.push_back(type);
  }
};

std::string ByteToken(int byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

// Number `at` of the words of `length` letters.
std::string Word(int at, int length) {
  std::string word(static_cast<size_t>(length), 'a');
  for (auto letter = word.rbegin(); letter != word.rend(); ++letter) {
    *letter = static_cast<char>('a' + at % 26);
    at /= 26;
  }
  return word;
}

Pieces MakePieces(int vocabulary) {
  Pieces pieces;
  pieces.Add("<unk>", kUnknown);
  pieces.Add("<s>", kControl);
  pieces.Add("</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) pieces.Add(ByteToken(byte), kByte);
  pieces.Add("\xE2\x96\x81", kNormal);  // U+2581, SentencePiece's space
  for (char c = '!'; c <= '~'; ++c) pieces.Add(std::string(1, c), kNormal);
  const auto size = static_cast<size_t>(vocabulary);
  for (int length = 2, words = 26 * 26; pieces.texts.size() < size;
       ++length, words *= 26) {
    for (int at = 0; at < words && pieces.texts.size() < size; ++at) {
      pieces.Add(Word(at, length), kNormal);
    }
  }
  return pieces;
}

}  // namespace

std::vector<RandomModel> KnownShapes() {
  std::vector<RandomModel> models;
  for (const Row& row : kRows) models.push_back(Description(row));
  return models;
}

void AddSyntheticTokenizer(int vocabulary, gguf::Writer* writer) {
  CHECK(vocabulary >= kVocabularyMin && vocabulary <= kVocabularyMax);
  Pieces pieces = MakePieces(vocabulary);
  // Longer words are merged later, from words that are there.
  std::vector<float> scores(pieces.texts.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = pieces.types[i] == kNormal ? -static_cast<float>(i) : 0;
  }
  writer->Add("tokenizer.ggml.model", "llama");
  writer->Add("tokenizer.ggml.pre", "default");
  writer->Add("tokenizer.ggml.tokens", std::move(pieces.texts));
  writer->Add("tokenizer.ggml.scores", std::move(scores));
  writer->Add("tokenizer.ggml.token_type", std::move(pieces.types));
  writer->Add("tokenizer.ggml.unknown_token_id", uint32_t{0});
  writer->Add("tokenizer.ggml.bos_token_id", uint32_t{1});
  writer->Add("tokenizer.ggml.eos_token_id", uint32_t{2});
  writer->Add("tokenizer.ggml.add_bos_token", true);
}

}  // namespace aio::model
