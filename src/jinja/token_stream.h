// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of the parser, expressions and statements, share: the
// tokens, the names and the depth.
//
// Thread safety: none; one per parse.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace aio::jinja {

class TokenStream {
 public:
  // REQUIRES: tokens end with a kEnd.
  TokenStream(std::vector<Token> tokens, int depth_max)
      : tokens_(std::move(tokens)), depth_max_(depth_max) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const {
    return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_];
  }
  int line() const { return current().line; }
  // The current token; the next becomes current. The last one stays.
  Token Take() {
    Token token = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool TakeOperator(std::string_view op) {
    return current().IsOperator(op) ? (Take(), true) : false;
  }
  bool TakeName(std::string_view name) {
    return current().IsName(name) ? (Take(), true) : false;
  }
  Result<void> ExpectOperator(std::string_view op);
  Result<void> ExpectName(std::string_view name);
  Result<void> Expect(Token::Kind kind, std::string_view what);
  // A name, any.
  Result<std::string> ExpectAnyName();
  Error Unexpected(std::string_view wanted) const;

  Symbol Intern(const std::string& name);
  std::vector<std::string> TakeNames() { return std::move(names_); }
  // How often a name has been read as a variable; tells whether a body uses it.
  int mentions(std::string_view name) const;
  void Mention(const std::string& name) { ++mentions_[name]; }

  int depth_max() const { return depth_max_; }
  // One level of the parser's own recursion. REQUIRES: Leave after each.
  Result<void> Enter();
  void Leave() { --depth_; }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, Symbol, std::less<>> symbols_;
  std::map<std::string, int, std::less<>> mentions_;
  const int depth_max_;
  int depth_ = 0;
};

// Leaves when it goes. REQUIRES: Enter succeeded.
class Level {
 public:
  explicit Level(TokenStream& stream) : stream_(stream) {}
  ~Level() { stream_.Leave(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  TokenStream& stream_;
};

// The expression half. The functions leave the stream behind what they read.
class ExprParser {
 public:
  explicit ExprParser(TokenStream& stream) : in_(stream) {}

  Result<ExprPtr> Expression();
  // Without `a if b`: what stands in a tag's head.
  Result<ExprPtr> ExpressionWithoutCondition();
  // One expression, or several with commas as a tuple. `stop`: the name that
  // ends it ("in"); empty if none.
  Result<ExprPtr> Tuple(bool conditions, std::string_view stop = "");
  // What may stand left of `=` or `in`; `members` allows ns.attribute.
  Result<ExprPtr> Target(bool members);
  Result<ExprPtr> NameTarget();
  // "| trim | upper" applied to `value`; null stays null without a pipe.
  Result<ExprPtr> Filters(ExprPtr value, bool first_without_pipe);

 private:
  Result<ExprPtr> Or();
  Result<ExprPtr> And();
  Result<ExprPtr> Not();
  Result<ExprPtr> Comparison();
  Result<ExprPtr> Sum();
  Result<ExprPtr> Concat();
  Result<ExprPtr> Product();
  Result<ExprPtr> Power();
  Result<ExprPtr> Unary(bool with_filters);
  Result<ExprPtr> Primary(bool members);
  Result<ExprPtr> Name(bool members);
  Result<ExprPtr> Literal();
  Result<ExprPtr> List();
  Result<ExprPtr> Dict();
  Result<ExprPtr> Postfix(ExprPtr value);
  Result<ExprPtr> FiltersAndTests(ExprPtr value);
  Result<ExprPtr> Member(ExprPtr object);
  Result<ExprPtr> Subscript(ExprPtr object);
  Result<ExprPtr> Filter(ExprPtr value);
  Result<ExprPtr> Test(ExprPtr value);
  Result<ExprPtr> Call(ExprPtr callee);
  Result<std::unique_ptr<CallArguments>> Arguments();
  Result<void> Argument(CallArguments* arguments);
  Result<ExprPtr> Make(Expr expr);
  Result<ExprPtr> Make(Expr::Kind kind, int line, ExprPtr a,
                       ExprPtr b = nullptr, ExprPtr c = nullptr);
  Result<void> CheckTarget(const Expr& target, bool members);

  TokenStream& in_;
};

}  // namespace aio::jinja
