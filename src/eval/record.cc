// SPDX-License-Identifier: Apache-2.0
#include "eval/record.h"

#include <boost/json.hpp>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

// An answer may be as long as a context; a line that is longer is none of ours.
constexpr size_t kLineBytesMax = size_t{64} << 20;

// What is no UTF-8 (a message that quotes somebody's bytes) would make a line
// that cannot be read back.
json::string Text(std::string_view text) {
  return json::string(ReplaceInvalidUtf8(text));
}

json::object UsageJson(const core::Usage& u) {
  return {{"prompt_tokens", u.prompt_tokens},
          {"cached_tokens", u.cached_tokens},
          {"completion_tokens", u.completion_tokens},
          {"drafted_tokens", u.drafted_tokens},
          {"accepted_tokens", u.accepted_tokens},
          {"bytes_read", u.bytes_read},
          {"weight_bytes_read", u.weight_bytes_read}};
}

// Reads the fields of one object; the first wrong one is the error.
class Fields {
 public:
  explicit Fields(const json::object& object) : object_(object) {}

  void Read(const char* name, std::string* out) {
    const json::value* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_string()) return Fail(name, "must be text");
    *out = std::string(value->get_string());
  }
  void Read(const char* name, bool* out) {
    const json::value* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_bool()) return Fail(name, "must be true or false");
    *out = value->get_bool();
  }
  void Read(const char* name, double* out) {
    const json::value* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_number()) return Fail(name, "must be a number");
    *out = value->to_number<double>();
    if (!(*out >= 0 && *out < 1e12)) Fail(name, "is out of range");
  }
  template <typename Whole>
  void ReadCount(const char* name, Whole* out) {
    const json::value* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_int64() || value->get_int64() < 0 ||
        value->get_int64() > std::numeric_limits<Whole>::max()) {
      return Fail(name, "must be a whole number of at least 0");
    }
    *out = static_cast<Whole>(value->get_int64());
  }
  void Read(const char* name, core::Label* out) {
    std::string text;
    Read(name, &text);
    const auto label = core::LabelNamed(text);
    if (label) {
      *out = *label;
    } else {
      Fail(name, "is no intent");
    }
  }
  const json::object* Object(const char* name) {
    const json::value* value = Find(name);
    if (value == nullptr) return nullptr;
    if (value->is_object()) return &value->get_object();
    Fail(name, "must be an object");
    return nullptr;
  }
  void Fail(const char* name, const char* message) {
    if (error_) return;
    error_ = Error{ErrorCode::kCorrupt,
                   std::string("field '") + name + "' " + message, ""};
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const json::value* Find(const char* name) {
    const json::value* value = object_.if_contains(name);
    if (value == nullptr) Fail(name, "is missing");
    return value;
  }

  const json::object& object_;
  std::optional<Error> error_;
};

Result<json::object> ParseObject(std::string_view line) {
  if (line.size() > kLineBytesMax) {
    return Error{ErrorCode::kCorrupt, "the line is too long", ""};
  }
  boost::system::error_code error;
  json::value value = json::parse({line.data(), line.size()}, error);
  if (error || !value.is_object()) {
    return Error{ErrorCode::kCorrupt,
                 error ? error.message() : "is no JSON object", ""};
  }
  return std::move(value.get_object());
}

Result<core::Usage> ParseUsage(const json::object& object) {
  core::Usage u;
  Fields fields(object);
  fields.ReadCount("prompt_tokens", &u.prompt_tokens);
  fields.ReadCount("cached_tokens", &u.cached_tokens);
  fields.ReadCount("completion_tokens", &u.completion_tokens);
  fields.ReadCount("drafted_tokens", &u.drafted_tokens);
  fields.ReadCount("accepted_tokens", &u.accepted_tokens);
  fields.ReadCount("bytes_read", &u.bytes_read);
  fields.ReadCount("weight_bytes_read", &u.weight_bytes_read);
  if (fields.error()) return *fields.error();
  return u;
}

Result<Margin> ParseMargin(const json::object* object) {
  Margin margin;
  if (object == nullptr) return margin;  // said by who looked for it
  Fields fields(*object);
  fields.Read("first", &margin.first);
  fields.Read("least", &margin.least);
  if (fields.error()) return *fields.error();
  return margin;
}

json::object MapJson(const std::map<std::string, std::string>& map) {
  json::object out;
  for (const auto& [key, value] : map) out[key] = Text(value);
  return out;
}

Result<std::map<std::string, std::string>> ParseMap(const json::object* from) {
  std::map<std::string, std::string> map;
  if (from == nullptr) return map;
  for (const auto& [key, value] : *from) {
    if (!value.is_string()) {
      return Error{ErrorCode::kCorrupt, "a value must be text", ""};
    }
    map[std::string(key)] = std::string(value.get_string());
  }
  return map;
}

}  // namespace

std::string HeaderLine(const Header& header) {
  const json::object line = {
      {"aio_eval", 1},
      {"tasks", {{"hash", Text(header.tasks_hash)}, {"count", header.tasks}}},
      {"fingerprints", MapJson(header.fingerprints)},
      {"settings", MapJson(header.settings)}};
  return json::serialize(line) + "\n";
}

Result<Header> ParseHeader(std::string_view line) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(line));
  Fields fields(object);
  int format = 0;
  fields.ReadCount("aio_eval", &format);
  if (!fields.error() && format != 1) {
    return Error{ErrorCode::kUnsupported,
                 "the results have format " + std::to_string(format) +
                     "; this program reads format 1",
                 ""};
  }
  Header header;
  const json::object* tasks = fields.Object("tasks");
  if (tasks != nullptr) {
    Fields inner(*tasks);
    inner.Read("hash", &header.tasks_hash);
    inner.ReadCount("count", &header.tasks);
    if (inner.error()) return *inner.error();
  }
  ASSIGN_OR_RETURN(header.fingerprints,
                   ParseMap(fields.Object("fingerprints")));
  ASSIGN_OR_RETURN(header.settings, ParseMap(fields.Object("settings")));
  if (fields.error()) return *fields.error();
  return header;
}

std::string RecordLine(const Record& r) {
  json::object line = {{"task", Text(r.task)},
                       {"contender", Text(r.contender)},
                       {"intent", Text(core::Name(r.intent))},
                       {"right", r.right},
                       {"why", Text(r.why)},
                       {"error", Text(r.error)},
                       {"answer", Text(r.answer)},
                       {"served", Text(r.served)},
                       {"sensed", Text(r.sensed)},
                       {"finish", Text(r.finish)},
                       {"usage", UsageJson(r.usage)},
                       {"session", r.session},
                       {"begun", r.begun},
                       {"seconds", r.seconds},
                       {"first_seconds", r.first_seconds},
                       {"probe_seconds", r.probe_seconds}};
  if (r.margin) {
    line["margin"] = {{"first", r.margin->first}, {"least", r.margin->least}};
  }
  return json::serialize(line) + "\n";
}

Result<Record> ParseRecord(std::string_view line) {
  ASSIGN_OR_RETURN(const json::object object, ParseObject(line));
  Record r;
  Fields fields(object);
  fields.Read("task", &r.task);
  fields.Read("contender", &r.contender);
  fields.Read("intent", &r.intent);
  fields.Read("right", &r.right);
  fields.Read("why", &r.why);
  fields.Read("error", &r.error);
  fields.Read("answer", &r.answer);
  fields.Read("served", &r.served);
  fields.Read("sensed", &r.sensed);
  fields.Read("finish", &r.finish);
  fields.ReadCount("session", &r.session);
  fields.Read("begun", &r.begun);
  fields.Read("seconds", &r.seconds);
  fields.Read("first_seconds", &r.first_seconds);
  fields.Read("probe_seconds", &r.probe_seconds);
  const json::object* usage = fields.Object("usage");
  if (object.contains("margin")) {
    ASSIGN_OR_RETURN(r.margin, ParseMargin(fields.Object("margin")));
  }
  if (fields.error()) return *fields.error();
  ASSIGN_OR_RETURN(r.usage, ParseUsage(*usage));
  return r;
}

}  // namespace aio::eval
