// SPDX-License-Identifier: Apache-2.0
//
// Prefix tree over KV pages: which pages hold the KV of which token ids, so
// that a prompt that begins like an earlier text starts where that one left
// off. A node is one page: the ids of its positions below the page before it.
// Only a full page has children; a page that is partly filled is a leaf.
//
// Trees are apart by salt: texts of different salts never meet, whatever their
// tokens. Ids are always compared, never only their hash.
//
// Children are found in one ordered set of pages, by (parent, salt, ids): the
// child that has most in common with a text stands next to where the text would
// be. A hash per page would find equal pages only, and a page shared in part is
// the usual end of a shared prefix.
//
// Thread safety: none; the engine thread only. A PrefixDigest may be read by
// any.
// Invariants: a page with users > 0 is never evicted; who uses a page uses all
// above it, so what nobody uses can be evicted leaf by leaf. At most one node
// per page that exists, so memory is bounded at construction.
// Cost: Find is O(prompt pages * log(nodes)); Evict O(log).
// See docs/kv_cache.md.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace aio::sched {

// What a tree held at one moment, as a hash per full page of it and all before
// it: enough to price a prompt from any thread. An estimate: the tree may have
// changed since, pages shared in part are not counted, and hashes may collide.
class PrefixDigest {
 public:
  PrefixDigest(std::vector<uint64_t> sorted, int page_tokens, uint64_t secret)
      : sorted_(std::move(sorted)),
        page_tokens_(page_tokens),
        secret_(secret) {}

  // Tokens of the prompt whose KV exists; never the last one, whose logits are
  // wanted.
  int CachedTokens(uint64_t salt, std::span<const int32_t> prompt) const;

 private:
  std::vector<uint64_t> sorted_;
  int page_tokens_;
  uint64_t secret_;
};

class PrefixTree {
 public:
  struct Options {
    int pages = 0;
    int page_tokens = 32;
    // Enters the hashes of digests, so that nobody outside can aim at one.
    uint64_t secret = 0;
  };

  // The longest known beginning of a text.
  struct Match {
    std::vector<int32_t> pages;  // full ones, to be shared
    int32_t partial = -1;        // a page to copy the rest from, or -1
    int tokens = 0;              // in all of them
  };

  explicit PrefixTree(const Options& options);
  PrefixTree(const PrefixTree&) = delete;  // its order reads this very object
  PrefixTree& operator=(const PrefixTree&) = delete;

  Match Find(uint64_t salt, std::span<const int32_t> tokens) const;

  // Makes sure that the tree knows `tokens` (1..page_tokens) below `parent` (a
  // full page in use, or -1). Returns the page that holds them: `page`, which
  // is now a node with one user, the caller; or another that was there before.
  // A page that was a node already, with fewer of the same tokens, grows; its
  // one user must be the caller. If another page is returned, `page` is no
  // node (any more).
  int32_t Insert(uint64_t salt, int32_t parent, std::span<const int32_t> tokens,
                 int32_t page);

  void Use(int32_t page);    // one user more
  void Unuse(int32_t page);  // one user less
  void Touch(int32_t page);  // counts as used just now

  // Takes the least recently used leaf that nobody uses out of the tree.
  // REQUIRES: idle() > 0.
  int32_t Evict();

  bool Holds(int32_t page) const { return nodes_[page].held; }
  int users(int32_t page) const { return nodes_[page].users; }
  int size() const { return static_cast<int>(ordered_.size()); }
  int idle() const { return idle_; }  // nodes without users

  // The same object until something changes.
  std::shared_ptr<const PrefixDigest> Digest();

 private:
  struct Node {
    bool held = false;
    uint64_t salt = 0;
    int32_t parent = -1;
    int tokens = 0;  // positions that count
    int users = 0;
    int children = 0;
    uint64_t used = 0;  // when, in ticks
    uint64_t hash = 0;  // of its tokens and all before it
  };
  struct Key {
    int32_t parent;
    uint64_t salt;
    std::span<const int32_t> tokens;
  };
  struct Less {
    using is_transparent = void;
    const PrefixTree* tree;
    bool operator()(int32_t a, int32_t b) const;
    bool operator()(int32_t a, const Key& b) const;
    bool operator()(const Key& a, int32_t b) const;
  };

  Key KeyOf(int32_t page) const;
  bool Full(const Node& node) const {
    return node.tokens == options_.page_tokens;
  }
  // The child with the longest common beginning, and its length.
  std::pair<int32_t, int> Longest(const Key& key) const;
  // A child that begins with all of the key's tokens, or -1.
  int32_t Covering(const Key& key) const;
  void Link(const Key& key, int32_t page);
  void Unlink(int32_t page);
  // Keeps idle_leaves_ right around a change of users, children or used.
  void Leave(int32_t page);
  void Enter(int32_t page);

  Options options_;
  std::vector<Node> nodes_;                        // [page]
  std::vector<int32_t> tokens_;                    // [page, page_tokens]
  std::set<int32_t, Less> ordered_;                // nodes by key
  std::set<std::pair<uint64_t, int32_t>> leaves_;  // idle ones, by last use
  int idle_ = 0;
  uint64_t tick_ = 0;
  std::vector<uint64_t> hashes_;                // of full pages, sorted
  std::shared_ptr<const PrefixDigest> digest_;  // null: to be made anew
};

}  // namespace aio::sched
