// SPDX-License-Identifier: Apache-2.0
//
// Answers in OpenAI's shape: a stream of chunks, or one body; chat and
// completions alike. What an upstream sent (Delta::raw_json) goes on with the
// fields we do not know.
//
// Thread safety: none; one writer per answer.
// Cost: a chunk of our own engine is one string append per field, no JSON tree.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/outcome.h"

namespace aio::openai {

// What every message of one answer repeats.
struct Head {
  std::string id;  // the request's; written with the API's prefix
  bool chat = true;
  int64_t created = 0;      // seconds since 1970
  std::string model;        // the variant that answers
  std::string fingerprint;  // empty: null
  bool embeddings = false;
};

// The text of a token that may be part of a character. Chat writes the bytes
// that are no UTF-8 as \xNN; completions write such a token as "bytes:\xNN…".
std::string TokenText(std::string_view bytes, bool chat);

// Server-sent events, appended to `out`. The first chunk of each choice carries
// the role (chat); Done ends every choice that has not ended.
class StreamWriter {
 public:
  StreamWriter(Head head, int choices, bool include_usage);

  // REQUIRES: 0 <= delta.choice < choices, here and below.
  void Delta(const core::Delta& delta, std::string* out);
  void Done(const core::Done& done, std::string* out);

 private:
  struct Choice {
    bool started = false;
    bool finished = false;   // a finish reason has been sent
    int64_t characters = 0;  // of the text so far: completions' text_offset
  };
  void Begin(int choice, std::string* out);
  void Chunk(int choice, std::string_view content, std::string_view logprobs,
             std::string_view finish, std::string* out) const;
  // False if `raw` is not what it should be; nothing is written then.
  bool Raw(int choice, std::string_view raw, std::string* out);
  void End(std::string* out) const;

  Head head_;
  bool include_usage_;
  std::string prefix_;  // of every chunk, up to the choices
  std::vector<Choice> choices_;
};

// The whole answer in one body.
class PlainWriter {
 public:
  explicit PlainWriter(int choices) : choices_(choices) {}

  void Delta(core::Delta delta);
  std::string Write(const Head& head, const core::Done& done) const;

 private:
  struct Choice {
    std::string text;
    std::string reasoning;
    std::string finish;  // the upstream's own word, if it had one
    std::vector<core::TokenLogprob> logprobs;
    boost::json::object extra;          // beside `message`
    boost::json::object message_extra;  // inside it
  };
  static std::string Whole(const Head& head, std::string_view raw);
  void Keep(std::string_view raw, Choice* choice);
  void WriteChoice(const Head& head, size_t index, std::string_view finish,
                   std::string* out) const;

  std::vector<Choice> choices_;
  boost::json::object extra_;  // beside `choices`
};

struct Model {
  std::string name;
  int64_t created = 0;
};
std::string ModelJson(const Model& model);
std::string ModelsJson(const std::vector<Model>& models);

}  // namespace aio::openai
