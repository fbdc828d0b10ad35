// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "jinja/eval.h"
#include "jinja/json.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"

namespace aio::tokenizer {
namespace {

using jinja::Dict;
using jinja::Runtime;
using jinja::Sequence;
using jinja::Value;

// A message's role is free text only outside of this list.
bool IsKnownRole(std::string_view role) {
  static constexpr std::array<std::string_view, 5> kRoles = {
      "system", "user", "assistant", "developer", "tool"};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

Result<Value> Role(Runtime& rt, std::string_view role) {
  return rt.NewString(role, IsKnownRole(role));
}

Result<Value> Message(Runtime& rt, const ChatMessage& message) {
  ASSIGN_OR_RETURN(Dict* const dict, rt.NewDict());
  ASSIGN_OR_RETURN(Value role, Role(rt, message.role));
  ASSIGN_OR_RETURN(Value content, rt.NewString(message.content, false));
  RETURN_IF_ERROR(rt.Set(dict, "role", std::move(role)));
  RETURN_IF_ERROR(rt.Set(dict, "content", std::move(content)));
  return Value::Of(dict);
}

// A first system message in front of the second's text.
std::vector<ChatMessage> MergeSystem(std::vector<ChatMessage> messages) {
  if (messages.size() < 2 || messages[0].role != "system") return messages;
  messages[1].content = messages[0].content + "\n" + messages[1].content;
  messages.erase(messages.begin());
  return messages;
}

Result<Value> Messages(Runtime& rt, const std::vector<ChatMessage>& messages) {
  std::vector<Value> items;
  for (const ChatMessage& message : messages) {
    ASSIGN_OR_RETURN(Value item, Message(rt, message));
    items.push_back(std::move(item));
  }
  ASSIGN_OR_RETURN(Sequence* const list,
                   rt.NewSequence(Sequence::Kind::kList, std::move(items)));
  return Value::Of(list);
}

// Known roles of messages that came as JSON count as trusted, too.
Result<void> TrustRoles(Runtime& rt, const Value& messages) {
  const Sequence* list = messages.sequence();
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    Dict* const message = list->at(i).dict();
    const Value* role = message ? message->FindString("role") : nullptr;
    if (role == nullptr || !role->text()) continue;
    ASSIGN_OR_RETURN(Value trusted, Role(rt, role->text()->bytes()));
    RETURN_IF_ERROR(rt.Set(message, "role", std::move(trusted)));
  }
  return {};
}

Result<void> DefineExtra(Runtime& rt, const boost::json::object& extra,
                         jinja::Evaluator* evaluator) {
  for (const auto& [name, json] : extra) {
    ASSIGN_OR_RETURN(Value value, jinja::FromJson(rt, json));
    if (name == "messages") {
      RETURN_IF_ERROR(TrustRoles(rt, value));
    }
    evaluator->Define(std::string_view(name), std::move(value));
  }
  return {};
}

Spans SpansOf(const jinja::Text& text) {
  Spans spans;
  size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    spans.push_back({std::string(text.bytes().substr(begin, run.end - begin)),
                     run.trusted});
    begin = run.end;
  }
  return spans;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source,
                                         TemplateOptions options) {
  Result<jinja::Program> program = jinja::ParseProgram(source, options.limits);
  if (!program) {
    Error error = std::move(program).error();
    error.message = "chat template: " + error.message;
    return error;
  }
  ChatTemplate parsed(
      std::make_shared<const jinja::Program>(std::move(program).value()),
      std::move(options));
  if (!parsed.options_.probe) return parsed;
  Result<void> works = parsed.Probe();
  if (works) return parsed;
  // Some templates are made for use with tools only and walk the list unasked.
  parsed.empty_tools_ = true;
  if (parsed.Probe()) return parsed;
  return std::move(works).error();
}

// A template may refuse a conversation, but not fail on it.
Result<std::string> ChatTemplate::Try(std::vector<ChatMessage> messages) const {
  RenderInput input;
  input.messages = std::move(messages);
  bool raised = false;
  const Result<Spans> spans = Render(input, &raised);
  if (!spans && !raised) {
    return Error{ErrorCode::kUnsupported,
                 "cannot evaluate the " + spans.error().message, ""};
  }
  std::string text;
  if (!spans) return text;
  for (const Span& span : *spans) text += span.text;
  return text;
}

Result<void> ChatTemplate::Probe() {
  const ChatMessage system{"system", "Be brief."}, user{"user", "Hello"};
  ASSIGN_OR_RETURN(const std::string plain, Try({user}));
  ASSIGN_OR_RETURN(const std::string both, Try({system, user}));
  const auto has = [](const std::string& text, const ChatMessage& message) {
    return text.find(message.content) != std::string::npos;
  };
  takes_system_ = has(both, system) || !has(plain, user);
  return {};
}

Result<Spans> ChatTemplate::Render(const RenderInput& input) const {
  bool raised = false;
  return Render(input, &raised);
}

Result<Spans> ChatTemplate::Render(const RenderInput& input,
                                   bool* raised) const {
  Runtime rt(options_.limits, input.now);
  jinja::Evaluator evaluator(*program_, rt);
  ASSIGN_OR_RETURN(Value messages,
                   Messages(rt, takes_system_ ? input.messages
                                              : MergeSystem(input.messages)));
  ASSIGN_OR_RETURN(Value bos, rt.NewString(options_.bos, true));
  ASSIGN_OR_RETURN(Value eos, rt.NewString(options_.eos, true));
  evaluator.Define("messages", std::move(messages));
  evaluator.Define("bos_token", std::move(bos));
  evaluator.Define("eos_token", std::move(eos));
  evaluator.Define("add_generation_prompt",
                   Value::Bool(input.add_generation_prompt));
  // Hugging Face always passes these two.
  Value tools;
  if (empty_tools_) {
    ASSIGN_OR_RETURN(tools, Messages(rt, {}));
  }
  evaluator.Define("tools", std::move(tools));
  evaluator.Define("documents", Value());
  RETURN_IF_ERROR(DefineExtra(rt, input.extra, &evaluator));
  Result<jinja::Text> text = evaluator.Run();
  *raised = rt.raised();
  if (text) return SpansOf(*text);
  Error error = std::move(text).error();
  if (!*raised) error.message = "chat template: " + error.message;
  return error;
}

}  // namespace aio::tokenizer
