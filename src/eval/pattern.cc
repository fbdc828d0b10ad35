// SPDX-License-Identifier: Apache-2.0
#include "eval/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>
#include <utility>

namespace aio::eval {
namespace {

constexpr size_t kBytesMax = size_t{64} << 10;
// Steps of backtracking over a whole search: about half a second.
constexpr uint32_t kMatchLimit = 5'000'000;
constexpr uint32_t kGroupsMax = 15;  // that Match::group looks at
constexpr uint32_t kHeapKibMax = 64 * 1024;

// Freed with the scope of a search.
struct MatchState {
  MatchState()
      : data(pcre2_match_data_create(kGroupsMax + 1, nullptr)),
        context(pcre2_match_context_create(nullptr)) {
    CHECK(data != nullptr && context != nullptr);
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapKibMax);
  }
  MatchState(const MatchState&) = delete;
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  pcre2_match_data* data;
  pcre2_match_context* context;
};

}  // namespace

void Pattern::Free::operator()(void* code) const {
  pcre2_code_free(static_cast<pcre2_code*>(code));
}

Result<Pattern> Pattern::Compile(std::string_view expression) {
  if (expression.size() > kBytesMax) {
    return Error{ErrorCode::kInvalidArgument,
                 "the expression is longer than 64 KiB", ""};
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
      nullptr);
  if (code != nullptr) return Pattern(code);
  PCRE2_UCHAR message[128] = {};
  pcre2_get_error_message(error, message, sizeof(message));
  return Error{ErrorCode::kInvalidArgument,
               "the expression does not compile: " +
                   std::string(reinterpret_cast<char*>(message)) +
                   " (at byte " + std::to_string(offset) + ")",
               ""};
}

Pattern Pattern::Must(std::string_view expression) {
  auto pattern = Compile(expression);
  CHECK(pattern);
  return *std::move(pattern);
}

Pattern::Match Pattern::Search(std::string_view text, size_t from) const {
  const MatchState state;
  const int count =
      pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                  reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  PCRE2_NO_UTF_CHECK, state.data, state.context);
  Match match;
  if (count == PCRE2_ERROR_NOMATCH) return match;
  match.found = count < 0 ? Found::kGaveUp : Found::kYes;
  if (count < 0) return match;
  // Count 0: there are more groups than there is room for.
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.data);
  match.end = ends[1];
  const int groups = count == 0 ? kGroupsMax + 1 : count;
  for (int i = 1; i < groups; ++i) {
    if (ends[2 * i] == PCRE2_UNSET) continue;
    match.group = text.substr(ends[2 * i], ends[2 * i + 1] - ends[2 * i]);
    break;
  }
  return match;
}

std::string_view Pattern::LastGroup(std::string_view text) const {
  std::string_view last;
  size_t from = 0;
  for (;;) {
    const Match match = Search(text, from);
    if (match.found != Found::kYes || match.end <= from) return last;
    last = match.group;
    from = match.end;
  }
}

}  // namespace aio::eval
