// SPDX-License-Identifier: Apache-2.0
#include "openai/write.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/check.h"
#include "openai/json.h"
#include "openai/logprobs.h"
#include "openai/splice.h"
#include "openai/sse.h"

namespace aio::openai {
namespace {

namespace json = boost::json;

std::string_view Name(core::FinishReason reason) {
  return reason == core::FinishReason::kLength ? "length" : "stop";
}

std::string_view Object(bool chat, bool stream) {
  if (!chat) return "text_completion";
  return stream ? "chat.completion.chunk" : "chat.completion";
}

// {"id":…, …,"system_fingerprint":… without the closing brace.
std::string Prefix(const Head& head, bool stream) {
  std::string out = "{\"id\":";
  AppendJsonString((head.chat ? "chatcmpl-" : "cmpl-") + head.id, &out);
  out += ",\"object\":";
  AppendJsonString(Object(head.chat, stream), &out);
  out += ",\"created\":" + std::to_string(head.created) + ",\"model\":";
  AppendJsonString(head.model, &out);
  out += ",\"system_fingerprint\":";
  if (head.fingerprint.empty()) {
    out += "null";
  } else {
    AppendJsonString(head.fingerprint, &out);
  }
  return out;
}

void AppendUsage(const core::Usage& usage, std::string* out) {
  *out += "\"usage\":{\"prompt_tokens\":" + std::to_string(usage.prompt_tokens);
  *out += ",\"completion_tokens\":" + std::to_string(usage.completion_tokens);
  *out += ",\"total_tokens\":" + std::to_string(int64_t{usage.prompt_tokens} +
                                                usage.completion_tokens);
  *out += ",\"prompt_tokens_details\":{\"cached_tokens\":" +
          std::to_string(usage.cached_tokens) + "}";
  // OpenAI's names for drafts that were kept and that were not.
  const int rejected = usage.drafted_tokens - usage.accepted_tokens;
  *out += ",\"completion_tokens_details\":{\"accepted_prediction_tokens\":" +
          std::to_string(usage.accepted_tokens) +
          ",\"rejected_prediction_tokens\":" + std::to_string(rejected) + "}}";
}

std::string Logprobs(const std::vector<core::TokenLogprob>& tokens, bool chat,
                     int64_t offset) {
  if (tokens.empty()) return "null";
  std::string out;
  if (chat) {
    AppendChatLogprobs(tokens, &out);
  } else {
    AppendCompletionLogprobs(tokens, offset, &out);
  }
  return out;
}

// The delta of a chat chunk, or `"text":…` of a completion's.
std::string Content(const core::Delta& delta, bool chat) {
  std::string out;
  if (!chat) {
    out = "\"text\":";
    AppendJsonString(delta.text, &out);
    return out;
  }
  const auto field = [&out](std::string_view name) {
    out += out.empty() ? "\"" : ",\"";
    out += name;
    out += "\":";
  };
  if (!delta.reasoning.empty()) {
    field("reasoning_content");
    AppendJsonString(delta.reasoning, &out);
  }
  if (!delta.text.empty()) {
    field("content");
    AppendJsonString(delta.text, &out);
  }
  if (!delta.tool_calls.empty()) {
    field("tool_calls");
    out += delta.tool_calls;
  }
  return "\"delta\":{" + out + "}";
}

// The only choice of an upstream's message; null if it has no such shape.
json::object* OnlyChoice(json::object* message) {
  json::value* list = message->if_contains("choices");
  if (list == nullptr || !list->is_array()) return nullptr;
  json::array& choices = list->get_array();
  if (choices.size() != 1) return nullptr;
  return choices[0].if_object();
}

bool Contains(std::initializer_list<std::string_view> keys,
              std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// Copies what is not in `known`: text of later chunks is appended, anything
// else replaces what earlier chunks said.
void KeepUnknown(const json::object& from,
                 std::initializer_list<std::string_view> known,
                 json::object* to) {
  for (const auto& [key, value] : from) {
    if (value.is_null() || Contains(known, {key.data(), key.size()})) continue;
    json::value& kept = (*to)[key];
    if (kept.is_string() && value.is_string()) {
      kept.get_string() += value.get_string();
    } else {
      kept = value;
    }
  }
}

void AppendMembers(const json::object& object, std::string* out) {
  for (const auto& [key, value] : object) {
    out->push_back(',');
    AppendJsonString({key.data(), key.size()}, out);
    out->push_back(':');
    *out += json::serialize(value);
  }
}

}  // namespace

StreamWriter::StreamWriter(Head head, int choices, bool include_usage)
    : head_(std::move(head)),
      include_usage_(include_usage),
      prefix_("data: " + Prefix(head_, true) + ",\"choices\":["),
      choices_(choices) {}

void StreamWriter::Delta(const core::Delta& delta, std::string* out) {
  CHECK(delta.choice >= 0 &&
        static_cast<size_t>(delta.choice) < choices_.size());
  if (!delta.raw_json.empty() && Raw(delta.choice, delta.raw_json, out)) return;
  const bool empty = delta.text.empty() && delta.reasoning.empty() &&
                     delta.tool_calls.empty() && delta.logprobs.empty();
  if (empty) return;
  Begin(delta.choice, out);
  Choice& choice = choices_[delta.choice];
  Chunk(delta.choice, Content(delta, head_.chat),
        Logprobs(delta.logprobs, head_.chat, choice.characters), "", out);
  choice.characters += Characters(delta.text);
}

void StreamWriter::Done(const core::Done& done, std::string* out) {
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (choices_[i].finished) continue;
    Begin(static_cast<int>(i), out);
    const auto reason =
        i < done.finish.size() ? done.finish[i] : core::FinishReason::kStop;
    Chunk(static_cast<int>(i), head_.chat ? "\"delta\":{}" : "\"text\":\"\"",
          "null", Name(reason), out);
  }
  if (include_usage_) {
    *out += prefix_ + "],";
    if (done.raw_usage.empty()) {
      AppendUsage(done.usage, out);
    } else {
      *out += "\"usage\":" + done.raw_usage;
    }
    *out += "}\n\n";
  }
  *out += kSseDone;
}

void StreamWriter::Begin(int choice, std::string* out) {
  if (std::exchange(choices_[choice].started, true) || !head_.chat) return;
  Chunk(choice, R"("delta":{"role":"assistant","content":"","refusal":null})",
        "null", "", out);
}

void StreamWriter::Chunk(int choice, std::string_view content,
                         std::string_view logprobs, std::string_view finish,
                         std::string* out) const {
  *out += prefix_;
  *out += "{\"index\":" + std::to_string(choice) + ",";
  *out += content;
  *out += ",\"logprobs\":";
  *out += logprobs;
  *out += ",\"finish_reason\":";
  if (finish.empty()) {
    *out += "null";
  } else {
    AppendJsonString(finish, out);
  }
  *out += "}]";
  End(out);
}

// With include_usage the API says null in every chunk but the last.
void StreamWriter::End(std::string* out) const {
  *out += include_usage_ ? ",\"usage\":null}\n\n" : "}\n\n";
}

// Every member but ours as the upstream wrote it.
bool StreamWriter::Raw(int choice, std::string_view raw, std::string* out) {
  auto parsed = ParseJson(raw);
  if (!parsed || !parsed->is_object()) return false;
  json::object& message = parsed->get_object();
  json::object* only = OnlyChoice(&message);
  std::string choices;
  if (only != nullptr) {
    choices_[choice].started = true;
    if (!StringAt(*only, "finish_reason").empty()) {
      choices_[choice].finished = true;
    }
    if (only->contains("message")) {  // an upstream that does not stream
      json::value inner = std::move((*only)["message"]);
      only->erase("message");
      (*only)["delta"] = std::move(inner);
      choices = json::serialize(message["choices"]);
    }
  }
  const std::string id =
      JsonString((head_.chat ? "chatcmpl-" : "cmpl-") + head_.id);
  const std::string object = JsonString(Object(head_.chat, true));
  const std::string created = std::to_string(head_.created);
  const std::string model = JsonString(head_.model);
  std::vector<Splice> splices = {
      {"id", id}, {"object", object}, {"created", created}, {"model", model}};
  if (!choices.empty()) splices.push_back({"choices", choices});
  // We have asked for it; it is the client's only if it has asked, too.
  if (!include_usage_) {
    splices.push_back({"usage", ""});
  } else if (message.if_contains("usage") == nullptr) {
    splices.push_back({"usage", "null"});
  }
  *out += SseData(Spliced(raw, splices));
  return true;
}

void PlainWriter::Delta(core::Delta delta) {
  CHECK(delta.choice >= 0 &&
        static_cast<size_t>(delta.choice) < choices_.size());
  Choice& choice = choices_[delta.choice];
  choice.text += delta.text;
  choice.reasoning += delta.reasoning;
  std::move(delta.logprobs.begin(), delta.logprobs.end(),
            std::back_inserter(choice.logprobs));
  if (!delta.raw_json.empty()) Keep(delta.raw_json, &choice);
}

void PlainWriter::Keep(std::string_view raw, Choice* choice) {
  auto parsed = ParseJson(raw);
  if (!parsed || !parsed->is_object()) return;
  json::object& message = parsed->get_object();
  const json::object* only = OnlyChoice(&message);
  if (only == nullptr) return;
  KeepUnknown(message,
              {"id", "object", "created", "model", "choices", "usage",
               "system_fingerprint"},
              &extra_);
  KeepUnknown(
      *only, {"index", "delta", "message", "text", "logprobs", "finish_reason"},
      &choice->extra);
  const std::string_view finish = StringAt(*only, "finish_reason");
  if (!finish.empty()) choice->finish = finish;
  // Who calls tools and wants no stream is answered in one body (Done), so only
  // whole calls can be here.
  if (const json::value* whole = Find(*only, "message")) {
    if (!whole->is_object()) return;
    KeepUnknown(whole->get_object(),
                {"role", "content", "reasoning_content", "reasoning"},
                &choice->message_extra);
  } else if (const json::value* delta = Find(*only, "delta")) {
    if (!delta->is_object()) return;
    KeepUnknown(
        delta->get_object(),
        {"role", "content", "reasoning_content", "reasoning", "tool_calls"},
        &choice->message_extra);
  }
}

std::string PlainWriter::Write(const Head& head, const core::Done& done) const {
  if (!done.raw_json.empty()) return Whole(head, done.raw_json);
  std::string out = Prefix(head, false) + ",\"choices\":[";
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (i > 0) out.push_back(',');
    const auto reason =
        i < done.finish.size() ? done.finish[i] : core::FinishReason::kStop;
    const std::string& own = choices_[i].finish;
    WriteChoice(head, i, own.empty() ? Name(reason) : own, &out);
  }
  out += "],";
  AppendUsage(done.usage, &out);
  AppendMembers(extra_, &out);
  out.push_back('}');
  return out;
}

// Embeddings have no id of ours, and none if the upstream gave none.
std::string PlainWriter::Whole(const Head& head, std::string_view raw) {
  const std::string id =
      JsonString((head.chat ? "chatcmpl-" : "cmpl-") + head.id);
  const std::string model = JsonString(head.model);
  std::vector<Splice> splices = {{"model", model}};
  if (!head.embeddings) splices.push_back({"id", id});
  return Spliced(raw, splices);
}

void PlainWriter::WriteChoice(const Head& head, size_t index,
                              std::string_view finish, std::string* out) const {
  const Choice& choice = choices_[index];
  *out += "{\"index\":" + std::to_string(index);
  if (head.chat) {
    *out += R"(,"message":{"role":"assistant","content":)";
    AppendJsonString(choice.text, out);
    if (!choice.message_extra.contains("refusal")) *out += ",\"refusal\":null";
    if (!choice.reasoning.empty()) {
      *out += ",\"reasoning_content\":";
      AppendJsonString(choice.reasoning, out);
    }
    AppendMembers(choice.message_extra, out);
    out->push_back('}');
  } else {
    *out += ",\"text\":";
    AppendJsonString(choice.text, out);
  }
  *out += ",\"logprobs\":" + Logprobs(choice.logprobs, head.chat, 0);
  *out += ",\"finish_reason\":";
  AppendJsonString(finish, out);
  AppendMembers(choice.extra, out);
  out->push_back('}');
}

std::string ModelJson(const Model& model) {
  std::string out = "{\"id\":";
  AppendJsonString(model.name, &out);
  out += R"(,"object":"model","created":)" + std::to_string(model.created) +
         R"(,"owned_by":"aio"})";
  return out;
}

std::string ModelsJson(const std::vector<Model>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out.push_back(',');
    out += ModelJson(models[i]);
  }
  out += "]}";
  return out;
}

}  // namespace aio::openai
