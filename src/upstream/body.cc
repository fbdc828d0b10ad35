// SPDX-License-Identifier: Apache-2.0
#include "upstream/body.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>
#include <vector>

#include "openai/json.h"
#include "openai/splice.h"

namespace aio::upstream {
namespace {

namespace json = boost::json;

constexpr int64_t kBytesPerMessage = 16;
constexpr int kTopLogprobs = 20;  // the most OpenAI's API allows

json::object MessageJson(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

json::array MessagesJson(const std::vector<core::Message>& messages) {
  json::array out;
  for (const core::Message& message : messages) {
    out.push_back(MessageJson(Name(message.role), message.content));
  }
  return out;
}

void WriteSampling(const core::Request& request, json::object* body) {
  const core::Sampling& sampling = request.sampling;
  const core::Sampling usual;
  const auto unusual = [&](const char* key, float value, float is_usual) {
    if (value != is_usual) (*body)[key] = value;
  };
  (*body)["temperature"] = sampling.temperature;
  (*body)["top_p"] = sampling.top_p;
  // Beyond OpenAI's API; an upstream without them refuses them by name.
  if (sampling.top_k != usual.top_k) (*body)["top_k"] = sampling.top_k;
  unusual("min_p", sampling.min_p, usual.min_p);
  unusual("repetition_penalty", sampling.repetition_penalty,
          usual.repetition_penalty);
  unusual("presence_penalty", sampling.presence_penalty,
          usual.presence_penalty);
  unusual("frequency_penalty", sampling.frequency_penalty,
          usual.frequency_penalty);
  // OpenAI's are signed 64-bit numbers.
  if (sampling.seed) (*body)["seed"] = static_cast<int64_t>(*sampling.seed);
  if (!sampling.logprobs) return;
  if (request.chat) {
    (*body)["logprobs"] = true;
    (*body)["top_logprobs"] = sampling.top_logprobs;
  } else {
    (*body)["logprobs"] = sampling.top_logprobs;
  }
}

json::object FromFields(const core::Request& request) {
  json::object body;
  if (request.chat) {
    body["messages"] = MessagesJson(request.messages);
  } else if (!request.prompt_tokens.empty()) {
    json::array tokens;
    for (const int32_t token : request.prompt_tokens) tokens.push_back(token);
    body["prompt"] = std::move(tokens);
  } else {
    body["prompt"] = request.prompt;
  }
  if (request.max_tokens) body["max_tokens"] = *request.max_tokens;
  if (request.choices != 1) body["n"] = request.choices;
  if (!request.stop.empty()) {
    json::array stop;
    for (const std::string& text : request.stop) stop.emplace_back(text);
    body["stop"] = std::move(stop);
  }
  WriteSampling(request, &body);
  return body;
}

// The text that ends a message's content; null if it has none.
json::string* LastText(json::object* message) {
  json::value* content = message->if_contains("content");
  if (content == nullptr) return nullptr;
  if (content->is_string()) return &content->get_string();
  if (!content->is_array() || content->get_array().empty()) return nullptr;
  json::object* part = content->get_array().back().if_object();
  json::value* text = part == nullptr ? nullptr : part->if_contains("text");
  return text != nullptr && text->is_string() ? &text->get_string() : nullptr;
}

// False: there is no user's message whose end is free.
bool EndWithNoThink(json::array* messages) {
  for (size_t i = messages->size(); i-- > 0;) {
    json::object* message = (*messages)[i].if_object();
    if (message == nullptr) return false;
    if (openai::StringAt(*message, "role") != "user") continue;
    json::string* text = LastText(message);
    if (text == nullptr) return false;
    if (core::ThinkingSaid({text->data(), text->size()})) return false;
    text->push_back(' ');
    text->append(core::kNoThinkWord);
    return true;
  }
  return false;
}

// A member of the body as it is to be sent; an empty key: as it is.
struct Changed {
  std::string_view key;
  std::string value;
};

// It thinks unless told, so it need not be told to but by who said so.
Changed Tell(const Telling& telling, const core::Request& request,
             std::string_view body) {
  const bool off = telling.thinking == core::Thinking::kOff;
  const bool on = telling.thinking == core::Thinking::kOn && request.thinking;
  if (telling.how == core::ThinkingSwitch::kWord && off) {
    constexpr std::string_view kKey = "messages";
    auto messages = openai::ParseJson(openai::ValueText(body, kKey));
    if (!messages || !messages->is_array()) return {};
    if (!EndWithNoThink(&messages->get_array())) return {};
    return {kKey, json::serialize(*messages)};
  }
  if (telling.how == core::ThinkingSwitch::kTemplate && (on || off)) {
    constexpr std::string_view kKey = "chat_template_kwargs";
    std::string_view had = openai::ValueText(body, kKey);
    if (!had.starts_with('{')) had = "{}";
    const std::array<openai::Splice, 1> say = {
        {{"enable_thinking", on ? "true" : "false"}}};
    return {kKey, openai::Spliced(had, say)};
  }
  return {};
}

// What usage is told by, if the answer is a stream.
std::string StreamOptions(std::string_view body) {
  std::string_view had = openai::ValueText(body, "stream_options");
  if (!had.starts_with('{')) had = "{}";
  const std::array<openai::Splice, 1> usage = {{{"include_usage", "true"}}};
  return openai::Spliced(had, usage);
}

void TurnStreamOn(json::object* body) {
  (*body)["stream"] = true;
  (*body)["stream_options"] = {{"include_usage", true}};
}

// The first byte at or after `at` that begins a character.
size_t CharacterAt(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
  return at;
}

// Head and tail of a text that is too long, cut between characters.
std::string Shortened(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  const size_t half = bytes_max / 2;
  const size_t tail = CharacterAt(text, text.size() - half);
  size_t head = half;
  while (head > 0 && (text[head] & 0xC0) == 0x80) --head;
  return std::string(text.substr(0, head)) + "\n...\n" +
         std::string(text.substr(tail));
}

std::vector<core::Message> ScoredMessages(const core::Request& request,
                                          size_t bytes_max) {
  if (PromptBytes(request) <= static_cast<int64_t>(bytes_max) ||
      request.messages.empty()) {
    return request.messages;
  }
  core::Message last = request.messages.back();
  last.content = Shortened(last.content, bytes_max);
  return {std::move(last)};
}

void WriteChatQuestion(std::vector<core::Message> messages,
                       std::string_view suffix, SuffixForm form,
                       json::object* body) {
  if (form == SuffixForm::kContinued) {
    messages.push_back({core::Role::kAssistant, std::string(suffix)});
    (*body)["add_generation_prompt"] = false;
    (*body)["continue_final_message"] = true;
  } else if (messages.empty() || messages.back().role != core::Role::kUser) {
    messages.push_back({core::Role::kUser, std::string(suffix)});
  } else {
    messages.back().content.append("\n").append(suffix);
  }
  (*body)["messages"] = MessagesJson(messages);
  (*body)["logprobs"] = true;
  (*body)["top_logprobs"] = kTopLogprobs;
}

}  // namespace

std::string TargetOf(const core::Request& request) {
  return request.chat ? "/chat/completions" : "/completions";
}

int64_t PromptBytes(const core::Request& request) {
  if (!request.chat) return static_cast<int64_t>(request.prompt.size());
  int64_t bytes = 0;
  for (const core::Message& message : request.messages) {
    bytes += static_cast<int64_t>(message.content.size()) + kBytesPerMessage;
  }
  return bytes;
}

std::string ServingBody(const core::Request& request, std::string_view model,
                        const Telling& telling) {
  std::string body = request.raw_json;
  if (body.empty()) {
    body = json::serialize(FromFields(request));
  }
  const std::string quoted = openai::JsonString(model);
  std::vector<openai::Splice> splices = {{"model", quoted}, {"aio", ""}};
  std::string options;
  if (request.streamed) {
    options = StreamOptions(body);
    splices.push_back({"stream", "true"});
    splices.push_back({"stream_options", options});
  }
  const Changed told = request.chat ? Tell(telling, request, body) : Changed();
  if (!told.key.empty()) splices.push_back({told.key, told.value});
  return openai::Spliced(body, splices);
}

Result<std::string> ScoringBody(const core::Request& request,
                                std::string_view model, std::string_view suffix,
                                SuffixForm form, size_t bytes_max) {
  if (!request.chat && !request.prompt_tokens.empty()) {
    return Error{ErrorCode::kUnsupported,
                 "a prompt given as token ids cannot be scored by an upstream",
                 "prompt"};
  }
  json::object body = {
      {"model", model}, {"max_tokens", 1}, {"temperature", 1}, {"top_p", 1}};
  if (request.chat) {
    WriteChatQuestion(ScoredMessages(request, bytes_max), suffix, form, &body);
  } else {
    body["prompt"] = Shortened(request.prompt, bytes_max) + std::string(suffix);
    body["logprobs"] = kTopLogprobs;
  }
  TurnStreamOn(&body);
  return json::serialize(body);
}

}  // namespace aio::upstream
