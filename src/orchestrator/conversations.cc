// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/conversations.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/random.h"

namespace aio::orchestrator {
namespace {

uint64_t Hash(uint64_t hash, std::string_view text) {
  hash = Mix(hash ^ text.size());
  for (size_t at = 0; at < text.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at,
                std::min(sizeof word, text.size() - at));
    hash = Mix(hash ^ word);
  }
  return hash;
}

}  // namespace

ConversationKeys KeysOf(const core::Request& request) {
  ConversationKeys keys;
  keys.own = Mix(request.tenant);
  for (const core::Message& message : request.messages) {
    if (message.role == core::Role::kAssistant) keys.before = keys.own;
    keys.own = Mix(keys.own ^ static_cast<uint64_t>(message.role));
    keys.own = Hash(keys.own, message.content);
  }
  return keys;
}

core::Intent Sharpened(const core::Intent& remembered,
                       const core::Intent& text) {
  core::Intent intent = remembered;
  double sum = 0;
  for (size_t i = 0; i < core::kLabels; ++i) {
    double& p = intent.probabilities[i];
    p = (kGoesOn * p + (1 - kGoesOn) / core::kLabels) * text.probabilities[i];
    sum += p;
  }
  for (double& p : intent.probabilities) p /= sum;
  return intent;
}

const Exchange* Conversations::Find(uint64_t key, uint64_t tenant) {
  const auto it = by_key_.find(key);
  if (it == by_key_.end() || it->second->second.tenant != tenant) {
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, it->second);
  return &it->second->second;
}

void Conversations::Keep(uint64_t key, Exchange exchange) {
  if (entries_max_ == 0) return;
  const auto it = by_key_.find(key);
  if (it != by_key_.end()) {
    entries_.erase(it->second);
    by_key_.erase(it);
  } else if (by_key_.size() >= entries_max_) {
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(key, std::move(exchange));
  by_key_[key] = entries_.begin();
}

}  // namespace aio::orchestrator
