// SPDX-License-Identifier: Apache-2.0
//
// Where the exchanges of conversations went, so that the next one is known to
// go on from it. A conversation is told by what was asked so far: an exchange
// is kept under the hash of all its messages, and the request after it, which
// has the same ones, an answer and something new, finds it by those before its
// last answer. So no answer need be hashed as it streams, and a client that
// trims what it sends back is found. The API key is a part of the hash, and is
// compared.
//
// Thread safety: none; used on the orchestrator's executor only.
// Invariants: at most `entries_max` entries; past it the one that was used
// longest ago goes.
// Cost: KeysOf is O(text), the rest O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/intent.h"
#include "core/request.h"
#include "core/thinking.h"

namespace aio::orchestrator {

struct ConversationKeys {
  std::optional<uint64_t> before;  // of the exchange it goes on from
  uint64_t own = 0;
};
ConversationKeys KeysOf(const core::Request& request);

// An exchange that went well.
struct Exchange {
  uint64_t tenant = 0;
  size_t variant = 0;
  std::optional<core::Thinking> thinking = {};
  // Of its prompt. What was answered may have thoughts in it, which the next
  // prompt leaves out.
  int prompt_tokens = 0;
  core::Intent intent = {};  // of kModel, once the model probe has told it
};

// What the next message of a conversation is likely to want: what the last one
// did, with probability kGoesOn, or else anything; and of that, by Bayes, what
// the text probe makes of it. So a text that is sure of something new wins,
// and "go on" does not.
inline constexpr double kGoesOn = 0.8;  // not measured
core::Intent Sharpened(const core::Intent& remembered,
                       const core::Intent& text);

class Conversations {
 public:
  explicit Conversations(size_t entries_max) : entries_max_(entries_max) {}

  // Null if it is not known. Valid until the next Keep.
  const Exchange* Find(uint64_t key, uint64_t tenant);
  void Keep(uint64_t key, Exchange exchange);
  size_t size() const { return by_key_.size(); }

 private:
  using Entries = std::list<std::pair<uint64_t, Exchange>>;

  const size_t entries_max_;
  Entries entries_;  // the one used last comes first
  std::unordered_map<uint64_t, Entries::iterator> by_key_;
};

}  // namespace aio::orchestrator
