// SPDX-License-Identifier: Apache-2.0
//
// Walks a program and writes what it prints.
//
// Scopes are Jinja's: a for loop's body (each round anew), a macro, a with, a
// filter block and a block set have their own, an if has not; what they set is
// not seen outside, what is set outside is seen inside. A macro sees the scope
// it was written in.
//
// Thread safety: none; one per rendering. See jinja_eval_expr.cc and
// jinja_eval_stmt.cc.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jinja/ast.h"
#include "jinja/runtime.h"

namespace aio::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<Symbol, Value>> values;
};

class Evaluator {
 public:
  // Both must outlive this object.
  Evaluator(const Program& program, Runtime& runtime);

  // A variable of the context. REQUIRES: before Run.
  void Define(std::string_view name, Value value);
  // The whole text. Errors begin with "line 3: ", except raise_exception's,
  // which are the template's own words (Runtime::raised).
  Result<Text> Run();

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Statements: jinja_eval_stmt.cc.
  Result<Flow> ExecBlock(const Block& block);
  Result<Flow> Exec(const Stmt& stmt);
  Result<Flow> Dispatch(const Stmt& stmt);
  Result<Flow> If(const Stmt& stmt);
  Result<Flow> For(const Stmt& stmt);
  Result<Sequence*> Chosen(const Stmt& stmt, Sequence* items);
  Result<Flow> Round(const Stmt& stmt, Value item, Loop* loop);
  Result<Flow> SetBlock(const Stmt& stmt);
  Result<Flow> FilterBlock(const Stmt& stmt);
  Result<Flow> With(const Stmt& stmt);
  Result<Flow> CallBlock(const Stmt& stmt);
  Result<Flow> DefineMacro(const Stmt& stmt);
  Result<Callable*> MakeMacro(const Macro& macro);
  // Runs the block in a scope of its own, its text going to `out`.
  Result<Flow> Capture(const Block& block, TextBuilder* out);
  Result<void> Assign(const Expr& target, Value value);
  Result<void> Unpack(const Expr& target, const Value& value);
  Result<void> SetMember(const Expr& target, Value value);
  Error Locate(Error error, int line);

  // Expressions: jinja_eval_expr.cc.
  Result<Value> Eval(const Expr& expr);
  Result<Value> EvalParts(const Expr& expr);
  Result<Value> Name(const Expr& expr);
  Result<Value> MakeSequence(const Expr& expr);
  Result<Value> MakeDict(const Expr& expr);
  Result<Value> Unary(const Expr& expr);
  Result<Value> Logic(const Expr& expr);
  Result<Value> Binary(const Expr& expr);
  Result<Value> Concat(const Expr& expr);
  Result<Value> Comparison(const Expr& expr);
  Result<Value> Condition(const Expr& expr);
  Result<Value> Slice(const Expr& expr);
  Result<Value> Filter(const Expr& expr);
  Result<Value> Test(const Expr& expr);
  Result<Value> Call(const Expr& expr, const Value* caller);
  Result<Value> CallValue(const Value& callee, Arguments arguments);
  Result<Value> CallMacro(const Callable& callable, Arguments arguments);
  Result<void> BindMacro(const Macro& macro, Arguments arguments, Scope* scope);
  Result<Arguments> EvalArguments(const CallArguments* arguments);

  const Value* Lookup(Symbol symbol) const;
  void SetVariable(Symbol symbol, Value value);
  Symbol SymbolOf(std::string_view name) const;  // -1 if nowhere mentioned

  const Program& program_;
  Runtime& rt_;
  std::shared_ptr<Scope> scope_;
  TextBuilder* out_ = nullptr;
  Value filtered_;  // the text of the filter block being closed
  bool located_ = false;
  const Symbol loop_, caller_, varargs_, kwargs_;
};

}  // namespace aio::jinja
