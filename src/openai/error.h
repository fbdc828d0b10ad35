// SPDX-License-Identifier: Apache-2.0
//
// Errors in OpenAI's shape, {"error": {message, type, param, code}}, and the
// one table between ErrorCode and HTTP, used in both directions.
//
// Thread safety: free functions, no state.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace aio::openai {

// kDenied is about the key, or, with a param, about what the key may not have.
int HttpStatus(const Error& error);

// What an upstream's status says about the request we sent it.
ErrorCode CodeOfHttpStatus(int status);

// The error as the API's JSON, without a line break.
std::string ErrorJson(const Error& error);
// The same with a `code` of its own ("invalid_api_key"), where clients look for
// one that the table does not know.
std::string ErrorJson(const Error& error, std::string_view code);

// The error in an upstream's answer: `body` in OpenAI's shape, or a shape near
// it, or any text (its beginning is then quoted).
Error ParseError(int status, std::string_view body);

}  // namespace aio::openai
