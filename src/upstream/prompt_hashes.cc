// SPDX-License-Identifier: Apache-2.0
#include "upstream/prompt_hashes.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/random.h"

namespace aio::upstream {
namespace {

// Requests on their way at once between a peek and the next; more only cost
// another hashing.
constexpr size_t kKept = 16;

// Cuts what it is fed into blocks, across pieces.
class Chain {
 public:
  explicit Chain(uint64_t salt) : hash_(salt) {}
  void Feed(std::string_view text) {
    while (!text.empty()) {
      const size_t count = std::min(text.size(), kBlockBytes - filled_);
      hash_ = Mix(hash_ ^ std::hash<std::string_view>()(text.substr(0, count)));
      filled_ += count;
      text.remove_prefix(count);
      if (filled_ < kBlockBytes) continue;
      blocks_.push_back(hash_);
      filled_ = 0;
    }
  }
  HashChain Take() { return std::move(blocks_); }

 private:
  uint64_t hash_;
  size_t filled_ = 0;
  HashChain blocks_;
};

}  // namespace

HashChain ChainOf(const core::Request& request) {
  Chain chain(request.tenant);
  if (!request.chat) {
    chain.Feed(request.prompt);
    return chain.Take();
  }
  for (const core::Message& message : request.messages) {
    chain.Feed(Name(message.role));
    chain.Feed(message.content);
  }
  return chain.Take();
}

std::shared_ptr<const HashChain> PromptHashes::Of(
    const std::shared_ptr<const core::Request>& request) {
  {
    const MutexLock lock(mutex_);
    for (const Entry& entry : last_) {
      const bool same = !entry.request.owner_before(request) &&
                        !request.owner_before(entry.request);
      if (same) return entry.chain;
    }
  }
  auto chain = std::make_shared<const HashChain>(ChainOf(*request));
  const MutexLock lock(mutex_);
  last_.push_front({request, chain});
  if (last_.size() > kKept) last_.pop_back();
  return chain;
}

size_t SentPrompts::Match(const HashChain& chain) const {
  size_t count = 0;
  while (count < chain.size() && at_.count(chain[count]) > 0) ++count;
  return count;
}

// Last block first, so that a chain is forgotten from its end.
void SentPrompts::Add(const HashChain& chain) {
  for (auto hash = chain.rbegin(); hash != chain.rend(); ++hash) {
    const auto it = at_.find(*hash);
    if (it != at_.end()) {
      used_.splice(used_.begin(), used_, it->second);
      continue;
    }
    used_.push_front(*hash);
    at_[*hash] = used_.begin();
  }
  while (used_.size() > blocks_max_) {
    at_.erase(used_.back());
    used_.pop_back();
  }
}

void SentPrompts::Clear() {
  used_.clear();
  at_.clear();
}

}  // namespace aio::upstream
