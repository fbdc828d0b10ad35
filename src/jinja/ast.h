// SPDX-License-Identifier: Apache-2.0
//
// The syntax tree of a template. Names are numbers into Program::names, so that
// the evaluator compares numbers.
//
// Thread safety: const once parsed; any number of renderings may share it.
// Invariants: no deeper than TemplateLimits::parse_depth_max.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/operators.h"
#include "jinja/value.h"

namespace aio::jinja {

using Symbol = int32_t;

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Block = std::vector<Stmt>;

// The arguments in a call, filter or test: f(a, *b, name=c, **d).
struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, star_star;  // null if absent
};

struct Expr {
  enum class Kind : uint8_t {
    kConst,      // constant
    kName,       // symbol
    kTuple,      // kids
    kList,       // kids
    kDict,       // kids: key, value, key, value, …
    kNot,        // kids: operand
    kNegative,   // kids: operand
    kPositive,   // kids: operand
    kAnd,        // kids: left, right
    kOr,         // kids: left, right
    kBinary,     // kids: left, right; ops: the one
    kConcat,     // kids: what `~` joins
    kCompare,    // kids: one more than ops; a < b < c
    kCondition,  // kids: test, then, else (null if absent)
    kAttribute,  // kids: object; name
    kItem,       // kids: object, key
    kSlice,      // kids: object, start, stop, step (null if absent)
    kCall,       // kids: callee; arguments
    kFilter,     // kids: value (null: the text of a filter block); name,
                 // builtin (null if unknown), arguments
    kTest,       // kids: value; name, builtin, arguments
    kMember,     // symbol, name: a namespace's attribute to assign to
  };

  Kind kind;
  int line;
  int depth = 1;  // of this tree
  Symbol symbol = -1;
  Value constant = {};
  std::string name = {};
  const Builtin* builtin = nullptr;
  std::vector<ExprPtr> kids = {};
  std::vector<Op> ops = {};
  std::unique_ptr<CallArguments> arguments = {};
};

// The parameters and body of a macro or call block.
struct Macro {
  struct Parameter {
    Symbol symbol;
    std::string name;
    ExprPtr otherwise;  // the default; null if it has none
  };
  std::string name;
  std::vector<Parameter> parameters;
  // Whether the body speaks of the names by which it can get the rest.
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
  Block body;
};

struct Stmt {
  enum class Kind : uint8_t {
    kData,      // text
    kOutput,    // value
    kIf,        // branches; the last may be without a test (else)
    kFor,       // target, value (what to walk), test (null if absent), body,
                // otherwise (runs if there was nothing to walk), uses_loop
    kSet,       // target, value
    kSetBlock,  // target, value (a chain of filters; null if none), body
    kMacro,     // symbol, macro
    kCall,      // value (the call), macro (its caller())
    kFilter,    // value (a chain of filters), body
    kWith,      // assignments, body; a `generation` block is one without any
    kBreak,
    kContinue,
  };
  struct Branch {
    ExprPtr test;
    Block body;
  };

  Kind kind;
  int line;
  Text text = {};
  ExprPtr target = {}, value = {}, test = {};
  std::vector<Branch> branches = {};
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments = {};
  Symbol symbol = -1;
  std::unique_ptr<Macro> macro = {};
  Block body = {}, otherwise = {};
  bool uses_loop = false;
};

struct Program {
  std::vector<std::string> names;  // by Symbol
  Block body;
};

}  // namespace aio::jinja
