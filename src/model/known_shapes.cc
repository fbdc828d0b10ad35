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
const std::vector<RandomModel>& Table() {
  static const auto* table = new std::vector<RandomModel>{
      {.architecture = "pangu-embedded",
       .name = "openPangu-1B",
       .vocabulary = 153376,
       .hidden = 1536,
       .layers = 26,
       .heads = 12,
       .kv_heads = 6,
       .head_dim = 128,
       .feed_forward = 6144,
       .context = 32768,
       .norm_epsilon = 1e-5f,
       .rope_base = 4e6f,
       .tied = true},
      {.architecture = "pangu-embedded",
       .name = "openPangu-7B",
       .vocabulary = 153376,
       .hidden = 4096,
       .layers = 34,
       .heads = 32,
       .kv_heads = 8,
       .head_dim = 128,
       .feed_forward = 12800,
       .context = 32768,
       .norm_epsilon = 1e-5f,
       .rope_base = 16e6f},
      {.architecture = "qwen2",
       .name = "Qwen2.5-0.5B",
       .vocabulary = 151936,
       .hidden = 896,
       .layers = 24,
       .heads = 14,
       .kv_heads = 2,
       .head_dim = 64,
       .feed_forward = 4864,
       .context = 32768,
       .norm_epsilon = 1e-6f,
       .rope_base = 1e6f,
       .tied = true},
      {.architecture = "qwen2",
       .name = "Qwen2.5-1.5B",
       .vocabulary = 151936,
       .hidden = 1536,
       .layers = 28,
       .heads = 12,
       .kv_heads = 2,
       .head_dim = 128,
       .feed_forward = 8960,
       .context = 32768,
       .norm_epsilon = 1e-6f,
       .rope_base = 1e6f,
       .tied = true},
      {.architecture = "qwen2",
       .name = "Qwen2.5-7B",
       .vocabulary = 152064,
       .hidden = 3584,
       .layers = 28,
       .heads = 28,
       .kv_heads = 4,
       .head_dim = 128,
       .feed_forward = 18944,
       .context = 32768,
       .norm_epsilon = 1e-6f,
       .rope_base = 1e6f},
      {.architecture = "qwen3",
       .name = "Qwen3-0.6B",
       .vocabulary = 151936,
       .hidden = 1024,
       .layers = 28,
       .heads = 16,
       .kv_heads = 8,
       .head_dim = 128,
       .feed_forward = 3072,
       .context = 40960,
       .norm_epsilon = 1e-6f,
       .rope_base = 1e6f,
       .tied = true},
      {.architecture = "llama",
       .name = "Llama-3.2-1B",
       .vocabulary = 128256,
       .hidden = 2048,
       .layers = 16,
       .heads = 32,
       .kv_heads = 8,
       .head_dim = 64,
       .feed_forward = 8192,
       .context = 131072,
       .norm_epsilon = 1e-5f,
       .rope_base = 5e5f,
       .tied = true,
       .rope_divisors = true},
      {.architecture = "llama",
       .name = "Llama-3.1-8B",
       .vocabulary = 128256,
       .hidden = 4096,
       .layers = 32,
       .heads = 32,
       .kv_heads = 8,
       .head_dim = 128,
       .feed_forward = 14336,
       .context = 131072,
       .norm_epsilon = 1e-5f,
       .rope_base = 5e5f,
       .rope_divisors = true},
  };
  return *table;
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

std::span<const RandomModel> KnownShapes() { return Table(); }

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
