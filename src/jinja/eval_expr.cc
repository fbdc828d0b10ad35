// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "jinja/access.h"
#include "jinja/builtins.h"
#include "jinja/eval.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {

Result<Value> Evaluator::Eval(const Expr& expr) {
  if (!rt_.Spend()) return rt_.OutOfSteps();
  if (expr.kind == Expr::Kind::kConst) return expr.constant;
  if (expr.kind == Expr::Kind::kName) return Name(expr);
  const DepthGuard guard(rt_);
  if (!guard.ok()) return guard.error();
  return EvalParts(expr);
}

Result<Value> Evaluator::EvalParts(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kTuple:
    case Expr::Kind::kList:
      return MakeSequence(expr);
    case Expr::Kind::kDict:
      return MakeDict(expr);
    case Expr::Kind::kNot:
    case Expr::Kind::kNegative:
    case Expr::Kind::kPositive:
      return Unary(expr);
    case Expr::Kind::kAnd:
    case Expr::Kind::kOr:
      return Logic(expr);
    case Expr::Kind::kBinary:
      return Binary(expr);
    case Expr::Kind::kConcat:
      return Concat(expr);
    case Expr::Kind::kCompare:
      return Comparison(expr);
    case Expr::Kind::kCondition:
      return Condition(expr);
    case Expr::Kind::kAttribute: {
      ASSIGN_OR_RETURN(const Value object, Eval(*expr.kids[0]));
      return GetAttribute(rt_, object, expr.name);
    }
    case Expr::Kind::kItem: {
      ASSIGN_OR_RETURN(const Value object, Eval(*expr.kids[0]));
      ASSIGN_OR_RETURN(const Value key, Eval(*expr.kids[1]));
      return GetItem(rt_, object, key);
    }
    case Expr::Kind::kSlice:
      return Slice(expr);
    case Expr::Kind::kCall:
      return Call(expr, nullptr);
    case Expr::Kind::kFilter:
      return Filter(expr);
    case Expr::Kind::kTest:
      return Test(expr);
    case Expr::Kind::kConst:
    case Expr::Kind::kName:
    case Expr::Kind::kMember:
      break;
  }
  return Unsupported("unknown expression");
}

Result<Value> Evaluator::Name(const Expr& expr) {
  if (const Value* value = Lookup(expr.symbol)) return *value;
  const Builtin* function = FindFunction(expr.name);
  if (function == nullptr) {
    return Value::Missing("'" + expr.name + "' is undefined");
  }
  ASSIGN_OR_RETURN(Callable* const callable, rt_.NewCallable());
  callable->name = expr.name;
  callable->builtin = function;
  return Value::Of(callable);
}

Result<Value> Evaluator::MakeSequence(const Expr& expr) {
  std::vector<Value> items;
  for (const ExprPtr& kid : expr.kids) {
    ASSIGN_OR_RETURN(Value item, Eval(*kid));
    items.push_back(std::move(item));
  }
  const auto kind = expr.kind == Expr::Kind::kTuple ? Sequence::Kind::kTuple
                                                    : Sequence::Kind::kList;
  ASSIGN_OR_RETURN(Sequence* const sequence,
                   rt_.NewSequence(kind, std::move(items)));
  return Value::Of(sequence);
}

Result<Value> Evaluator::MakeDict(const Expr& expr) {
  ASSIGN_OR_RETURN(Dict* const dict, rt_.NewDict());
  for (size_t i = 0; i + 1 < expr.kids.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, Eval(*expr.kids[i]));
    ASSIGN_OR_RETURN(Value value, Eval(*expr.kids[i + 1]));
    RETURN_IF_ERROR(rt_.Set(dict, key, std::move(value)));
  }
  return Value::Of(dict);
}

Result<Value> Evaluator::Unary(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.kids[0]));
  if (expr.kind == Expr::Kind::kNot) return Value::Bool(!Truth(operand));
  if (expr.kind == Expr::Kind::kNegative) return Negate(operand);
  // +x is x for numbers, an int for a bool, an error for the rest.
  return Arithmetic(rt_, Op::kAdd, Value::Int(0), operand);
}

Result<Value> Evaluator::Logic(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.kids[0]));
  if (Truth(left) == (expr.kind == Expr::Kind::kOr)) return left;
  return Eval(*expr.kids[1]);
}

Result<Value> Evaluator::Binary(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value left, Eval(*expr.kids[0]));
  ASSIGN_OR_RETURN(const Value right, Eval(*expr.kids[1]));
  return Arithmetic(rt_, expr.ops[0], left, right);
}

Result<Value> Evaluator::Concat(const Expr& expr) {
  TextBuilder out(rt_);
  for (const ExprPtr& kid : expr.kids) {
    ASSIGN_OR_RETURN(const Value part, Eval(*kid));
    RETURN_IF_ERROR(AppendStr(part, &out));
  }
  return out.Finish();
}

Result<Value> Evaluator::Comparison(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.kids[0]));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Eval(*expr.kids[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, Compare(rt_, expr.ops[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Value> Evaluator::Condition(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value test, Eval(*expr.kids[0]));
  if (Truth(test)) return Eval(*expr.kids[1]);
  if (expr.kids[2] != nullptr) return Eval(*expr.kids[2]);
  return Value::Missing("the inline if-expression on line " +
                        std::to_string(expr.line) +
                        " evaluated to false and no else section was defined");
}

Result<Value> Evaluator::Slice(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value object, Eval(*expr.kids[0]));
  SliceBounds bounds;
  Value* const parts[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 0; i < 3; ++i) {
    if (expr.kids[i + 1] == nullptr) continue;
    ASSIGN_OR_RETURN(*parts[i], Eval(*expr.kids[i + 1]));
  }
  return GetSlice(rt_, object, bounds);
}

Result<Value> Evaluator::Filter(const Expr& expr) {
  Value value = filtered_;
  if (expr.kids[0] != nullptr) {
    ASSIGN_OR_RETURN(value, Eval(*expr.kids[0]));
  }
  if (expr.builtin == nullptr) {
    return Unsupported("the filter '" + expr.name.substr(0, 64) +
                       "' is not supported");
  }
  ASSIGN_OR_RETURN(Arguments arguments, EvalArguments(expr.arguments.get()));
  return Apply(rt_, "filter", *expr.builtin, value, std::move(arguments));
}

Result<Value> Evaluator::Test(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, Eval(*expr.kids[0]));
  if (expr.builtin == nullptr) {
    return Unsupported("the test '" + expr.name.substr(0, 64) +
                       "' is not supported");
  }
  ASSIGN_OR_RETURN(Arguments arguments, EvalArguments(expr.arguments.get()));
  return Apply(rt_, "test", *expr.builtin, value, std::move(arguments));
}

Result<Arguments> Evaluator::EvalArguments(const CallArguments* from) {
  Arguments arguments;
  if (from == nullptr) return arguments;
  for (const ExprPtr& expr : from->positional) {
    ASSIGN_OR_RETURN(Value value, Eval(*expr));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, expr] : from->named) {
    ASSIGN_OR_RETURN(Value value, Eval(*expr));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (from->star != nullptr) {
    ASSIGN_OR_RETURN(const Value rest, Eval(*from->star));
    ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt_, rest));
    if (!rt_.Spend(items->size())) return rt_.OutOfSteps();
    for (size_t i = 0; i < items->size(); ++i) {
      arguments.positional.push_back(items->at(i));
    }
  }
  if (from->star_star != nullptr) {
    ASSIGN_OR_RETURN(const Value rest, Eval(*from->star_star));
    if (!rest.dict()) return Fail("** of something but a dict");
    for (const Dict::Entry& entry : rest.dict()->entries()) {
      if (!entry.key.text()) return Fail("** of a dict with other keys");
      arguments.named.emplace_back(entry.key.text()->bytes(), entry.value);
    }
  }
  return arguments;
}

// Methods and functions are called without making a value of them first.
Result<Value> Evaluator::Call(const Expr& expr, const Value* caller) {
  const Expr& callee = *expr.kids[0];
  const Builtin* builtin = nullptr;
  Value self, target;
  if (callee.kind == Expr::Kind::kAttribute) {
    ASSIGN_OR_RETURN(self, Eval(*callee.kids[0]));
    builtin = FindMethod(self, callee.name);
    if (builtin == nullptr) {
      ASSIGN_OR_RETURN(target, GetAttribute(rt_, self, callee.name));
    }
  } else if (callee.kind == Expr::Kind::kName && !Lookup(callee.symbol) &&
             FindFunction(callee.name)) {
    builtin = FindFunction(callee.name);
  } else {
    ASSIGN_OR_RETURN(target, Eval(callee));
  }
  ASSIGN_OR_RETURN(Arguments arguments, EvalArguments(expr.arguments.get()));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  if (builtin != nullptr) {
    return Apply(rt_, "function", *builtin, self, std::move(arguments));
  }
  return CallValue(target, std::move(arguments));
}

Result<Value> Evaluator::CallValue(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) return Fail(callee.Why());
  const Callable* callable = callee.callable();
  if (callable == nullptr) {
    return Fail("a value of type '" + std::string(TypeName(callee)) +
                "' is not callable");
  }
  if (callable->macro != nullptr) {
    return CallMacro(*callable, std::move(arguments));
  }
  return Apply(rt_, "function", *callable->builtin, callable->self,
               std::move(arguments));
}

Result<Value> Evaluator::CallMacro(const Callable& callable,
                                   Arguments arguments) {
  const DepthGuard guard(rt_);
  if (!guard.ok()) return guard.error();
  auto scope = std::make_shared<Scope>();
  scope->parent = callable.closure;
  std::swap(scope, scope_);
  TextBuilder out(rt_);
  TextBuilder* const outer = std::exchange(out_, &out);
  Result<void> bound =
      BindMacro(*callable.macro, std::move(arguments), scope_.get());
  Result<Flow> flow = Flow::kNext;
  if (bound) flow = ExecBlock(callable.macro->body);
  out_ = outer;
  std::swap(scope, scope_);
  RETURN_IF_ERROR(std::move(bound));
  RETURN_IF_ERROR(std::move(flow));
  return out.Finish();
}

Result<void> Evaluator::BindMacro(const Macro& macro, Arguments arguments,
                                  Scope* scope) {
  const auto take_named = [&arguments](std::string_view name) {
    std::optional<Value> taken;
    auto& named = arguments.named;
    const auto it =
        std::find_if(named.begin(), named.end(),
                     [name](const auto& entry) { return entry.first == name; });
    if (it != named.end()) {
      taken = std::move(it->second);
      named.erase(it);
    }
    return taken;
  };
  size_t used = 0;
  for (const Macro::Parameter& parameter : macro.parameters) {
    std::optional<Value> value;
    if (used < arguments.positional.size()) {
      value = std::move(arguments.positional[used++]);
    } else {
      value = take_named(parameter.name);
    }
    if (!value && parameter.otherwise) {
      ASSIGN_OR_RETURN(value, Eval(*parameter.otherwise));
    }
    scope->values.emplace_back(
        parameter.symbol, value
                              ? *std::move(value)
                              : Value::Missing("parameter '" + parameter.name +
                                               "' was not provided"));
  }
  if (macro.uses_caller) {
    const std::optional<Value> caller = take_named("caller");
    scope->values.emplace_back(
        caller_, caller ? *caller : Value::Missing("No caller defined"));
  }
  if (macro.uses_kwargs) {
    ASSIGN_OR_RETURN(Dict* const rest, rt_.NewDict());
    for (const auto& [name, value] : std::exchange(arguments.named, {})) {
      RETURN_IF_ERROR(rt_.Set(rest, name, value));
    }
    scope->values.emplace_back(kwargs_, Value::Of(rest));
  }
  if (!arguments.named.empty()) {
    return Fail("macro '" + macro.name + "' takes no argument '" +
                arguments.named[0].first.substr(0, 64) + "'");
  }
  std::vector<Value> rest(
      arguments.positional.begin() + static_cast<ptrdiff_t>(used),
      arguments.positional.end());
  if (!macro.uses_varargs) {
    if (rest.empty()) return {};
    return Fail("macro '" + macro.name + "' takes not more than " +
                std::to_string(macro.parameters.size()) + " arguments");
  }
  ASSIGN_OR_RETURN(Sequence* const tuple,
                   rt_.NewSequence(Sequence::Kind::kTuple, std::move(rest)));
  scope->values.emplace_back(varargs_, Value::Of(tuple));
  return {};
}

}  // namespace aio::jinja
