// SPDX-License-Identifier: Apache-2.0
//
// Which prompts begin alike, for servers whose KV cache cannot be looked into:
// a chain of hashes of a prompt's text, one every kBlockBytes, and what of them
// a server has been sent.
//
// Thread safety: PromptHashes any thread; SentPrompts none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "core/request.h"

namespace aio::upstream {

// Of text; vLLM's blocks have 16 tokens, about a quarter of it.
inline constexpr size_t kBlockBytes = 256;

// [block], each of all text up to its end, whose request it is included.
using HashChain = std::vector<uint64_t>;
HashChain ChainOf(const core::Request& request);

// The chain of a request is made once, however many replicas are asked.
class PromptHashes {
 public:
  std::shared_ptr<const HashChain> Of(
      const std::shared_ptr<const core::Request>& request);

 private:
  struct Entry {
    std::weak_ptr<const core::Request> request;
    std::shared_ptr<const HashChain> chain;
  };
  Mutex mutex_;
  std::deque<Entry> last_ GUARDED_BY(mutex_);  // newest first
};

// What a server has seen; those used longest ago are forgotten.
class SentPrompts {
 public:
  explicit SentPrompts(size_t blocks_max) : blocks_max_(blocks_max) {}

  // How many of the chain's blocks it has seen, from the first.
  size_t Match(const HashChain& chain) const;
  void Add(const HashChain& chain);
  void Clear();

 private:
  const size_t blocks_max_;
  std::list<uint64_t> used_;  // latest first
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> at_;
};

}  // namespace aio::upstream
