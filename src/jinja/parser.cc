// SPDX-License-Identifier: Apache-2.0
#include "jinja/parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "jinja/token_stream.h"

namespace aio::jinja {
namespace {

using Kind = Stmt::Kind;

class StmtParser {
 public:
  explicit StmtParser(TokenStream& stream) : in_(stream), expr_(stream) {}

  Result<Block> Template() {
    ASSIGN_OR_RETURN(Block body, Body({}));
    if (in_.current().kind != Token::Kind::kEnd) {
      return in_.Unexpected("the end of the template");
    }
    return body;
  }

 private:
  using Names = std::initializer_list<std::string_view>;

  bool AtAny(Names names) const {
    return std::any_of(names.begin(), names.end(), [this](auto name) {
      return in_.current().IsName(name);
    });
  }

  // Statements up to a block that begins with one of `ends`, whose name is then
  // current; to the end of the template if there are none.
  Result<Block> Body(Names ends) {
    RETURN_IF_ERROR(in_.Enter());
    const Level level(in_);
    Block body;
    while (in_.current().kind != Token::Kind::kEnd) {
      Token token = in_.Take();
      if (token.kind == Token::Kind::kData) {
        Stmt stmt{Kind::kData, token.line};
        stmt.text = Text(token.text, true);
        body.push_back(std::move(stmt));
      } else if (token.kind == Token::Kind::kVariableBegin) {
        RETURN_IF_ERROR(Output(token.line, &body));
      } else {
        if (AtAny(ends)) return body;
        RETURN_IF_ERROR(Statement(&body));
        RETURN_IF_ERROR(in_.Expect(Token::Kind::kBlockEnd, "'%}'"));
      }
    }
    if (ends.size() == 0) return body;
    return in_.Unexpected(Quoted(*(ends.end() - 1)));
  }

  // The same behind the end of a tag: "%} … {% endx".
  Result<Block> TagBody(Names ends) {
    in_.TakeOperator(":");
    RETURN_IF_ERROR(in_.Expect(Token::Kind::kBlockEnd, "'%}'"));
    return Body(ends);
  }

  Result<Block> BodyTo(std::string_view end) {
    ASSIGN_OR_RETURN(Block body, TagBody({end}));
    in_.Take();
    return body;
  }

  Result<void> Output(int line, Block* body) {
    Stmt stmt{Kind::kOutput, line};
    ASSIGN_OR_RETURN(stmt.value, expr_.Tuple(true));
    RETURN_IF_ERROR(in_.Expect(Token::Kind::kVariableEnd, "'}}'"));
    body->push_back(std::move(stmt));
    return {};
  }

  Result<void> Statement(Block* body) {
    using Parse = Result<Stmt> (StmtParser::*)(int line);
    static constexpr std::pair<std::string_view, Parse> kTags[] = {
        {"if", &StmtParser::If},
        {"for", &StmtParser::For},
        {"set", &StmtParser::Set},
        {"macro", &StmtParser::DoMacro},
        {"call", &StmtParser::Call},
        {"filter", &StmtParser::Filter},
        {"with", &StmtParser::With},
        {"print", &StmtParser::Print},
        {"break", &StmtParser::Break},
        {"continue", &StmtParser::Continue},
        {"generation", &StmtParser::Generation}};
    const int line = in_.line();
    ASSIGN_OR_RETURN(const std::string tag, in_.ExpectAnyName());
    for (const auto& [name, parse] : kTags) {
      if (name != tag) continue;
      ASSIGN_OR_RETURN(Stmt stmt, (this->*parse)(line));
      body->push_back(std::move(stmt));
      return {};
    }
    return UnknownTag(tag, line);
  }

  static Error UnknownTag(const std::string& tag, int line) {
    static constexpr std::array<std::string_view, 8> kJinja = {
        "autoescape", "block",   "extends", "from",
        "import",     "include", "do",      "trans"};
    if (std::find(kJinja.begin(), kJinja.end(), tag) == kJinja.end()) {
      return SyntaxError(line, "unknown tag '" + tag.substr(0, 64) + "'");
    }
    return {ErrorCode::kUnsupported,
            "line " + std::to_string(line) + ": the tag '" + tag +
                "' is not supported in chat templates",
            ""};
  }

  Result<Stmt> If(int line) {
    Stmt stmt{Kind::kIf, line};
    for (bool more = true; more;) {
      Stmt::Branch branch;
      ASSIGN_OR_RETURN(branch.test, expr_.Tuple(false));
      ASSIGN_OR_RETURN(branch.body, TagBody({"elif", "else", "endif"}));
      stmt.branches.push_back(std::move(branch));
      const std::string end = in_.Take().text;
      more = end == "elif";
      if (end == "else") {
        ASSIGN_OR_RETURN(Block body, BodyTo("endif"));
        stmt.branches.push_back({nullptr, std::move(body)});
      }
    }
    return stmt;
  }

  Result<Stmt> For(int line) {
    Stmt stmt{Kind::kFor, line};
    ASSIGN_OR_RETURN(stmt.target, expr_.Target(false));
    RETURN_IF_ERROR(in_.ExpectName("in"));
    ASSIGN_OR_RETURN(stmt.value, expr_.Tuple(false, "recursive"));
    if (in_.TakeName("if")) {
      ASSIGN_OR_RETURN(stmt.test, expr_.Expression());
    }
    if (in_.current().IsName("recursive")) {
      return Error{ErrorCode::kUnsupported,
                   "line " + std::to_string(line) +
                       ": recursive loops are not supported",
                   ""};
    }
    const int mentions = in_.mentions("loop");
    ++loops_;
    ASSIGN_OR_RETURN(stmt.body, TagBody({"endfor", "else"}));
    --loops_;
    stmt.uses_loop = in_.mentions("loop") > mentions;
    if (in_.Take().text == "else") {
      ASSIGN_OR_RETURN(stmt.otherwise, BodyTo("endfor"));
    }
    return stmt;
  }

  Result<Stmt> Set(int line) {
    Stmt stmt{Kind::kSet, line};
    ASSIGN_OR_RETURN(stmt.target, expr_.Target(true));
    if (in_.TakeOperator("=")) {
      ASSIGN_OR_RETURN(stmt.value, expr_.Tuple(true));
      return stmt;
    }
    stmt.kind = Kind::kSetBlock;
    ASSIGN_OR_RETURN(stmt.value, expr_.Filters(nullptr, false));
    ASSIGN_OR_RETURN(stmt.body, BodyTo("endset"));
    return stmt;
  }

  Result<Stmt> Print(int line) {
    Stmt stmt{Kind::kOutput, line};
    ASSIGN_OR_RETURN(stmt.value, expr_.Expression());
    return stmt;
  }

  Result<Stmt> DoMacro(int line) {
    Stmt stmt{Kind::kMacro, line};
    stmt.macro = std::make_unique<Macro>();
    ASSIGN_OR_RETURN(const ExprPtr name, expr_.NameTarget());
    stmt.symbol = name->symbol;
    stmt.macro->name = name->name;
    RETURN_IF_ERROR(Signature(stmt.macro.get()));
    RETURN_IF_ERROR(MacroBody("endmacro", stmt.macro.get()));
    return stmt;
  }

  Result<Stmt> Call(int line) {
    Stmt stmt{Kind::kCall, line};
    stmt.macro = std::make_unique<Macro>();
    stmt.macro->name = "caller";
    if (in_.current().IsOperator("(")) {
      RETURN_IF_ERROR(Signature(stmt.macro.get()));
    }
    ASSIGN_OR_RETURN(stmt.value, expr_.Expression());
    if (stmt.value->kind != Expr::Kind::kCall) {
      return SyntaxError(line, "expected a call");
    }
    RETURN_IF_ERROR(MacroBody("endcall", stmt.macro.get()));
    return stmt;
  }

  Result<void> Signature(Macro* macro) {
    RETURN_IF_ERROR(in_.ExpectOperator("("));
    while (!in_.current().IsOperator(")")) {
      if (!macro->parameters.empty()) {
        RETURN_IF_ERROR(in_.ExpectOperator(","));
      }
      ASSIGN_OR_RETURN(const ExprPtr name, expr_.NameTarget());
      Macro::Parameter parameter{name->symbol, name->name, nullptr};
      if (in_.TakeOperator("=")) {
        ASSIGN_OR_RETURN(parameter.otherwise, expr_.Expression());
      } else if (!macro->parameters.empty() &&
                 macro->parameters.back().otherwise) {
        return SyntaxError(in_.line(),
                           "non-default argument follows default argument");
      }
      macro->parameters.push_back(std::move(parameter));
    }
    in_.Take();
    return {};
  }

  Result<void> MacroBody(std::string_view end, Macro* macro) {
    const int caller = in_.mentions("caller");
    const int varargs = in_.mentions("varargs");
    const int kwargs = in_.mentions("kwargs");
    const int loops = std::exchange(loops_, 0);  // of the macro itself
    ASSIGN_OR_RETURN(macro->body, BodyTo(end));
    loops_ = loops;
    macro->uses_caller = in_.mentions("caller") > caller;
    macro->uses_varargs = in_.mentions("varargs") > varargs;
    macro->uses_kwargs = in_.mentions("kwargs") > kwargs;
    // The evaluator sets these by symbol.
    for (const char* name : {"caller", "varargs", "kwargs"}) in_.Intern(name);
    return {};
  }

  Result<Stmt> Filter(int line) {
    Stmt stmt{Kind::kFilter, line};
    ASSIGN_OR_RETURN(stmt.value, expr_.Filters(nullptr, true));
    ASSIGN_OR_RETURN(stmt.body, BodyTo("endfilter"));
    return stmt;
  }

  Result<Stmt> With(int line) {
    Stmt stmt{Kind::kWith, line};
    while (in_.current().kind != Token::Kind::kBlockEnd) {
      if (!stmt.assignments.empty()) {
        RETURN_IF_ERROR(in_.ExpectOperator(","));
      }
      ASSIGN_OR_RETURN(ExprPtr target, expr_.Target(false));
      RETURN_IF_ERROR(in_.ExpectOperator("="));
      ASSIGN_OR_RETURN(ExprPtr value, expr_.Expression());
      stmt.assignments.emplace_back(std::move(target), std::move(value));
    }
    ASSIGN_OR_RETURN(stmt.body, BodyTo("endwith"));
    return stmt;
  }

  // Marks the assistant's part for training; here only a scope of its own.
  Result<Stmt> Generation(int line) {
    Stmt stmt{Kind::kWith, line};
    const int loops = std::exchange(loops_, 0);
    ASSIGN_OR_RETURN(stmt.body, BodyTo("endgeneration"));
    loops_ = loops;
    return stmt;
  }

  Result<Stmt> Break(int line) { return Leave(Kind::kBreak, line); }
  Result<Stmt> Continue(int line) { return Leave(Kind::kContinue, line); }
  Result<Stmt> Leave(Kind kind, int line) {
    if (loops_ == 0) return SyntaxError(line, "no loop to break or continue");
    return Stmt{kind, line};
  }

  TokenStream& in_;
  ExprParser expr_;
  int loops_ = 0;  // around the current statement
};

}  // namespace

Result<Program> ParseProgram(std::string_view source,
                             const TemplateLimits& limits) {
  if (source.size() > limits.source_bytes_max) {
    return Error{ErrorCode::kUnsupported,
                 "the chat template is longer than " +
                     std::to_string(limits.source_bytes_max) + " bytes",
                 ""};
  }
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  TokenStream stream(std::move(tokens), limits.parse_depth_max);
  ASSIGN_OR_RETURN(Block body, StmtParser(stream).Template());
  return Program{stream.TakeNames(), std::move(body)};
}

}  // namespace aio::jinja
