// SPDX-License-Identifier: Apache-2.0
#include "openai/error.h"

#include <array>

#include "base/utf8.h"
#include "openai/json.h"

namespace aio::openai {
namespace {

namespace json = boost::json;

struct Row {
  ErrorCode code;
  int status;
  std::string_view type;  // `error.type`
  std::string_view name;  // `error.code`; empty: null
};

// 499 is nginx's "client closed request"; no client lives to see it, the log
// and the metrics do.
constexpr std::array<Row, 10> kTable = {{
    {ErrorCode::kInvalidArgument, 400, "invalid_request_error", ""},
    {ErrorCode::kNotFound, 404, "invalid_request_error", "model_not_found"},
    {ErrorCode::kCorrupt, 502, "server_error", "upstream_corrupt"},
    {ErrorCode::kUnsupported, 400, "invalid_request_error", "unsupported"},
    {ErrorCode::kDenied, 401, "invalid_request_error", "invalid_api_key"},
    {ErrorCode::kOverloaded, 429, "rate_limit_error", "rate_limit_exceeded"},
    {ErrorCode::kUnavailable, 503, "server_error", "unavailable"},
    {ErrorCode::kDeadline, 504, "server_error", "timeout"},
    {ErrorCode::kCancelled, 499, "server_error", "cancelled"},
    {ErrorCode::kInternal, 500, "server_error", "internal"},
}};

// A good key for what it may not have: the field says what.
constexpr Row kNotAllowed = {ErrorCode::kDenied, 403, "invalid_request_error",
                             "not_allowed"};

const Row& RowOf(ErrorCode code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row;
  }
  return kTable.back();
}

const Row& RowOf(const Error& error) {
  const bool denied = error.code == ErrorCode::kDenied;
  return denied && !error.param.empty() ? kNotAllowed : RowOf(error.code);
}

void AppendStringOrNull(std::string_view text, std::string* out) {
  if (text.empty()) {
    *out += "null";
  } else {
    AppendJsonString(text, out);
  }
}

// Enough of a foreign body to recognise it by, whole characters only.
std::string Beginning(std::string_view body) {
  constexpr size_t kBytes = 200;
  return ReplaceInvalidUtf8(body.substr(0, kBytes));
}

// {"error": {...}} | {"error": "text"} | {"message": "text", ...} (vLLM until
// 0.10) | {"detail": "text"} (FastAPI).
Error FromJson(ErrorCode code, const json::object& body) {
  const json::object* source = &body;
  if (const json::value* error = Find(body, "error")) {
    if (const auto text = AsString(*error)) {
      return Error{code, std::string(*text), ""};
    }
    if (const json::object* o = error->if_object()) source = o;
  }
  std::string message(StringAt(*source, "message"));
  if (message.empty()) message = StringAt(*source, "detail");
  return Error{code, std::move(message),
               std::string(StringAt(*source, "param"))};
}

}  // namespace

int HttpStatus(const Error& error) { return RowOf(error).status; }

ErrorCode CodeOfHttpStatus(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 408:
    case 504:
      return ErrorCode::kDeadline;
    case 429:
      return ErrorCode::kOverloaded;
    case 499:
      return ErrorCode::kCancelled;
    default:
      break;
  }
  if (status >= 400 && status < 500) return ErrorCode::kInvalidArgument;
  return ErrorCode::kUnavailable;
}

std::string ErrorJson(const Error& error) {
  return ErrorJson(error, RowOf(error).name);
}

std::string ErrorJson(const Error& error, std::string_view code) {
  std::string out = R"({"error":{"message":)";
  AppendJsonString(error.message, &out);
  out += R"(,"type":)";
  AppendJsonString(RowOf(error.code).type, &out);
  out += R"(,"param":)";
  AppendStringOrNull(error.param, &out);
  out += R"(,"code":)";
  AppendStringOrNull(code, &out);
  out += "}}";
  return out;
}

Error ParseError(int status, std::string_view body) {
  const ErrorCode code = CodeOfHttpStatus(status);
  if (const auto value = ParseJson(body); value && value->is_object()) {
    Error error = FromJson(code, value->get_object());
    if (!error.message.empty()) return error;
  }
  return Error{code,
               "status " + std::to_string(status) + ": " + Beginning(body), ""};
}

}  // namespace aio::openai
