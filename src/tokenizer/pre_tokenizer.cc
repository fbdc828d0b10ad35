// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <initializer_list>
#include <string>

#include "base/utf8.h"

namespace aio::tokenizer {
namespace {

// In all expressions \s and \S stand for kSpace (see Expand).

// White space as Unicode 6.3 and later have it, and as the models' own regular
// expression engines do. PCRE2's \s would add U+180E.
constexpr std::string_view kSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F})"
    R"(\x{205F}\x{3000})";

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)"
    R"(|\s+(?!\S)|\s+)";
// The contractions are spelled out because (?i:'s) would also match U+017F.
constexpr std::string_view kLlama3 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kNewline = R"([\r\n])";
// Letters with case, as Unicode 11 had them below U+1D400, without Georgian
// Mkhedruli and small Armenian.
constexpr std::string_view kDeepseekLetters =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA})"
    R"(\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376})"
    R"(\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD})"
    R"(\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45})"
    R"(\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE})"
    R"(\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB})"
    R"(\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128})"
    R"(\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B})"
    R"(\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E})"
    R"(\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
// The model's own class begins its last range at U+3000, and its range of Han
// (below) spans all of U+0800 to U+9FA5. llama.cpp, whose ids are the reference
// here, lets white space match neither, so it is cut out of both.
constexpr std::string_view kDeepseekPunctuation =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F})"
    R"(\x{3001}\x{3002}]+)";
// \s+$, but looking at each run of white space once: as it stands in the model
// it takes quadratic time.
constexpr std::string_view kDeepseekEnd = R"((?<!\s)\s++\z)";
constexpr std::string_view kDeepseekHan =
    R"([\x{800}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E})"
    R"(\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kDeepseek3Han =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)";
constexpr std::string_view kDeepseek3 =
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Family {
  std::initializer_list<std::string_view> names;
  std::initializer_list<std::string_view> expressions;
  bool ignore_merges = false;
  bool add_bos = false;
};

const Family kFamilies[] = {
    {{"default"},
     {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", R"([0-9][0-9][0-9])"}},
    {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
      "gigachat", "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo",
      "jais", "trillion", "granite-docling"},
     {kGpt2}},
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral",
      "midm-2.0", "lfm2"},
     {kLlama3},
     true,
     true},
    {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3}},
    {{"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2",
      "hunyuan", "solar-open", "grok-2"},
     {kQwen2}},
    {{"qwen35"}, {kQwen35}},
    {{"deepseek-llm"},
     {kNewline, kDeepseekLetters, kDeepseekPunctuation, kDeepseekEnd,
      kDeepseekHan, R"(\p{N}+)"}},
    {{"deepseek-coder"},
     {kNewline, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekHan, R"(\p{N})"}},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
     {R"(\p{N}{1,3})", kDeepseek3Han, kDeepseek3}},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone",
      "minerva-7b"},
     {R"(\p{N})", kGpt2}},
    {{"falcon"}, {R"([\p{P}$+<=>^~|`]+)", kGpt2, R"([0-9][0-9][0-9])"}},
};

const Family* FindFamily(std::string_view name) {
  for (const Family& family : kFamilies) {
    if (std::find(family.names.begin(), family.names.end(), name) !=
        family.names.end()) {
      return &family;
    }
  }
  return nullptr;
}

// The expression with \s and \S written out. \S never stands in a class.
std::string Expand(std::string_view expression) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c != '\\') {
      if (c == '[' || c == ']') in_class = c == '[';
      out += c;
      continue;
    }
    const char escaped = expression[++i];
    if (escaped == 's' && in_class) {
      out += kSpace;
    } else if (escaped == 's' || escaped == 'S') {
      out += escaped == 's' ? "[" : "[^";
      out += kSpace;
      out += ']';
    } else {
      out += c;
      out += escaped;
    }
  }
  return out;
}

struct MatchState {
  pcre2_match_data* data;
  pcre2_match_context* context;

  // The limits are far above what the expressions here need; they turn a
  // mistake in one of them into a bad split instead of a hanging server.
  explicit MatchState(size_t bytes)
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)) {
    CHECK(data && context);  // out of memory
    const size_t limit = std::min<size_t>(1'000'000 + 100 * bytes, UINT32_MAX);
    pcre2_set_match_limit(context, static_cast<uint32_t>(limit));
    pcre2_set_heap_limit(context, 256 * 1024);  // KiB
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

// Whether the expression matches at `at` or later; the match is in state.data.
bool Search(const pcre2_code* code, std::string_view text, size_t at,
            const MatchState& state) {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match = [&](uint32_t options) {
    return pcre2_match(code, subject, text.size(), at,
                       PCRE2_NO_UTF_CHECK | options, state.data, state.context);
  };
  int found = match(0);
  // The compiled code has 32 KiB of stack; the interpreter uses the heap.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
  return found >= 0;
}

void SplitBy(const pcre2_code* code, std::string_view text,
             const MatchState& state, std::vector<std::string_view>* words) {
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(state.data);
  size_t at = 0;
  while (at < text.size() && Search(code, text, at, state)) {
    if (span[1] <= span[0] || span[0] < at) break;  // an empty match
    if (span[0] > at) words->push_back(text.substr(at, span[0] - at));
    words->push_back(text.substr(span[0], span[1] - span[0]));
    at = span[1];
  }
  if (at < text.size()) words->push_back(text.substr(at));
}

// The end of the longest run from `at` on whose characters are all valid, or
// all invalid.
size_t RunEnd(std::string_view text, size_t at, bool valid) {
  while (at < text.size()) {
    const CodePoint c = DecodeUtf8(text, at);
    if (c.valid != valid) break;
    at += c.size;
  }
  return at;
}

}  // namespace

Result<PreTokenizer> PreTokenizer::Create(std::string_view name, bool compile) {
  const Family* family = FindFamily(name);
  if (!family) {
    return Error{ErrorCode::kUnsupported,
                 "unknown pre-tokenizer \"" + ReplaceInvalidUtf8(name) + "\"",
                 {}};
  }
  PreTokenizer result;
  result.ignore_merges_ = family->ignore_merges;
  result.add_bos_ = family->add_bos;
  for (std::string_view expression : family->expressions) {
    const std::string expanded = Expand(expression);
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(
        reinterpret_cast<PCRE2_SPTR>(expanded.data()), expanded.size(),
        PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    CHECK(code);  // the expressions are constants
    // Fails where memory may not be made executable; matching then interprets.
    if (compile) pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    result.expressions_.emplace_back(code, pcre2_code_free);
  }
  return result;
}

void PreTokenizer::Split(std::string_view text,
                         std::vector<std::string_view>* words) const {
  for (size_t at = 0; at < text.size();) {
    const bool valid = DecodeUtf8(text, at).valid;
    const size_t end = RunEnd(text, at, valid);
    const std::string_view run = text.substr(at, end - at);
    if (valid) {
      SplitValid(run, words);
    } else {
      words->push_back(run);
    }
    at = end;
  }
}

void PreTokenizer::SplitValid(std::string_view text,
                              std::vector<std::string_view>* words) const {
  const MatchState state(text.size());
  std::vector<std::string_view> pieces = {text};
  std::vector<std::string_view> next;
  for (const auto& expression : expressions_) {
    next.clear();
    for (std::string_view piece : pieces) {
      SplitBy(expression.get(), piece, state, &next);
    }
    pieces.swap(next);
  }
  words->insert(words->end(), pieces.begin(), pieces.end());
}

}  // namespace aio::tokenizer
