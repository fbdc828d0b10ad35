// SPDX-License-Identifier: Apache-2.0
//
// The functions: Jinja's range, dict and namespace, and the two that Hugging
// Face adds, raise_exception and strftime_now.
#include "jinja/builtins.h"
#include "jinja/format.h"
#include "jinja/operators.h"
#include "jinja/print.h"

namespace aio::jinja {
namespace {

using Args = const Arguments&;

constexpr size_t kMessageMax = 1000;  // bytes of raise_exception's message

// How many numbers range(start, stop, step) has. Not stop - start, which may
// overflow. REQUIRES: step != 0.
uint64_t RangeCount(int64_t start, int64_t stop, int64_t step) {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const auto low = static_cast<uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<uint64_t>(step > 0 ? stop : start);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step)
                                   : uint64_t{0} - static_cast<uint64_t>(step);
  return (high - low - 1) / stride + 1;
}

Result<Value> Range(Runtime& rt, const Value&, Args args) {
  for (size_t i = 0; i < 3; ++i) {
    if (args[i] && args[i]->is_undefined()) return Fail(args[i]->Why());
  }
  ASSIGN_OR_RETURN(int64_t start, IntArgument(args[0], "start", 0));
  ASSIGN_OR_RETURN(int64_t stop, IntArgument(args[1], "stop", 0));
  ASSIGN_OR_RETURN(const int64_t step, IntArgument(args[2], "step", 1));
  if (args[1] == nullptr) {
    stop = start;
    start = 0;
  }
  if (step == 0) return Fail("range() step must not be zero");
  const uint64_t count = RangeCount(start, stop, step);
  if (count > static_cast<uint64_t>(rt.limits().range_max)) {
    return Fail("range() of more than " +
                std::to_string(rt.limits().range_max) + " numbers");
  }
  ASSIGN_OR_RETURN(Sequence* const range,
                   rt.NewRange(start, step, static_cast<size_t>(count)));
  return Value::Of(range);
}

Result<void> SetNamed(Runtime& rt, Args args, Dict* dict) {
  if (args.positional.size() > 1) return Fail("more than one argument");
  if (!args.positional.empty()) {
    const Dict* from = args.positional[0].dict();
    if (from == nullptr) return Unsupported("dict() of something but a dict");
    for (const Dict::Entry& entry : from->entries()) {
      RETURN_IF_ERROR(rt.Set(dict, entry.key, entry.value));
    }
  }
  for (const auto& [name, value] : args.named) {
    RETURN_IF_ERROR(rt.Set(dict, name, value));
  }
  return {};
}

Result<Value> MakeDict(Runtime& rt, const Value&, Args args) {
  ASSIGN_OR_RETURN(Dict* const dict, rt.NewDict());
  RETURN_IF_ERROR(SetNamed(rt, args, dict));
  return Value::Of(dict);
}

Result<Value> MakeNamespace(Runtime& rt, const Value&, Args args) {
  ASSIGN_OR_RETURN(Namespace* const space, rt.NewNamespace());
  RETURN_IF_ERROR(SetNamed(rt, args, &space->attributes));
  return Value::Of(space);
}

Result<Value> RaiseException(Runtime& rt, const Value&, Args args) {
  ASSIGN_OR_RETURN(const Value message, Str(rt, *args[0]));
  return rt.Raise(std::string(message.text()->bytes().substr(0, kMessageMax)));
}

Result<Value> StrftimeNow(Runtime& rt, const Value&, Args args) {
  ASSIGN_OR_RETURN(const Text* const format, TextArgument(*args[0], "format"));
  ASSIGN_OR_RETURN(const std::string text,
                   FormatTime(format->bytes(), rt.now()));
  return rt.NewString(text, format->trusted());
}

constexpr Builtin kFunctions[] = {
    {"dict", MakeDict, {}, 0, true},
    {"namespace", MakeNamespace, {}, 0, true},
    {"raise_exception", RaiseException, {"message"}, 1},
    {"range", Range, {"start", "stop", "step"}, 1},
    {"strftime_now", StrftimeNow, {"format"}, 1},
};

}  // namespace

std::span<const Builtin> Functions() { return kFunctions; }

}  // namespace aio::jinja
