// SPDX-License-Identifier: Apache-2.0
//
// aio tokenize: text to the ids that a model file gives it, and back.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "cli/commands.h"
#include "gguf/gguf.h"
#include "tokenizer/tokenizer.h"

namespace aio::cli {
namespace {

using tokenizer::Tokenizer;

struct Flags {
  std::string model;
  std::string text;
  std::string text_file;
  std::string ids;  // of --decode
  bool special = false;
  bool as_json = false;
};

int Fail(const Error& error) {
  std::cerr << "aio tokenize: " << error.message << "\n";
  return 1;
}

Result<std::shared_ptr<const Tokenizer>> Load(const std::string& path) {
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(path));
  return Tokenizer::Load(file);
}

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes;
  // Unlike an istreambuf_iterator, read() does not throw on a folder.
  for (char buffer[1 << 16]; in.good();) {
    in.read(buffer, sizeof buffer);
    bytes.append(buffer, static_cast<size_t>(in.gcount()));
  }
  if (!in.is_open() || in.bad()) {
    return Error{ErrorCode::kNotFound, "cannot read " + path, "text-file"};
  }
  return bytes;
}

std::vector<int32_t> Encode(const Tokenizer& tokenizer, const std::string& text,
                            bool special) {
  if (!special) return tokenizer.Encode(text);
  return tokenizer.Encode(tokenizer::Spans{{text, true}}, true);
}

void PrintIds(const std::vector<int32_t>& ids) {
  std::string line;
  for (int32_t id : ids) {
    if (!line.empty()) line += ' ';
    line += std::to_string(id);
  }
  std::cout << line << "\n";
}

void PrintJson(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  boost::json::array tokens;
  for (int32_t id : ids) {
    tokens.push_back(
        {{"id", id}, {"piece", ReplaceInvalidUtf8(tokenizer.Piece(id))}});
  }
  std::cout << boost::json::object{{"count", ids.size()},
                                   {"tokens", std::move(tokens)}}
            << "\n";
}

Result<std::vector<int32_t>> ParseIds(const std::string& text,
                                      int32_t vocabulary) {
  std::vector<int32_t> ids;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    int32_t id = -1;
    const auto [end, error] =
        std::from_chars(word.data(), word.data() + word.size(), id);
    const bool whole = error == std::errc() && end == word.data() + word.size();
    if (!whole || id < 0 || id >= vocabulary) {
      return Error{ErrorCode::kInvalidArgument,
                   "\"" + word + "\" is no token id; the vocabulary has 0 to " +
                       std::to_string(vocabulary - 1),
                   "decode"};
    }
    ids.push_back(id);
  }
  return ids;
}

Result<void> Decode(const std::shared_ptr<const Tokenizer>& tokenizer,
                    const Flags& flags) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                   ParseIds(flags.ids, tokenizer->vocabulary()));
  std::string text;
  if (flags.special) {
    for (int32_t id : ids) text += tokenizer->Bytes(id, true);
    text = ReplaceInvalidUtf8(text);
  } else {
    tokenizer::StreamDecoder decoder(tokenizer, true);
    for (int32_t id : ids) text += decoder.Push(id);
    text += decoder.Finish();
  }
  if (flags.as_json) {
    std::cout << boost::json::object{{"text", text}} << "\n";
  } else {
    std::cout << text << "\n";
  }
  return {};
}

Result<void> Tokenize(const Flags& flags, bool decode) {
  ASSIGN_OR_RETURN(const auto tokenizer, Load(flags.model));
  if (decode) return Decode(tokenizer, flags);
  std::string text = flags.text;
  if (!flags.text_file.empty()) {
    ASSIGN_OR_RETURN(text, ReadFile(flags.text_file));
  }
  const std::vector<int32_t> ids = Encode(*tokenizer, text, flags.special);
  if (flags.as_json) {
    PrintJson(*tokenizer, ids);
  } else {
    PrintIds(ids);
  }
  return {};
}

}  // namespace

void AddTokenize(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(
      "tokenize", "Print the token ids of a text, or the text of token ids");
  command->add_option("--model", flags->model, "GGUF file; needs no weights")
      ->required();
  auto* input = command->add_option_group("input");
  input->add_option("--text-file", flags->text_file,
                    "File whose bytes are the text");
  input->add_option("--text", flags->text, "The text itself");
  CLI::Option* ids = input->add_option("--decode", flags->ids,
                                       "Ids to decode, as in \"1 2 3\"");
  input->require_option(1);
  command->add_flag("--special", flags->special,
                    "Recognise special tokens and begin as the model asks");
  command->add_flag("--json", flags->as_json, "Ids and pieces as JSON");
  command->callback([flags, ids, exit_code] {
    const Result<void> done = Tokenize(*flags, ids->count() > 0);
    *exit_code = done ? 0 : Fail(done.error());
  });
}

}  // namespace aio::cli
