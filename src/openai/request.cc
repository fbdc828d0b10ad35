// SPDX-License-Identifier: Apache-2.0
#include "openai/request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/nearest.h"
#include "openai/fields.h"
#include "openai/json.h"

namespace aio::openai {
namespace {

namespace json = boost::json;
using core::Message;
using core::Request;
using core::Role;

constexpr size_t kModelBytesMax = 256;

Error Invalid(std::string message, std::string param) {
  return Error{ErrorCode::kInvalidArgument, std::move(message),
               std::move(param)};
}

// What an upstream may know all the same.
void Pass(ErrorCode code, std::string message, std::string param,
          Request* request) {
  if (request->foreign) return;
  request->foreign = Error{code, std::move(message), std::move(param)};
}

void Need(core::Feature feature, Request* request) {
  request->needs |= core::Bit(feature);
}

// Values that ask for nothing, for fields we cannot carry out.
bool Never(const json::value&) { return false; }
bool IsFalse(const json::value& v) { return v.is_bool() && !v.get_bool(); }
bool IsOne(const json::value& v) { return AsInteger(v) == 1; }
bool IsNone(const json::value& v) { return AsString(v) == "none"; }
bool IsEmpty(const json::value& v) {
  return (v.is_array() && v.get_array().empty()) ||
         (v.is_object() && v.get_object().empty()) ||
         (v.is_string() && v.get_string().empty());
}
bool IsText(const json::value& v) {  // {"type": "text"}
  return v.is_object() && v.get_object().size() == 1 &&
         StringAt(v.get_object(), "type") == "text";
}
bool IsTextList(const json::value& v) {  // ["text"]
  return v.is_array() && v.get_array().size() == 1 &&
         AsString(v.get_array()[0]) == "text";
}

struct Refusal {
  std::string_view key;
  bool (*harmless)(const json::value&);
};
constexpr Refusal kChatRefusals[] = {
    {"tools", IsEmpty},          {"tool_choice", IsNone},
    {"functions", IsEmpty},      {"function_call", IsNone},
    {"response_format", IsText}, {"logit_bias", IsEmpty},
    {"modalities", IsTextList},  {"audio", Never},
    {"prediction", Never},       {"reasoning_effort", Never},
    {"verbosity", Never},        {"web_search_options", Never},
};
constexpr Refusal kCompletionRefusals[] = {
    {"best_of", IsOne},      {"echo", IsFalse},           {"suffix", IsEmpty},
    {"logit_bias", IsEmpty}, {"response_format", IsText},
};

// One part of a content array, appended to `content`.
Result<void> ReadPart(const json::value& value, const std::string& where,
                      Request* request, std::string* content) {
  const json::object* part = value.if_object();
  if (part == nullptr)
    return Invalid("'" + where + "' must be an object", where);
  const std::string_view type = StringAt(*part, "type");
  if (type.empty()) {
    return Invalid("'" + where + ".type' must be a string", where + ".type");
  }
  if (type != "text") {
    Need(core::Feature::kMedia, request);
    Pass(ErrorCode::kUnsupported,
         "'" + where + "': content of type '" +
             std::string(type.substr(0, 32)) +
             "' is not supported by any variant here, only 'text'",
         where, request);
    return {};
  }
  Fields fields(*part, where + ".", &request->foreign);
  fields.Accept({"type"});
  std::string text;
  if (fields.Get("text") == nullptr) {
    fields.Fail(ErrorCode::kInvalidArgument, "text", "is required");
  }
  fields.String("text", &text);
  RETURN_IF_ERROR(fields.Finish());
  if (!content->empty()) *content += '\n';
  *content += text;
  return {};
}

Result<std::string> ReadContent(const json::value* value,
                                const std::string& where, Request* request) {
  if (value == nullptr) return Invalid("'" + where + "' is required", where);
  if (const auto text = AsString(*value)) return std::string(*text);
  const json::array* parts = value->if_array();
  if (parts == nullptr || parts->empty()) {
    return Invalid("'" + where + "' must be a string or an array of parts",
                   where);
  }
  std::string content;
  for (size_t i = 0; i < parts->size(); ++i) {
    RETURN_IF_ERROR(ReadPart((*parts)[i], where + "[" + std::to_string(i) + "]",
                             request, &content));
  }
  return content;
}

Result<Role> ReadRole(const json::object& message, const std::string& where,
                      Request* request) {
  const std::string_view role = StringAt(message, "role");
  // The developer role is what newer models call the system's.
  if (role == "system" || role == "developer") return Role::kSystem;
  if (role == "user") return Role::kUser;
  if (role == "assistant") return Role::kAssistant;
  const std::string param = where + ".role";
  if (role == "tool" || role == "function") {
    Pass(ErrorCode::kUnsupported,
         "'" + param + "': '" + std::string(role) +
             "' is not supported by any variant here",
         param, request);
    return Role::kTool;
  }
  return Invalid(
      "'" + param + "' must be one of system, developer, user, assistant, tool",
      param);
}

// What an assistant's message may hold besides its text. True: it needs none.
bool ReadAnswer(const json::object& object, Fields* fields) {
  // A client sends our own answer back with everything that was in it.
  fields->Accept({"reasoning_content"});
  fields->Refuse("tool_calls", IsEmpty);
  fields->Refuse("function_call", Never);
  fields->Refuse("refusal", IsEmpty);
  fields->Refuse("annotations", IsEmpty);
  fields->Refuse("audio", Never);
  const auto called = [&](const char* key) {
    const json::value* value = Find(object, key);
    return value != nullptr && !IsEmpty(*value);
  };
  return called("tool_calls") || called("function_call") || called("audio") ||
         called("refusal");
}

Result<Message> ReadMessage(const json::value& value, const std::string& where,
                            Request* request) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    return Invalid("'" + where + "' must be an object", where);
  }
  Message message;
  ASSIGN_OR_RETURN(message.role, ReadRole(*object, where, request));
  Fields fields(*object, where + ".", &request->foreign);
  fields.Accept({"role"});
  const json::value* content = fields.Get("content");
  fields.Refuse("name", Never);
  bool textless = false;
  if (message.role == Role::kTool) {
    fields.Accept({"tool_call_id"});
  } else if (message.role == Role::kAssistant) {
    textless = ReadAnswer(*object, &fields);
  }
  RETURN_IF_ERROR(fields.Finish());
  if (content == nullptr && textless) return message;
  ASSIGN_OR_RETURN(message.content,
                   ReadContent(content, where + ".content", request));
  return message;
}

Result<void> ReadMessages(const json::value* value, const Limits& limits,
                          Request* request) {
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr || list->empty()) {
    return Invalid("'messages' must be an array of at least one message",
                   "messages");
  }
  if (list->size() > static_cast<size_t>(limits.messages_max)) {
    return Invalid("'messages' has more than " +
                       std::to_string(limits.messages_max) + " messages",
                   "messages");
  }
  request->messages.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    ASSIGN_OR_RETURN(
        auto message,
        ReadMessage((*list)[i], "messages[" + std::to_string(i) + "]",
                    request));
    request->messages.push_back(std::move(message));
  }
  request->tool_result = request->messages.back().role == Role::kTool;
  return {};
}

Result<void> ReadOnePrompt(std::string_view key, const json::value& value,
                           Request* request) {
  const auto wrong = [&] {
    return Invalid(
        "'" + std::string(key) + "' must be a string or an array of token ids",
        std::string(key));
  };
  if (const auto text = AsString(value)) {
    request->prompt += *text;
    return {};
  }
  const json::array* list = value.if_array();
  if (list == nullptr || list->empty()) return wrong();
  request->prompt_tokens.reserve(list->size());
  for (const json::value& item : *list) {
    const auto id = AsInteger(item);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      return wrong();
    }
    request->prompt_tokens.push_back(static_cast<int32_t>(*id));
  }
  return {};
}

// A string or token ids, alone or as the only member of an array; several
// prompts are foreign, and their size is that of all.
Result<void> ReadPrompt(std::string_view key, const json::value* value,
                        Request* request) {
  const std::string quoted = "'" + std::string(key) + "'";
  if (value == nullptr) {
    return Invalid(quoted + " is required", std::string(key));
  }
  const json::array* list = value->if_array();
  const bool nested =
      list != nullptr && !list->empty() && !list->front().is_number();
  if (!nested) {
    return ReadOnePrompt(key, *value, request);
  }
  if (list->size() > 1) {
    Pass(ErrorCode::kUnsupported,
         quoted +
             " with several prompts is not supported by any variant here; send "
             "one request each",
         std::string(key), request);
  }
  for (const json::value& one : *list) {
    RETURN_IF_ERROR(ReadOnePrompt(key, one, request));
  }
  return {};
}

Result<void> ReadStop(const json::value* value, const Limits& limits,
                      Request* request) {
  if (value == nullptr) return {};
  json::array one;
  const json::array* list = value->if_array();
  if (list == nullptr) {
    one.push_back(*value);
    list = &one;
  }
  if (list->size() > static_cast<size_t>(limits.stop_max)) {
    return Invalid("'stop' has more than " + std::to_string(limits.stop_max) +
                       " sequences",
                   "stop");
  }
  for (const json::value& item : *list) {
    const auto text = AsString(item);
    if (!text || text->empty() ||
        text->size() > static_cast<size_t>(limits.stop_bytes_max)) {
      return Invalid("'stop' must be a string or an array of strings of 1 to " +
                         std::to_string(limits.stop_bytes_max) + " bytes",
                     "stop");
    }
    request->stop.emplace_back(*text);
  }
  return {};
}

// Any 64-bit seed; negative ones and those above int64 keep their bits.
void ReadSeed(Fields* fields, core::Sampling* sampling) {
  const json::value* value = fields->Get("seed");
  if (value == nullptr) return;
  if (const uint64_t* big = value->if_uint64()) {
    sampling->seed = *big;
  } else if (const auto number = AsInteger(*value)) {
    sampling->seed = static_cast<uint64_t>(*number);
  } else {
    fields->Fail(ErrorCode::kInvalidArgument, "seed", "must be a whole number");
  }
}

void ReadSampling(Fields* fields, core::Sampling* sampling) {
  fields->Number("temperature", 0, 2, &sampling->temperature);
  fields->Number("top_p", 0, 1, &sampling->top_p);
  fields->Number("min_p", 0, 1, &sampling->min_p);
  fields->Number("repetition_penalty", 0.01, 100,
                 &sampling->repetition_penalty);
  fields->Number("presence_penalty", -2, 2, &sampling->presence_penalty);
  fields->Number("frequency_penalty", -2, 2, &sampling->frequency_penalty);
  // -1 is how other servers say "no limit".
  const auto top_k = fields->Integer("top_k", -1, 1 << 20);
  if (top_k) sampling->top_k = static_cast<int>(std::max<int64_t>(*top_k, 0));
  ReadSeed(fields, sampling);
}

// Chat: a switch and a count. Completions: the count alone.
void ReadLogprobs(bool chat, Fields* fields, core::Sampling* sampling) {
  constexpr int kTopMax = 20;
  const auto top =
      fields->Integer(chat ? "top_logprobs" : "logprobs", 0, kTopMax);
  if (top) sampling->top_logprobs = static_cast<int>(*top);
  if (!chat) {
    sampling->logprobs = top.has_value();
    return;
  }
  fields->Bool("logprobs", &sampling->logprobs);
  if (top.value_or(0) > 0 && !sampling->logprobs) {
    fields->Fail(ErrorCode::kInvalidArgument, "top_logprobs",
                 "needs 'logprobs' to be true");
  }
}

void ReadLengths(bool chat, const Limits& limits, Fields* fields,
                 Request* request) {
  constexpr int kMax = std::numeric_limits<int>::max();
  const auto old = fields->Integer("max_tokens", 1, kMax);
  if (old) request->max_tokens = static_cast<int>(*old);
  if (chat) {
    const auto tokens = fields->Integer("max_completion_tokens", 1, kMax);
    if (tokens && old && *tokens != *old) {
      fields->Fail(ErrorCode::kInvalidArgument, "max_completion_tokens",
                   "and 'max_tokens' differ; set only one");
    }
    if (tokens) request->max_tokens = static_cast<int>(*tokens);
  }
  const auto choices = fields->Integer("n", 1, limits.choices_max);
  if (choices) request->choices = static_cast<int>(*choices);
}

Result<void> ReadStream(Fields* fields, Parsed* parsed) {
  fields->Bool("stream", &parsed->stream);
  parsed->request.streamed = parsed->stream;
  const json::object* options = fields->Object("stream_options");
  if (options == nullptr) return {};
  if (!parsed->stream) {
    return Invalid("'stream_options' needs 'stream' to be true",
                   "stream_options");
  }
  Fields inner(*options, "stream_options.", &parsed->request.foreign);
  inner.Bool("include_usage", &parsed->include_usage);
  inner.Accept({"include_obfuscation"});
  return inner.Finish();
}

// As vLLM, SGLang and llama-server take it, and as others do at the top.
Result<void> ReadThinking(Fields* fields, Request* request) {
  const auto read = [&](Fields* from, const char* key) {
    bool on = false;
    if (from->Get(key) == nullptr) return;
    from->Bool(key, &on);
    const auto said = on ? core::Thinking::kOn : core::Thinking::kOff;
    if (request->thinking.value_or(said) != said) {
      from->Fail(ErrorCode::kInvalidArgument, key,
                 "says another thing than 'enable_thinking'");
    }
    request->thinking = said;
  };
  read(fields, "enable_thinking");
  const json::object* object = fields->Object("chat_template_kwargs");
  if (object == nullptr) return {};
  Fields inner(*object, "chat_template_kwargs.", &request->foreign);
  read(&inner, "enable_thinking");
  return inner.Finish();
}

// What the last words of the last message say of it, if that is the user's.
Result<void> ReadThinkingInText(Request* request) {
  const Message& last = request->messages.back();
  if (last.role != Role::kUser) return {};
  const auto said = core::ThinkingSaid(last.content);
  if (!said) return {};
  if (request->thinking.value_or(*said) != *said) {
    return Invalid(
        "'enable_thinking' and the end of the last message say "
        "different things",
        "enable_thinking");
  }
  request->thinking_in_text = !request->thinking;
  request->thinking = said;
  return {};
}

std::vector<std::string> LabelNames() {
  return {core::kLabelNames.begin(), core::kLabelNames.end()};
}

void ReadIntent(Fields* fields, core::Hints* hints) {
  std::string name;
  fields->String("intent", &name);
  if (name.empty()) return;
  hints->intent = core::LabelNamed(name);
  if (hints->intent) return;
  std::string names;
  for (const std::string& label : LabelNames()) {
    names += (names.empty() ? "" : ", ") + label;
  }
  fields->Fail(ErrorCode::kInvalidArgument, "intent",
               "must be one of " + names + DidYouMean(name, LabelNames()));
}

// What the client says to the orchestrator.
Result<void> ReadHints(const json::object* object, core::Hints* hints) {
  if (object == nullptr) return {};
  Fields fields(*object, "aio.");
  if (fields.Get("quality") != nullptr) {
    float quality = 0;
    fields.Number("quality", 0, 1, &quality);
    hints->quality = quality;
  }
  ReadIntent(&fields, hints);
  fields.String("variant", &hints->variant);
  std::string speculation = "auto";
  fields.String("speculation", &speculation);
  hints->strategy = core::SpeculationNamed(speculation);
  if (!hints->strategy) {
    fields.Fail(ErrorCode::kInvalidArgument, "speculation",
                "must be one of auto, off, lookup, draft");
  } else if (hints->strategy == core::Strategy::kAuto) {
    hints->strategy.reset();  // as if nothing was said
  }
  fields.Bool("deterministic", &hints->deterministic);
  if (fields.Get("escalate") != nullptr) {
    bool escalate = false;
    fields.Bool("escalate", &escalate);
    hints->escalate = escalate;
  }
  return fields.Finish();
}

void ReadModel(bool required, Fields* fields, Request* request) {
  request->model = required ? "" : "auto";
  fields->String("model", &request->model);
  if (request->model.empty()) {
    fields->Fail(ErrorCode::kInvalidArgument, "model", "is required");
  } else if (request->model.size() > kModelBytesMax) {
    fields->Fail(ErrorCode::kInvalidArgument, "model", "is too long");
  }
}

// Keys that ask for an answer that follows a schema or a grammar, as vLLM,
// SGLang and llama-server have them.
constexpr std::string_view kStructuredKeys[] = {
    "guided_json",    "guided_regex",       "guided_choice",
    "guided_grammar", "structured_outputs", "regex",
    "ebnf",           "json_schema",        "grammar"};

void ReadNeeds(const json::object& body, Request* request) {
  const auto asks = [&](std::string_view key,
                        bool (*harmless)(const json::value& value)) {
    const json::value* value = Find(body, key);
    return value != nullptr && !harmless(*value);
  };
  if (asks("tools", IsEmpty) || asks("functions", IsEmpty)) {
    Need(core::Feature::kTools, request);
  }
  bool structured = asks("response_format", IsText);
  for (const std::string_view key : kStructuredKeys) {
    structured = structured || asks(key, IsEmpty);
  }
  if (structured) Need(core::Feature::kStructured, request);
  if (request->sampling.logprobs) Need(core::Feature::kLogprobs, request);
}

Result<void> ReadBody(const json::object& body, Kind kind, const Limits& limits,
                      Parsed* parsed) {
  Request& request = parsed->request;
  const bool chat = request.chat;
  Fields fields(body, "", &request.foreign);
  ReadModel(kind != Kind::kRoute, &fields, &request);
  const json::value* input = fields.Get(chat ? "messages" : "prompt");
  const json::value* stop = fields.Get("stop");
  ReadLengths(chat, limits, &fields, &request);
  ReadSampling(&fields, &request.sampling);
  ReadLogprobs(chat, &fields, &request.sampling);
  if (chat) {
    for (const auto& [key, harmless] : kChatRefusals) {
      fields.Refuse(key, harmless);
    }
  } else {
    for (const auto& [key, harmless] : kCompletionRefusals) {
      fields.Refuse(key, harmless);
    }
  }
  ReadNeeds(body, &request);
  fields.Accept({"user", "metadata", "store", "service_tier",
                 "safety_identifier", "prompt_cache_key",
                 "prompt_cache_retention", "parallel_tool_calls"});
  const auto streamed = ReadStream(&fields, parsed);
  const auto thinking = chat ? ReadThinking(&fields, &request) : Result<void>();
  const json::object* hints = fields.Object("aio");
  RETURN_IF_ERROR(fields.Finish());
  RETURN_IF_ERROR(streamed);
  RETURN_IF_ERROR(thinking);
  RETURN_IF_ERROR(ReadHints(hints, &request.hints));
  RETURN_IF_ERROR(ReadStop(stop, limits, &request));
  if (!chat) return ReadPrompt("prompt", input, &request);
  RETURN_IF_ERROR(ReadMessages(input, limits, &request));
  return ReadThinkingInText(&request);
}

// Embeddings are always an upstream's: only what routes them is looked at.
Result<void> ReadEmbeddings(const json::object& body, Request* request) {
  request->streamed = false;
  Fields fields(body, "", &request->foreign);
  ReadModel(true, &fields, request);
  const json::value* input = fields.Get("input");
  const json::object* hints = fields.Object("aio");
  RETURN_IF_ERROR(fields.Finish());
  RETURN_IF_ERROR(ReadHints(hints, &request->hints));
  return ReadPrompt("input", input, request);
}

}  // namespace

Result<Parsed> ParseRequest(Kind kind, std::string body, const Limits& limits) {
  ASSIGN_OR_RETURN(const auto value, ParseJson(body));
  const json::object* object = value.if_object();
  if (object == nullptr) {
    return Invalid("the body must be a JSON object", "");
  }
  Parsed parsed;
  parsed.request.chat =
      kind == Kind::kChat ||
      (kind == Kind::kRoute && Find(*object, "messages") != nullptr);
  core::Request& request = parsed.request;
  request.needs =
      core::Bit(kind == Kind::kEmbeddings ? core::Feature::kEmbeddings
                : request.chat            ? core::Feature::kChat
                                          : core::Feature::kCompletions);
  RETURN_IF_ERROR(kind == Kind::kEmbeddings
                      ? ReadEmbeddings(*object, &request)
                      : ReadBody(*object, kind, limits, &parsed));
  parsed.request.raw_json = std::move(body);
  return parsed;
}

}  // namespace aio::openai
