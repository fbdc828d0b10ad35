// SPDX-License-Identifier: Apache-2.0
#include "eval/own_format.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/nearest.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

constexpr size_t kMessagesMax = 256;
constexpr size_t kStopMax = 16;
constexpr int64_t kTokensMax = 1'000'000;

Error Invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), ""};
}

std::vector<std::string> CheckerNames() {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(Checker::kRegex); ++i) {
    names.emplace_back(Name(static_cast<Checker>(i)));
  }
  return names;
}

std::vector<std::string> LabelNames() {
  return {core::kLabelNames.begin(), core::kLabelNames.end()};
}

std::string Listed(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : " | ") + name;
  }
  return list;
}

// An unknown value of a field that has few: which there are, or the nearest.
Error Unknown(std::string_view key, const std::string& value,
              const std::vector<std::string>& names) {
  const std::string near = DidYouMean(value, names);
  return WrongField(
      key, "is '" + value.substr(0, kNameBytesMax) + "'" +
               (near.empty() ? "; it must be " + Listed(names) : near));
}

// Reads one object of our own format.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  Result<Task> Read() {
    Task task;
    RETURN_IF_ERROR(CheckNames(
        object_, {"id", "intent", "messages", "prompt", "checker", "reference",
                  "prefix", "entry_point", "max_tokens", "stop"}));
    RETURN_IF_ERROR(Required("id", &task.id));
    ASSIGN_OR_RETURN(task.intent, Intent());
    ASSIGN_OR_RETURN(task.checker, ReadChecker());
    ASSIGN_OR_RETURN(task.messages, Messages());
    RETURN_IF_ERROR(Required("reference", &task.reference));
    RETURN_IF_ERROR(PythonFields(&task));
    ASSIGN_OR_RETURN(task.max_tokens, MaxTokens());
    ASSIGN_OR_RETURN(task.stop, Stop());
    return task;
  }

 private:
  static Result<void> CheckNames(const json::object& object,
                                 const std::vector<std::string>& known) {
    for (const auto& entry : object) {
      const std::string key(entry.key().data(), entry.key().size());
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      return Invalid("unknown field '" + key.substr(0, kNameBytesMax) + "'" +
                     DidYouMean(key, known));
    }
    return {};
  }

  const json::value* Find(std::string_view key) const {
    return object_.if_contains({key.data(), key.size()});
  }

  static Result<void> ReadString(const json::value& value, std::string_view key,
                                 std::string* out) {
    const json::string* string = value.if_string();
    if (string == nullptr) return WrongField(key, "must be a string");
    out->assign(string->data(), string->size());
    return {};
  }

  Result<void> Required(std::string_view key, std::string* out) const {
    const json::value* value = Find(key);
    if (value == nullptr) return WrongField(key, "is missing");
    return ReadString(*value, key, out);
  }

  Result<core::Label> Intent() const {
    std::string name;
    RETURN_IF_ERROR(Required("intent", &name));
    if (const auto label = core::LabelNamed(name)) return *label;
    return Unknown("intent", name, LabelNames());
  }

  Result<Checker> ReadChecker() const {
    std::string name;
    RETURN_IF_ERROR(Required("checker", &name));
    if (const auto checker = CheckerNamed(name)) return *checker;
    return Unknown("checker", name, CheckerNames());
  }

  Result<std::vector<core::Message>> Messages() const {
    const json::value* list = Find("messages");
    if ((list == nullptr) == (Find("prompt") == nullptr)) {
      return Invalid("either 'messages' or 'prompt' must be given");
    }
    std::vector<core::Message> messages;
    if (list == nullptr) {
      messages.emplace_back();
      RETURN_IF_ERROR(Required("prompt", &messages.back().content));
      return messages;
    }
    if (!list->is_array()) return WrongField("messages", "must be a list");
    if (list->get_array().size() > kMessagesMax) {
      return WrongField("messages", "has more than 256 entries");
    }
    for (const json::value& entry : list->get_array()) {
      ASSIGN_OR_RETURN(core::Message message, OneMessage(entry));
      messages.push_back(std::move(message));
    }
    if (messages.empty() || messages.back().role != core::Role::kUser) {
      return WrongField("messages", "must end with a message of the user");
    }
    return messages;
  }

  static Result<core::Message> OneMessage(const json::value& entry) {
    const json::object* object = entry.if_object();
    if (object == nullptr)
      return WrongField("messages", "must be a list of objects");
    RETURN_IF_ERROR(CheckNames(*object, {"role", "content"}));
    const json::value* role = object->if_contains("role");
    const json::value* content = object->if_contains("content");
    if (role == nullptr || content == nullptr) {
      return WrongField("messages", "needs a role and a content in each entry");
    }
    core::Message message;
    std::string name;
    RETURN_IF_ERROR(ReadString(*role, "role", &name));
    RETURN_IF_ERROR(ReadString(*content, "content", &message.content));
    for (const auto known :
         {core::Role::kSystem, core::Role::kUser, core::Role::kAssistant}) {
      if (core::Name(known) != name) continue;
      message.role = known;
      return message;
    }
    return Unknown("role", name, {"system", "user", "assistant"});
  }

  Result<void> PythonFields(Task* task) const {
    for (const auto& [key, out] :
         {std::pair{"prefix", &task->prefix},
          std::pair{"entry_point", &task->entry_point}}) {
      const json::value* value = Find(key);
      if (value == nullptr) continue;
      if (task->checker != Checker::kPythonTests) {
        return WrongField(key, "goes with checker 'python-tests' only");
      }
      RETURN_IF_ERROR(ReadString(*value, key, out));
    }
    return {};
  }

  Result<int> MaxTokens() const {
    const json::value* value = Find("max_tokens");
    if (value == nullptr) return 0;
    const int64_t* number = value->if_int64();
    if (number == nullptr || *number < 1 || *number > kTokensMax) {
      return WrongField("max_tokens",
                        "must be a whole number from 1 to 1000000");
    }
    return static_cast<int>(*number);
  }

  Result<std::vector<std::string>> Stop() const {
    std::vector<std::string> stop;
    const json::value* value = Find("stop");
    if (value == nullptr) return stop;
    const json::array one = {*value};
    const json::array& list = value->is_array() ? value->get_array() : one;
    for (const json::value& entry : list) {
      stop.emplace_back();
      RETURN_IF_ERROR(ReadString(entry, "stop", &stop.back()));
      if (stop.back().empty()) return WrongField("stop", "has an empty string");
    }
    if (stop.size() > kStopMax)
      return WrongField("stop", "has more than 16 entries");
    return stop;
  }

  const json::object& object_;
};

}  // namespace

Error WrongField(std::string_view key, std::string_view what) {
  return {ErrorCode::kInvalidArgument,
          "field '" + std::string(key) + "' " + std::string(what),
          std::string(key)};
}

Result<Task> OwnTask(const json::object& object) {
  return Reader(object).Read();
}

}  // namespace aio::eval
