// SPDX-License-Identifier: Apache-2.0
#include "upstream/body.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "openai/json.h"

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
  if (sampling.seed) (*body)["seed"] = WireSeed(*sampling.seed);
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

void EndWithNoThink(json::object* body) {
  json::value* list = body->if_contains("messages");
  if (list == nullptr || !list->is_array()) return;
  json::array& messages = list->get_array();
  for (size_t i = messages.size(); i-- > 0;) {
    json::object* message = messages[i].if_object();
    if (message == nullptr) return;
    if (openai::StringAt(*message, "role") != "user") continue;
    json::string* text = LastText(message);
    if (text == nullptr) return;
    if (core::ThinkingSaid({text->data(), text->size()})) return;
    text->push_back(' ');
    text->append(core::kNoThinkWord);
    return;
  }
}

// It thinks unless told, so it need not be told to but by who said so.
void Tell(const Telling& telling, const core::Request& request,
          json::object* body) {
  const bool off = telling.thinking == core::Thinking::kOff;
  const bool on = telling.thinking == core::Thinking::kOn && request.thinking;
  if (telling.how == core::ThinkingSwitch::kWord && off) EndWithNoThink(body);
  if (telling.how != core::ThinkingSwitch::kTemplate || (!on && !off)) return;
  json::value& arguments = (*body)["chat_template_kwargs"];
  if (!arguments.is_object()) arguments = json::object();
  arguments.get_object()["enable_thinking"] = on;
}

void TurnStreamOn(json::object* body) {
  (*body)["stream"] = true;
  json::value& options = (*body)["stream_options"];
  if (!options.is_object()) options = json::object();
  options.get_object()["include_usage"] = true;
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

uint64_t WireSeed(uint64_t seed) { return seed & ~(uint64_t{1} << 63); }

int64_t PromptBytes(const core::Request& request) {
  if (!request.chat) return static_cast<int64_t>(request.prompt.size());
  int64_t bytes = 0;
  for (const core::Message& message : request.messages) {
    bytes += static_cast<int64_t>(message.content.size()) + kBytesPerMessage;
  }
  return bytes;
}

Result<std::string> ServingBody(const core::Request& request,
                                std::string_view model, uint64_t seed,
                                const Telling& telling) {
  json::object body;
  if (request.raw_json.empty()) {
    body = FromFields(request);
  } else {
    ASSIGN_OR_RETURN(json::value parsed, openai::ParseJson(request.raw_json));
    if (!parsed.is_object()) {
      return Error{ErrorCode::kInvalidArgument, "the body is no JSON object",
                   ""};
    }
    body = std::move(parsed.get_object());
  }
  if (request.chat) Tell(telling, request, &body);
  body["model"] = model;
  body.erase("aio");
  if (openai::Find(body, "seed") == nullptr) body["seed"] = WireSeed(seed);
  TurnStreamOn(&body);
  return json::serialize(body);
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
