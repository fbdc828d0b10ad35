// SPDX-License-Identifier: Apache-2.0
#include "jinja/builtins.h"

#include <algorithm>

#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

const Builtin* FindIn(std::span<const Builtin> table, std::string_view name) {
  const auto row = std::find_if(
      table.begin(), table.end(),
      [name](const Builtin& builtin) { return builtin.name == name; });
  return row == table.end() ? nullptr : &*row;
}

std::string Named(std::string_view what, const Builtin& builtin) {
  return std::string(what) + " '" + std::string(builtin.name) + "'";
}

// The index of the parameter; bound.size() if there is none of that name.
size_t ParameterIndex(const Builtin& builtin, std::string_view name) {
  const auto& all = builtin.parameters;
  return static_cast<size_t>(std::find(all.begin(), all.end(), name) -
                             all.begin());
}

Result<void> BindNamed(std::string_view what, const Builtin& builtin,
                       Arguments* arguments) {
  std::vector<std::pair<std::string, Value>> rest;
  for (auto& [name, value] : arguments->named) {
    const size_t i = ParameterIndex(builtin, name);
    if (i < builtin.parameters.size() && !arguments->bound[i]) {
      arguments->bound[i] = std::move(value);
    } else if (builtin.variadic) {
      rest.emplace_back(name, std::move(value));
    } else {
      return Fail(Named(what, builtin) + " takes no argument '" + name +
                  "' here");
    }
  }
  arguments->named = std::move(rest);
  return {};
}

Result<void> Bind(std::string_view what, const Builtin& builtin,
                  Arguments* arguments) {
  std::vector<Value> rest;
  size_t i = 0;
  for (Value& value : arguments->positional) {
    const bool room =
        i < builtin.parameters.size() && !builtin.parameters[i].empty();
    if (room) {
      arguments->bound[i++] = std::move(value);
    } else if (builtin.variadic) {
      rest.push_back(std::move(value));
    } else {
      return Fail(Named(what, builtin) + " takes at most " + std::to_string(i) +
                  " arguments");
    }
  }
  arguments->positional = std::move(rest);
  RETURN_IF_ERROR(BindNamed(what, builtin, arguments));
  for (int j = 0; j < builtin.required; ++j) {
    const auto slot = static_cast<size_t>(j);
    if (!arguments->bound[slot]) {
      return Fail(Named(what, builtin) + " needs the argument '" +
                  std::string(builtin.parameters[slot]) + "'");
    }
  }
  return {};
}

}  // namespace

const Builtin* FindFilter(std::string_view name) {
  for (const auto& table : {TextFilters(), ListFilters(), NumberFilters()}) {
    if (const Builtin* found = FindIn(table, name)) return found;
  }
  return nullptr;
}

const Builtin* FindTest(std::string_view name) { return FindIn(Tests(), name); }

const Builtin* FindFunction(std::string_view name) {
  return FindIn(Functions(), name);
}

const Builtin* FindMethod(const Value& self, std::string_view name) {
  if (self.text()) return FindIn(StringMethods(), name);
  if (self.dict()) return FindIn(DictMethods(), name);
  if (self.loop()) return FindIn(LoopMethods(), name);
  const Sequence* sequence = self.sequence();
  if (sequence && sequence->kind() == Sequence::Kind::kList) {
    return FindIn(ListMethods(), name);
  }
  if (sequence && sequence->indexed()) return FindIn(TupleMethods(), name);
  return nullptr;
}

Result<Value> Apply(Runtime& rt, std::string_view what, const Builtin& builtin,
                    const Value& self, Arguments arguments) {
  // map('map', …) may go down without an expression of its own.
  const DepthGuard guard(rt);
  if (!guard.ok()) return guard.error();
  RETURN_IF_ERROR(Bind(what, builtin, &arguments));
  if (!rt.Spend()) return rt.OutOfSteps();
  return builtin.run(rt, self, arguments);
}

Result<int64_t> IntArgument(const Value* argument, std::string_view name,
                            int64_t otherwise) {
  if (argument == nullptr) return otherwise;
  if (const auto i = argument->AsInt()) return *i;
  return Fail(Quoted(name) + " must be an integer, not " +
              std::string(TypeName(*argument)));
}

bool BoolArgument(const Value* argument, bool otherwise) {
  return argument == nullptr ? otherwise : Truth(*argument);
}

Result<const Text*> TextArgument(const Value& argument, std::string_view name) {
  if (argument.text()) return argument.text();
  if (argument.is_undefined()) return Fail(argument.Why());
  return Fail(Quoted(name) + " must be a string, not " +
              std::string(TypeName(argument)));
}

}  // namespace aio::jinja
