// SPDX-License-Identifier: Apache-2.0
#include "tools/checkpoint_tokenizer.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "openai/json.h"

namespace aio::tools {
namespace {

namespace json = boost::json;

constexpr char kTokenizerName[] = "tokenizer.json";
constexpr char kSettingsName[] = "tokenizer_config.json";

// How tokenizer.json writes the patterns that GGUF knows by a name: Llama 3's
// and Qwen2's differ in how many digits make a word. Where a word that is a
// token is taken whole, whatever the merges say, the name is another one.
struct Pattern {
  std::string_view regex;
  const char *name, *name_if_merges_are_ignored;
};
constexpr Pattern kPatterns[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2", nullptr},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
     R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "smaug-bpe", "llama-bpe"}};

// GGUF's numbers of token types.
enum TokenType : int32_t {
  kNormal = 1,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5
};

Error Corrupt(const char* file, const std::string& what) {
  return {ErrorCode::kCorrupt, std::string(file) + ": " + what, ""};
}

Result<json::object> ReadObject(const char* file, std::string_view text) {
  auto parsed = openai::ParseJson(text);
  if (!parsed) return Corrupt(file, parsed.error().message);
  json::object* object = parsed->if_object();
  if (object == nullptr) return Corrupt(file, "no JSON object");
  return std::move(*object);
}

const json::object* ObjectAt(const json::object& object, std::string_view key) {
  const json::value* value = openai::Find(object, key);
  return value ? value->if_object() : nullptr;
}
const json::array* ArrayAt(const json::object& object, std::string_view key) {
  const json::value* value = openai::Find(object, key);
  return value ? value->if_array() : nullptr;
}
// A flag that is false where it is absent.
bool FlagAt(const json::object& object, std::string_view key) {
  const json::value* value = openai::Find(object, key);
  return value && value->is_bool() && value->get_bool();
}

class Vocabulary {
 public:
  explicit Vocabulary(int64_t tokens)
      : pieces_(static_cast<size_t>(tokens)), types_(pieces_.size(), kUnused) {}

  // `id` is a JSON value; kCorrupt if it is none of this vocabulary's or taken
  // by another piece.
  Result<void> Put(std::string piece, const json::value* id, TokenType type) {
    const auto n = id ? openai::AsInteger(*id) : std::nullopt;
    if (!n || *n < 0 || static_cast<size_t>(*n) >= pieces_.size()) {
      return Corrupt(kTokenizerName, "the id of token '" + piece +
                                         "' is not below vocab_size, " +
                                         std::to_string(pieces_.size()));
    }
    const auto i = static_cast<size_t>(*n);
    if (types_[i] != kUnused && pieces_[i] != piece) {
      return Corrupt(kTokenizerName, "tokens '" + pieces_[i] + "' and '" +
                                         piece + "' have the same id");
    }
    ids_[piece] = *n;
    pieces_[i] = std::move(piece);
    types_[i] = type;
    return {};
  }

  std::optional<uint32_t> Find(const std::string& piece) const {
    const auto found = ids_.find(piece);
    if (found == ids_.end()) return std::nullopt;
    return static_cast<uint32_t>(found->second);
  }
  bool IsControl(uint32_t id) const { return types_[id] == kControl; }

  void Write(gguf::Writer* writer) {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      if (types_[i] == kUnused) pieces_[i] = "[PAD" + std::to_string(i) + "]";
    }
    writer->Add("tokenizer.ggml.tokens", std::move(pieces_));
    writer->Add("tokenizer.ggml.token_type", std::move(types_));
  }

 private:
  std::vector<std::string> pieces_;  // [id]
  std::vector<int32_t> types_;       // [id]
  std::unordered_map<std::string, int64_t> ids_;
};

Result<std::string> PreName(const Pattern& pattern, const json::object& model) {
  const bool ignore_merges = FlagAt(model, "ignore_merges");
  const char* name =
      ignore_merges ? pattern.name_if_merges_are_ignored : pattern.name;
  if (name) return std::string(name);
  return Error{ErrorCode::kUnsupported,
               std::string(kTokenizerName) +
                   ": ignore_merges with Qwen2's pattern has no name in GGUF",
               ""};
}

// GGUF's name of the pre-tokenizer: of its pattern, possibly inside a sequence.
// A file without one is taken to mean Qwen2's, as its config says.
Result<std::string> PreTokenizer(const json::object& tokenizer,
                                 const json::object& model) {
  const json::object* pre = ObjectAt(tokenizer, "pre_tokenizer");
  if (pre == nullptr) return PreName(kPatterns[0], model);
  json::array only{*pre};
  const json::array* parts = ArrayAt(*pre, "pretokenizers");
  for (const json::value& part : parts ? *parts : only) {
    const json::object* object = part.if_object();
    if (object == nullptr || openai::StringAt(*object, "type") != "Split") {
      continue;
    }
    const json::object* pattern = ObjectAt(*object, "pattern");
    for (const Pattern& known : kPatterns) {
      if (pattern && openai::StringAt(*pattern, "Regex") == known.regex) {
        return PreName(known, model);
      }
    }
  }
  return Error{ErrorCode::kUnsupported,
               std::string(kTokenizerName) +
                   ": pre_tokenizer splits neither by Qwen2's pattern nor by "
                   "Llama 3's",
               ""};
}

Result<void> ReadPieces(const json::object& model,
                        const json::object& tokenizer, Vocabulary* vocabulary) {
  const json::object* vocab = ObjectAt(model, "vocab");
  if (vocab == nullptr) return Corrupt(kTokenizerName, "no model.vocab");
  for (const auto& [piece, id] : *vocab) {
    RETURN_IF_ERROR(vocabulary->Put(std::string(piece), &id, kNormal));
  }
  const json::array* added = ArrayAt(tokenizer, "added_tokens");
  if (added == nullptr) return {};
  for (const json::value& token : *added) {
    const json::object* object = token.if_object();
    if (object == nullptr) {
      return Corrupt(kTokenizerName, "an item of added_tokens is no object");
    }
    const std::string piece(openai::StringAt(*object, "content"));
    // What looks like a role marker must not be typed by a user, whatever the
    // flag says (the converter's does_token_look_special).
    const bool marker =
        piece.size() > 4 && piece.starts_with("<|") && piece.ends_with("|>");
    const bool special = marker || FlagAt(*object, "special");
    RETURN_IF_ERROR(vocabulary->Put(piece, openai::Find(*object, "id"),
                                    special ? kControl : kUserDefined));
  }
  return {};
}

// "a b" or ["a", "b"]; GGUF has the former. Both parts and their union must be
// tokens, or the merge could never happen.
Result<std::vector<std::string>> ReadMerges(const json::object& model,
                                            const Vocabulary& vocabulary) {
  const json::array* array = ArrayAt(model, "merges");
  if (array == nullptr) return Corrupt(kTokenizerName, "no model.merges");
  std::vector<std::string> merges;
  for (const json::value& item : *array) {
    std::string left, right;
    const json::array* pair = item.if_array();
    if (const auto text = openai::AsString(item)) {
      const size_t space = text->find(' ', 1);
      left = text->substr(0, space);
      if (space != text->npos) right = text->substr(space + 1);
    } else if (pair && pair->size() == 2) {
      left = openai::AsString((*pair)[0]).value_or("");
      right = openai::AsString((*pair)[1]).value_or("");
    }
    const auto known = [&](const std::string& piece) {
      return !piece.empty() && piece.find(' ') == piece.npos &&
             vocabulary.Find(piece).has_value();
    };
    if (!known(left) || !known(right) || !known(left + right)) {
      return Corrupt(kTokenizerName, "merge " + std::to_string(merges.size()) +
                                         " is not of two tokens to a third");
    }
    merges.push_back(left + " " + right);
  }
  return merges;
}

// A token setting is a text, an object with the text, or null.
Result<void> AddTokenId(const json::object& settings, const char* setting,
                        const char* key, const Vocabulary& vocabulary,
                        gguf::Writer* writer) {
  const json::value* value = openai::Find(settings, setting);
  if (value == nullptr) return {};
  const json::object* object = value->if_object();
  const std::string piece(object ? openai::StringAt(*object, "content")
                                 : openai::AsString(*value).value_or(""));
  const auto id = vocabulary.Find(piece);
  if (!id) {
    return Corrupt(kSettingsName, std::string(setting) + " '" + piece +
                                      "' is no token of tokenizer.json");
  }
  writer->Add(key, *id);
  return {};
}

Result<void> AddSettings(const json::object& settings,
                         const Vocabulary& vocabulary, gguf::Writer* writer) {
  const struct {
    const char *setting, *key;
  } ids[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
             {"eos_token", "tokenizer.ggml.eos_token_id"},
             {"pad_token", "tokenizer.ggml.padding_token_id"}};
  for (const auto& id : ids) {
    RETURN_IF_ERROR(
        AddTokenId(settings, id.setting, id.key, vocabulary, writer));
  }
  if (!openai::Find(settings, "eos_token")) {
    return Corrupt(kSettingsName, "no eos_token");
  }
  const auto turn_end = vocabulary.Find("<|im_end|>");
  if (turn_end && vocabulary.IsControl(*turn_end)) {
    writer->Add("tokenizer.ggml.eot_token_id", *turn_end);
  }
  const bool begins = FlagAt(settings, "add_bos_token");
  if (begins && !openai::Find(settings, "bos_token")) {
    return Corrupt(kSettingsName, "add_bos_token without a bos_token");
  }
  writer->Add("tokenizer.ggml.add_bos_token", begins);
  const json::value* chat = openai::Find(settings, "chat_template");
  if (chat == nullptr) return {};
  const auto text = openai::AsString(*chat);
  if (!text) return Corrupt(kSettingsName, "chat_template is no string");
  writer->Add("tokenizer.chat_template", std::string(*text));
  return {};
}

}  // namespace

Result<void> AddTokenizer(std::string_view tokenizer, std::string_view settings,
                          int64_t tokens, gguf::Writer* writer) {
  ASSIGN_OR_RETURN(const json::object root,
                   ReadObject(kTokenizerName, tokenizer));
  ASSIGN_OR_RETURN(const json::object config,
                   ReadObject(kSettingsName, settings));
  const json::object* model = ObjectAt(root, "model");
  if (model == nullptr || openai::StringAt(*model, "type") != "BPE") {
    return Error{ErrorCode::kUnsupported,
                 std::string(kTokenizerName) + ": model.type is not BPE", ""};
  }
  ASSIGN_OR_RETURN(std::string pre, PreTokenizer(root, *model));
  Vocabulary vocabulary(tokens);
  RETURN_IF_ERROR(ReadPieces(*model, root, &vocabulary));
  ASSIGN_OR_RETURN(auto merges, ReadMerges(*model, vocabulary));
  writer->Add("tokenizer.ggml.model", "gpt2");
  writer->Add("tokenizer.ggml.pre", std::move(pre));
  writer->Add("tokenizer.ggml.merges", std::move(merges));
  RETURN_IF_ERROR(AddSettings(config, vocabulary, writer));
  vocabulary.Write(writer);
  return {};
}

}  // namespace aio::tools
