// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "jinja/eval.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

// Sets a variable to a new value while it lives.
template <typename T>
class Swapped {
 public:
  Swapped(T& variable, T value)
      : variable_(variable), before_(std::exchange(variable, value)) {}
  ~Swapped() { variable_ = std::move(before_); }
  Swapped(const Swapped&) = delete;
  Swapped& operator=(const Swapped&) = delete;

 private:
  T& variable_;
  T before_;
};

std::shared_ptr<Scope> Inside(const std::shared_ptr<Scope>& parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = parent;
  return scope;
}

}  // namespace

Evaluator::Evaluator(const Program& program, Runtime& runtime)
    : program_(program),
      rt_(runtime),
      scope_(std::make_shared<Scope>()),
      loop_(SymbolOf("loop")),
      caller_(SymbolOf("caller")),
      varargs_(SymbolOf("varargs")),
      kwargs_(SymbolOf("kwargs")) {}

Symbol Evaluator::SymbolOf(std::string_view name) const {
  const auto& names = program_.names;
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<Symbol>(found - names.begin());
}

void Evaluator::Define(std::string_view name, Value value) {
  const Symbol symbol = SymbolOf(name);
  if (symbol >= 0) SetVariable(symbol, std::move(value));
}

Result<Text> Evaluator::Run() {
  TextBuilder out(rt_);
  const Swapped<TextBuilder*> to(out_, &out);
  RETURN_IF_ERROR(ExecBlock(program_.body));
  return out.Take();
}

Error Evaluator::Locate(Error error, int line) {
  if (rt_.raised() || located_) return error;
  located_ = true;
  error.message = "line " + std::to_string(line) + ": " + error.message;
  return error;
}

Result<Evaluator::Flow> Evaluator::ExecBlock(const Block& block) {
  for (const Stmt& stmt : block) {
    ASSIGN_OR_RETURN(const Flow flow, Exec(stmt));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::Exec(const Stmt& stmt) {
  const DepthGuard guard(rt_);
  if (!guard.ok()) return Locate(guard.error(), stmt.line);
  if (!rt_.Spend()) return Locate(rt_.OutOfSteps(), stmt.line);
  Result<Flow> flow = Dispatch(stmt);
  if (!flow) return Locate(std::move(flow).error(), stmt.line);
  return flow;
}

Result<Evaluator::Flow> Evaluator::Dispatch(const Stmt& stmt) {
  switch (stmt.kind) {
    case Stmt::Kind::kData:
      out_->Append(stmt.text);
      return Flow::kNext;
    case Stmt::Kind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, Eval(*stmt.value));
      RETURN_IF_ERROR(AppendStr(value, out_));
      return Flow::kNext;
    }
    case Stmt::Kind::kSet: {
      ASSIGN_OR_RETURN(Value value, Eval(*stmt.value));
      RETURN_IF_ERROR(Assign(*stmt.target, std::move(value)));
      return Flow::kNext;
    }
    case Stmt::Kind::kIf:
      return If(stmt);
    case Stmt::Kind::kFor:
      return For(stmt);
    case Stmt::Kind::kSetBlock:
      return SetBlock(stmt);
    case Stmt::Kind::kMacro:
      return DefineMacro(stmt);
    case Stmt::Kind::kCall:
      return CallBlock(stmt);
    case Stmt::Kind::kFilter:
      return FilterBlock(stmt);
    case Stmt::Kind::kWith:
      return With(stmt);
    case Stmt::Kind::kBreak:
      return Flow::kBreak;
    case Stmt::Kind::kContinue:
      return Flow::kContinue;
  }
  return Unsupported("unknown statement");
}

Result<Evaluator::Flow> Evaluator::If(const Stmt& stmt) {
  for (const Stmt::Branch& branch : stmt.branches) {
    if (branch.test == nullptr) return ExecBlock(branch.body);
    ASSIGN_OR_RETURN(const Value test, Eval(*branch.test));
    if (Truth(test)) return ExecBlock(branch.body);
  }
  return Flow::kNext;
}

// The items for which the loop's `if` holds.
Result<Sequence*> Evaluator::Chosen(const Stmt& stmt, Sequence* items) {
  std::vector<Value> chosen;
  for (size_t i = 0; i < items->size(); ++i) {
    const Swapped<std::shared_ptr<Scope>> inner(scope_, Inside(scope_));
    RETURN_IF_ERROR(Assign(*stmt.target, items->at(i)));
    ASSIGN_OR_RETURN(const Value test, Eval(*stmt.test));
    if (Truth(test)) chosen.push_back(items->at(i));
  }
  return rt_.NewSequence(Sequence::Kind::kList, std::move(chosen));
}

Result<Evaluator::Flow> Evaluator::For(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const Value iterable, Eval(*stmt.value));
  ASSIGN_OR_RETURN(Sequence * items, Iterate(rt_, iterable));
  if (stmt.test != nullptr) {
    ASSIGN_OR_RETURN(items, Chosen(stmt, items));
  }
  Loop* loop = nullptr;
  if (stmt.uses_loop) {
    ASSIGN_OR_RETURN(loop, rt_.NewLoop());
    loop->items = items;
  }
  // As in Jinja, `else` runs unless a round came to its end: a round left by
  // break or continue does not count.
  bool completed = false;
  for (size_t i = 0; i < items->size(); ++i) {
    if (loop != nullptr) loop->index0 = i;
    ASSIGN_OR_RETURN(const Flow flow, Round(stmt, items->at(i), loop));
    if (flow == Flow::kBreak) break;
    completed = completed || flow == Flow::kNext;
  }
  if (completed || stmt.otherwise.empty()) return Flow::kNext;
  const Swapped<std::shared_ptr<Scope>> inner(scope_, Inside(scope_));
  return ExecBlock(stmt.otherwise);
}

Result<Evaluator::Flow> Evaluator::Round(const Stmt& stmt, Value item,
                                         Loop* loop) {
  if (!rt_.Spend()) return rt_.OutOfSteps();  // also where the body is empty
  const Swapped<std::shared_ptr<Scope>> inner(scope_, Inside(scope_));
  RETURN_IF_ERROR(Assign(*stmt.target, std::move(item)));
  if (loop != nullptr) SetVariable(loop_, Value::Of(loop));
  return ExecBlock(stmt.body);
}

Result<Evaluator::Flow> Evaluator::Capture(const Block& block,
                                           TextBuilder* out) {
  const Swapped<std::shared_ptr<Scope>> inner(scope_, Inside(scope_));
  const Swapped<TextBuilder*> to(out_, out);
  return ExecBlock(block);
}

Result<Evaluator::Flow> Evaluator::SetBlock(const Stmt& stmt) {
  TextBuilder text(rt_);
  ASSIGN_OR_RETURN(const Flow flow, Capture(stmt.body, &text));
  if (flow != Flow::kNext) return flow;
  ASSIGN_OR_RETURN(Value value, text.Finish());
  if (stmt.value != nullptr) {
    filtered_ = std::move(value);
    ASSIGN_OR_RETURN(value, Eval(*stmt.value));
  }
  RETURN_IF_ERROR(Assign(*stmt.target, std::move(value)));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::FilterBlock(const Stmt& stmt) {
  TextBuilder text(rt_);
  ASSIGN_OR_RETURN(const Flow flow, Capture(stmt.body, &text));
  if (flow != Flow::kNext) return flow;
  ASSIGN_OR_RETURN(filtered_, text.Finish());
  ASSIGN_OR_RETURN(const Value value, Eval(*stmt.value));
  RETURN_IF_ERROR(AppendStr(value, out_));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::With(const Stmt& stmt) {
  std::vector<Value> values;  // all are evaluated outside
  for (const auto& [target, expr] : stmt.assignments) {
    ASSIGN_OR_RETURN(Value value, Eval(*expr));
    values.push_back(std::move(value));
  }
  const Swapped<std::shared_ptr<Scope>> inner(scope_, Inside(scope_));
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(Assign(*stmt.assignments[i].first, std::move(values[i])));
  }
  return ExecBlock(stmt.body);
}

Result<Callable*> Evaluator::MakeMacro(const Macro& macro) {
  ASSIGN_OR_RETURN(Callable* const callable, rt_.NewCallable());
  callable->name = macro.name;
  callable->macro = &macro;
  callable->closure = scope_;
  return callable;
}

Result<Evaluator::Flow> Evaluator::DefineMacro(const Stmt& stmt) {
  ASSIGN_OR_RETURN(Callable* const callable, MakeMacro(*stmt.macro));
  SetVariable(stmt.symbol, Value::Of(callable));
  return Flow::kNext;
}

Result<Evaluator::Flow> Evaluator::CallBlock(const Stmt& stmt) {
  ASSIGN_OR_RETURN(Callable* const callable, MakeMacro(*stmt.macro));
  const Value caller = Value::Of(callable);
  ASSIGN_OR_RETURN(const Value value, Call(*stmt.value, &caller));
  RETURN_IF_ERROR(AppendStr(value, out_));
  return Flow::kNext;
}

Result<void> Evaluator::Assign(const Expr& target, Value value) {
  if (target.kind == Expr::Kind::kTuple) return Unpack(target, value);
  if (target.kind == Expr::Kind::kMember) {
    return SetMember(target, std::move(value));
  }
  SetVariable(target.symbol, std::move(value));
  return {};
}

Result<void> Evaluator::Unpack(const Expr& target, const Value& value) {
  ASSIGN_OR_RETURN(const Sequence* const items, Iterate(rt_, value));
  if (items->size() != target.kids.size()) {
    return Fail("cannot unpack " + std::to_string(items->size()) +
                " values into " + std::to_string(target.kids.size()));
  }
  for (size_t i = 0; i < target.kids.size(); ++i) {
    RETURN_IF_ERROR(Assign(*target.kids[i], items->at(i)));
  }
  return {};
}

Result<void> Evaluator::SetMember(const Expr& target, Value value) {
  const Value* object = Lookup(target.symbol);
  if (object == nullptr || !object->name_space()) {
    return Fail("cannot assign attribute on non-namespace object");
  }
  Dict& attributes = object->name_space()->attributes;
  return rt_.Set(&attributes, target.name, std::move(value));
}

const Value* Evaluator::Lookup(Symbol symbol) const {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    for (const auto& [name, value] : scope->values) {
      if (name == symbol) return &value;
    }
  }
  return nullptr;
}

void Evaluator::SetVariable(Symbol symbol, Value value) {
  for (auto& [name, old] : scope_->values) {
    if (name != symbol) continue;
    old = std::move(value);
    return;
  }
  scope_->values.emplace_back(symbol, std::move(value));
}

}  // namespace aio::jinja
