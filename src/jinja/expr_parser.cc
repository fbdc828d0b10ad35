// SPDX-License-Identifier: Apache-2.0
//
// Expressions, lowest precedence first: a if b else c; or; and; not;
// comparisons, in, is-less; + -; ~; * / // %; **; unary; then what follows a
// value: .name [key] (call) | filter, is test.
#include <algorithm>
#include <optional>

#include "jinja/builtins.h"
#include "jinja/token_stream.h"

namespace aio::jinja {
namespace {

using Kind = Expr::Kind;

std::optional<Op> ComparisonOp(const Token& token) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"==", Op::kEqual},     {"!=", Op::kNotEqual}, {"<", Op::kLess},
      {"<=", Op::kLessEqual}, {">", Op::kGreater},   {">=", Op::kGreaterEqual}};
  for (const auto& [text, op] : kOps) {
    if (token.IsOperator(text)) return op;
  }
  return std::nullopt;
}

std::optional<Op> ProductOp(const Token& token) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"*", Op::kMultiply},
      {"/", Op::kDivide},
      {"//", Op::kFloorDivide},
      {"%", Op::kModulo}};
  for (const auto& [text, op] : kOps) {
    if (token.IsOperator(text)) return op;
  }
  return std::nullopt;
}

// Whether the token can begin the one argument a test may have without
// parentheses: `x is divisibleby 3`.
bool BeginsTestArgument(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kName:
      return !token.IsName("else") && !token.IsName("or") &&
             !token.IsName("and");
    case Token::Kind::kString:
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return true;
    default:
      return token.IsOperator("[") || token.IsOperator("{");
  }
}

}  // namespace

Result<ExprPtr> ExprParser::Make(Expr expr) {
  for (const ExprPtr& kid : expr.kids) {
    if (kid != nullptr) expr.depth = std::max(expr.depth, kid->depth + 1);
  }
  if (expr.depth > in_.depth_max()) {
    return SyntaxError(expr.line, "an expression has more than " +
                                      std::to_string(in_.depth_max()) +
                                      " levels");
  }
  return std::make_unique<Expr>(std::move(expr));
}

Result<ExprPtr> ExprParser::Make(Kind kind, int line, ExprPtr a, ExprPtr b,
                                 ExprPtr c) {
  Expr expr{kind, line};
  expr.kids.push_back(std::move(a));
  if (b != nullptr || c != nullptr) expr.kids.push_back(std::move(b));
  if (c != nullptr) expr.kids.push_back(std::move(c));
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Expression() {
  RETURN_IF_ERROR(in_.Enter());
  const Level level(in_);
  const int line = in_.line();
  ASSIGN_OR_RETURN(ExprPtr value, Or());
  while (in_.TakeName("if")) {
    ASSIGN_OR_RETURN(ExprPtr test, Or());
    ExprPtr otherwise;
    if (in_.TakeName("else")) {
      ASSIGN_OR_RETURN(otherwise, Expression());
    }
    Expr expr{Kind::kCondition, line};
    expr.kids.push_back(std::move(test));
    expr.kids.push_back(std::move(value));
    expr.kids.push_back(std::move(otherwise));
    ASSIGN_OR_RETURN(value, Make(std::move(expr)));
  }
  return value;
}

Result<ExprPtr> ExprParser::ExpressionWithoutCondition() {
  RETURN_IF_ERROR(in_.Enter());
  const Level level(in_);
  return Or();
}

Result<ExprPtr> ExprParser::Or() {
  ASSIGN_OR_RETURN(ExprPtr left, And());
  while (in_.current().IsName("or")) {
    const int line = in_.Take().line;
    ASSIGN_OR_RETURN(ExprPtr right, And());
    ASSIGN_OR_RETURN(left,
                     Make(Kind::kOr, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExprPtr> ExprParser::And() {
  ASSIGN_OR_RETURN(ExprPtr left, Not());
  while (in_.current().IsName("and")) {
    const int line = in_.Take().line;
    ASSIGN_OR_RETURN(ExprPtr right, Not());
    ASSIGN_OR_RETURN(left,
                     Make(Kind::kAnd, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExprPtr> ExprParser::Not() {
  const int line = in_.line();
  if (!in_.TakeName("not")) return Comparison();
  RETURN_IF_ERROR(in_.Enter());
  const Level level(in_);
  ASSIGN_OR_RETURN(ExprPtr operand, Not());
  return Make(Kind::kNot, line, std::move(operand));
}

Result<ExprPtr> ExprParser::Comparison() {
  Expr expr{Kind::kCompare, in_.line()};
  ASSIGN_OR_RETURN(ExprPtr first, Sum());
  expr.kids.push_back(std::move(first));
  while (true) {
    std::optional<Op> op = ComparisonOp(in_.current());
    if (in_.current().IsName("in")) op = Op::kIn;
    if (in_.current().IsName("not") && in_.ahead().IsName("in")) {
      in_.Take();
      op = Op::kNotIn;
    }
    if (!op) break;
    in_.Take();
    ASSIGN_OR_RETURN(ExprPtr next, Sum());
    expr.ops.push_back(*op);
    expr.kids.push_back(std::move(next));
  }
  if (expr.ops.empty()) return std::move(expr.kids[0]);
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Sum() {
  ASSIGN_OR_RETURN(ExprPtr left, Concat());
  while (in_.current().IsOperator("+") || in_.current().IsOperator("-")) {
    const Token token = in_.Take();
    Expr expr{Kind::kBinary, token.line};
    expr.ops.push_back(token.text == "+" ? Op::kAdd : Op::kSubtract);
    ASSIGN_OR_RETURN(ExprPtr right, Concat());
    expr.kids.push_back(std::move(left));
    expr.kids.push_back(std::move(right));
    ASSIGN_OR_RETURN(left, Make(std::move(expr)));
  }
  return left;
}

Result<ExprPtr> ExprParser::Concat() {
  Expr expr{Kind::kConcat, in_.line()};
  do {
    ASSIGN_OR_RETURN(ExprPtr part, Product());
    expr.kids.push_back(std::move(part));
  } while (in_.TakeOperator("~"));
  if (expr.kids.size() == 1) return std::move(expr.kids[0]);
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Product() {
  ASSIGN_OR_RETURN(ExprPtr left, Power());
  while (const std::optional<Op> op = ProductOp(in_.current())) {
    Expr expr{Kind::kBinary, in_.Take().line};
    expr.ops.push_back(*op);
    ASSIGN_OR_RETURN(ExprPtr right, Power());
    expr.kids.push_back(std::move(left));
    expr.kids.push_back(std::move(right));
    ASSIGN_OR_RETURN(left, Make(std::move(expr)));
  }
  return left;
}

Result<ExprPtr> ExprParser::Power() {
  ASSIGN_OR_RETURN(ExprPtr left, Unary(true));
  while (in_.current().IsOperator("**")) {
    Expr expr{Kind::kBinary, in_.Take().line};
    expr.ops.push_back(Op::kPower);
    ASSIGN_OR_RETURN(ExprPtr right, Unary(true));
    expr.kids.push_back(std::move(left));
    expr.kids.push_back(std::move(right));
    ASSIGN_OR_RETURN(left, Make(std::move(expr)));
  }
  return left;
}

Result<ExprPtr> ExprParser::Unary(bool with_filters) {
  RETURN_IF_ERROR(in_.Enter());
  const Level level(in_);
  ExprPtr value;
  if (in_.current().IsOperator("-") || in_.current().IsOperator("+")) {
    const Token token = in_.Take();
    ASSIGN_OR_RETURN(ExprPtr operand, Unary(false));
    const Kind kind = token.text == "-" ? Kind::kNegative : Kind::kPositive;
    ASSIGN_OR_RETURN(value, Make(kind, token.line, std::move(operand)));
  } else {
    ASSIGN_OR_RETURN(value, Primary(false));
  }
  ASSIGN_OR_RETURN(value, Postfix(std::move(value)));
  return with_filters ? FiltersAndTests(std::move(value))
                      : Result<ExprPtr>(std::move(value));
}

Result<ExprPtr> ExprParser::Primary(bool members) {
  if (in_.current().kind == Token::Kind::kName) return Name(members);
  if (in_.TakeOperator("(")) {
    const int line = in_.line();
    if (in_.TakeOperator(")")) return Make(Expr{Kind::kTuple, line});
    ASSIGN_OR_RETURN(ExprPtr inner, Tuple(true));
    RETURN_IF_ERROR(in_.ExpectOperator(")"));
    return inner;
  }
  if (in_.current().IsOperator("[")) return List();
  if (in_.current().IsOperator("{")) return Dict();
  return Literal();
}

Result<ExprPtr> ExprParser::Name(bool members) {
  const Token token = in_.Take();
  const std::string& name = token.text;
  Expr expr{Kind::kConst, token.line};
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    expr.constant = Value::Bool(name[0] == 't' || name[0] == 'T');
  } else if (name != "none" && name != "None") {
    in_.Mention(name);
    expr.kind = Kind::kName;
    expr.name = name;
    expr.symbol = in_.Intern(name);
    if (members && in_.TakeOperator(".")) {
      expr.kind = Kind::kMember;
      ASSIGN_OR_RETURN(expr.name, in_.ExpectAnyName());
    }
  }
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Literal() {
  Expr expr{Kind::kConst, in_.line()};
  switch (in_.current().kind) {
    case Token::Kind::kString: {
      std::string text;
      while (in_.current().kind == Token::Kind::kString) {
        text += in_.Take().text;
      }
      expr.constant = Value::Str(std::make_shared<Text>(text, true));
      break;
    }
    case Token::Kind::kInteger:
      expr.constant = Value::Int(in_.Take().integer);
      break;
    case Token::Kind::kFloat:
      expr.constant = Value::Float(in_.Take().number);
      break;
    default:
      return in_.Unexpected("an expression");
  }
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::List() {
  Expr expr{Kind::kList, in_.Take().line};
  while (!in_.current().IsOperator("]")) {
    if (!expr.kids.empty()) {
      RETURN_IF_ERROR(in_.ExpectOperator(","));
    }
    if (in_.current().IsOperator("]")) break;
    ASSIGN_OR_RETURN(ExprPtr item, Expression());
    expr.kids.push_back(std::move(item));
  }
  in_.Take();
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Dict() {
  Expr expr{Kind::kDict, in_.Take().line};
  while (!in_.current().IsOperator("}")) {
    if (!expr.kids.empty()) {
      RETURN_IF_ERROR(in_.ExpectOperator(","));
    }
    if (in_.current().IsOperator("}")) break;
    ASSIGN_OR_RETURN(ExprPtr key, Expression());
    RETURN_IF_ERROR(in_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, Expression());
    expr.kids.push_back(std::move(key));
    expr.kids.push_back(std::move(value));
  }
  in_.Take();
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Tuple(bool conditions, std::string_view stop) {
  Expr expr{Kind::kTuple, in_.line()};
  bool comma = false;
  while (true) {
    const Token& token = in_.current();
    const bool end = token.kind == Token::Kind::kVariableEnd ||
                     token.kind == Token::Kind::kBlockEnd ||
                     token.IsOperator(")") ||
                     (!stop.empty() && token.IsName(stop));
    if (end && !expr.kids.empty()) break;
    ASSIGN_OR_RETURN(ExprPtr item,
                     conditions ? Expression() : ExpressionWithoutCondition());
    expr.kids.push_back(std::move(item));
    if (!in_.TakeOperator(",")) break;
    comma = true;
  }
  if (!comma) return std::move(expr.kids[0]);
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Target(bool members) {
  Expr expr{Kind::kTuple, in_.line()};
  bool comma = false;
  while (true) {
    const bool end = in_.current().IsName("in") ||
                     in_.current().IsOperator("=") ||
                     in_.current().kind == Token::Kind::kBlockEnd;
    if (end && comma) break;
    RETURN_IF_ERROR(in_.Enter());
    const Level level(in_);
    ASSIGN_OR_RETURN(ExprPtr item, Primary(members));
    RETURN_IF_ERROR(CheckTarget(*item, members));
    expr.kids.push_back(std::move(item));
    if (!in_.TakeOperator(",")) break;
    comma = true;
  }
  if (!comma) return std::move(expr.kids[0]);
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::NameTarget() {
  if (in_.current().kind != Token::Kind::kName) return in_.Unexpected("a name");
  ASSIGN_OR_RETURN(ExprPtr target, Name(false));
  RETURN_IF_ERROR(CheckTarget(*target, false));
  return target;
}

Result<void> ExprParser::CheckTarget(const Expr& target, bool members) {
  const bool name = target.kind == Kind::kName;
  if (name || (members && target.kind == Kind::kMember)) return {};
  if (target.kind != Kind::kTuple || target.kids.empty()) {
    return SyntaxError(target.line, "cannot assign to this");
  }
  for (const ExprPtr& kid : target.kids) {
    RETURN_IF_ERROR(CheckTarget(*kid, members));
  }
  return {};
}

Result<ExprPtr> ExprParser::Postfix(ExprPtr value) {
  while (true) {
    if (in_.current().IsOperator(".")) {
      ASSIGN_OR_RETURN(value, Member(std::move(value)));
    } else if (in_.current().IsOperator("[")) {
      ASSIGN_OR_RETURN(value, Subscript(std::move(value)));
    } else if (in_.current().IsOperator("(")) {
      ASSIGN_OR_RETURN(value, Call(std::move(value)));
    } else {
      return value;
    }
  }
}

Result<ExprPtr> ExprParser::FiltersAndTests(ExprPtr value) {
  while (true) {
    if (in_.TakeOperator("|")) {
      ASSIGN_OR_RETURN(value, Filter(std::move(value)));
    } else if (in_.TakeName("is")) {
      ASSIGN_OR_RETURN(value, Test(std::move(value)));
    } else if (in_.current().IsOperator("(")) {
      ASSIGN_OR_RETURN(value, Call(std::move(value)));
    } else {
      return value;
    }
  }
}

Result<ExprPtr> ExprParser::Filters(ExprPtr value, bool first_without_pipe) {
  if (first_without_pipe) {
    ASSIGN_OR_RETURN(value, Filter(std::move(value)));
  }
  while (in_.TakeOperator("|")) {
    ASSIGN_OR_RETURN(value, Filter(std::move(value)));
  }
  return value;
}

Result<ExprPtr> ExprParser::Member(ExprPtr object) {
  const int line = in_.Take().line;
  if (in_.current().kind == Token::Kind::kInteger) {
    Expr key{Kind::kConst, line};
    key.constant = Value::Int(in_.Take().integer);
    ASSIGN_OR_RETURN(ExprPtr index, Make(std::move(key)));
    return Make(Kind::kItem, line, std::move(object), std::move(index));
  }
  Expr expr{Kind::kAttribute, line};
  ASSIGN_OR_RETURN(expr.name, in_.ExpectAnyName());
  expr.kids.push_back(std::move(object));
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Subscript(ExprPtr object) {
  const int line = in_.Take().line;
  ExprPtr bounds[3];
  bool slice = false;
  for (size_t i = 0; i < 3; ++i) {
    const bool empty =
        in_.current().IsOperator(":") || in_.current().IsOperator("]");
    if (!empty) {
      ASSIGN_OR_RETURN(bounds[i], Expression());
    }
    if (!in_.TakeOperator(":")) break;
    slice = true;
  }
  RETURN_IF_ERROR(in_.ExpectOperator("]"));
  if (!slice && bounds[0] == nullptr) {
    return SyntaxError(line, "expected an expression between [ and ]");
  }
  if (!slice) {
    return Make(Kind::kItem, line, std::move(object), std::move(bounds[0]));
  }
  Expr expr{Kind::kSlice, line};
  expr.kids.push_back(std::move(object));
  for (ExprPtr& bound : bounds) expr.kids.push_back(std::move(bound));
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Filter(ExprPtr value) {
  Expr expr{Kind::kFilter, in_.line()};
  ASSIGN_OR_RETURN(expr.name, in_.ExpectAnyName());
  expr.builtin = FindFilter(expr.name);
  expr.kids.push_back(std::move(value));
  if (in_.current().IsOperator("(")) {
    ASSIGN_OR_RETURN(expr.arguments, Arguments());
  }
  return Make(std::move(expr));
}

Result<ExprPtr> ExprParser::Test(ExprPtr value) {
  const int line = in_.line();
  const bool negated = in_.TakeName("not");
  Expr expr{Kind::kTest, line};
  ASSIGN_OR_RETURN(expr.name, in_.ExpectAnyName());
  expr.builtin = FindTest(expr.name);
  expr.kids.push_back(std::move(value));
  if (in_.current().IsOperator("(")) {
    ASSIGN_OR_RETURN(expr.arguments, Arguments());
  } else if (BeginsTestArgument(in_.current())) {
    if (in_.current().IsName("is")) {
      return SyntaxError(line, "You cannot chain multiple tests with is");
    }
    ASSIGN_OR_RETURN(ExprPtr argument, Primary(false));
    ASSIGN_OR_RETURN(argument, Postfix(std::move(argument)));
    expr.arguments = std::make_unique<CallArguments>();
    expr.arguments->positional.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(ExprPtr test, Make(std::move(expr)));
  return negated ? Make(Kind::kNot, line, std::move(test))
                 : Result<ExprPtr>(std::move(test));
}

Result<ExprPtr> ExprParser::Call(ExprPtr callee) {
  Expr expr{Kind::kCall, in_.line()};
  expr.kids.push_back(std::move(callee));
  ASSIGN_OR_RETURN(expr.arguments, Arguments());
  return Make(std::move(expr));
}

Result<std::unique_ptr<CallArguments>> ExprParser::Arguments() {
  RETURN_IF_ERROR(in_.ExpectOperator("("));
  auto arguments = std::make_unique<CallArguments>();
  for (bool first = true; !in_.current().IsOperator(")"); first = false) {
    if (!first) {
      RETURN_IF_ERROR(in_.ExpectOperator(","));
    }
    if (in_.current().IsOperator(")")) break;
    RETURN_IF_ERROR(Argument(arguments.get()));
  }
  in_.Take();
  return arguments;
}

Result<void> ExprParser::Argument(CallArguments* arguments) {
  const int line = in_.line();
  const bool plain = !arguments->star && !arguments->star_star;
  if (in_.TakeOperator("*")) {
    if (!plain) return SyntaxError(line, "a second * argument");
    ASSIGN_OR_RETURN(arguments->star, Expression());
    return {};
  }
  if (in_.TakeOperator("**")) {
    if (arguments->star_star) return SyntaxError(line, "a second ** argument");
    ASSIGN_OR_RETURN(arguments->star_star, Expression());
    return {};
  }
  const bool named =
      in_.current().kind == Token::Kind::kName && in_.ahead().IsOperator("=");
  if (named) {
    std::string name = in_.Take().text;
    in_.Take();
    ASSIGN_OR_RETURN(ExprPtr value, Expression());
    arguments->named.emplace_back(std::move(name), std::move(value));
    return {};
  }
  if (!plain || !arguments->named.empty()) {
    return SyntaxError(line, "a positional argument after others");
  }
  ASSIGN_OR_RETURN(ExprPtr value, Expression());
  arguments->positional.push_back(std::move(value));
  return {};
}

}  // namespace aio::jinja
