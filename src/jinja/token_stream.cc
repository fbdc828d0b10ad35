// SPDX-License-Identifier: Apache-2.0
#include "jinja/token_stream.h"

namespace aio::jinja {
namespace {

std::string Describe(const Token& token) {
  using Kind = Token::Kind;
  switch (token.kind) {
    case Kind::kName:
    case Kind::kOperator:
      return Quoted(token.text);
    case Kind::kString:
      return "a string";
    case Kind::kInteger:
    case Kind::kFloat:
      return "a number";
    case Kind::kVariableEnd:
      return "'}}'";
    case Kind::kBlockEnd:
      return "'%}'";
    case Kind::kEnd:
      return "the end of the template";
    default:
      return "text";
  }
}

}  // namespace

Error TokenStream::Unexpected(std::string_view wanted) const {
  std::string message = "expected ";
  message.append(wanted).append(", got ").append(Describe(current()));
  return SyntaxError(line(), message);
}

Result<void> TokenStream::ExpectOperator(std::string_view op) {
  if (TakeOperator(op)) return {};
  return Unexpected(Quoted(op));
}

Result<void> TokenStream::ExpectName(std::string_view name) {
  if (TakeName(name)) return {};
  return Unexpected(Quoted(name));
}

Result<void> TokenStream::Expect(Token::Kind kind, std::string_view what) {
  if (current().kind != kind) return Unexpected(what);
  Take();
  return {};
}

Result<std::string> TokenStream::ExpectAnyName() {
  if (current().kind != Token::Kind::kName) return Unexpected("a name");
  return Take().text;
}

Symbol TokenStream::Intern(const std::string& name) {
  const auto [it, is_new] =
      symbols_.emplace(name, static_cast<Symbol>(names_.size()));
  if (is_new) names_.push_back(name);
  return it->second;
}

int TokenStream::mentions(std::string_view name) const {
  const auto it = mentions_.find(name);
  return it == mentions_.end() ? 0 : it->second;
}

Result<void> TokenStream::Enter() {
  if (depth_ >= depth_max_) {
    return SyntaxError(line(), "the template is nested more than " +
                                   std::to_string(depth_max_) + " levels deep");
  }
  ++depth_;
  return {};
}

}  // namespace aio::jinja
