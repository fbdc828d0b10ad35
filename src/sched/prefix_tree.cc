// SPDX-License-Identifier: Apache-2.0
#include "sched/prefix_tree.h"

#include <algorithm>
#include <compare>

#include "base/check.h"
#include "base/random.h"

namespace aio::sched {
namespace {

using Tokens = std::span<const int32_t>;

uint64_t RootHash(uint64_t secret, uint64_t salt) {
  return Mix(Mix(secret) ^ salt);
}

uint64_t ChainHash(uint64_t before, Tokens tokens) {
  for (const int32_t token : tokens) {
    before = Mix(before ^ static_cast<uint32_t>(token));
  }
  return before;
}

int Common(Tokens a, Tokens b) {
  const auto ends = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<int>(ends.first - a.begin());
}

template <typename Key>
bool Before(const Key& a, const Key& b) {
  if (a.parent != b.parent) return a.parent < b.parent;
  if (a.salt != b.salt) return a.salt < b.salt;
  return std::lexicographical_compare(a.tokens.begin(), a.tokens.end(),
                                      b.tokens.begin(), b.tokens.end());
}

}  // namespace

int PrefixDigest::CachedTokens(uint64_t salt, Tokens prompt) const {
  if (prompt.empty()) return 0;
  const auto page = static_cast<size_t>(page_tokens_);
  uint64_t hash = RootHash(secret_, salt);
  size_t known = 0;
  while (known + page <= prompt.size()) {
    hash = ChainHash(hash, prompt.subspan(known, page));
    if (!std::binary_search(sorted_.begin(), sorted_.end(), hash)) break;
    known += page;
  }
  return static_cast<int>(std::min(known, prompt.size() - 1));
}

PrefixTree::PrefixTree(const Options& options)
    : options_(options),
      nodes_(options.pages),
      tokens_(static_cast<size_t>(options.pages) * options.page_tokens),
      ordered_(Less{this}) {
  hashes_.reserve(nodes_.size());
}

bool PrefixTree::Less::operator()(int32_t a, int32_t b) const {
  return Before(tree->KeyOf(a), tree->KeyOf(b));
}
bool PrefixTree::Less::operator()(int32_t a, const Key& b) const {
  return Before(tree->KeyOf(a), b);
}
bool PrefixTree::Less::operator()(const Key& a, int32_t b) const {
  return Before(a, tree->KeyOf(b));
}

PrefixTree::Key PrefixTree::KeyOf(int32_t page) const {
  const Node& node = nodes_[page];
  const size_t first = static_cast<size_t>(page) * options_.page_tokens;
  return {node.parent, node.salt,
          Tokens(tokens_).subspan(first, static_cast<size_t>(node.tokens))};
}

PrefixTree::Match PrefixTree::Find(uint64_t salt, Tokens tokens) const {
  Match match;
  int32_t parent = -1;
  for (;;) {
    const Tokens rest = tokens.subspan(static_cast<size_t>(match.tokens));
    const size_t count =
        std::min(rest.size(), static_cast<size_t>(options_.page_tokens));
    const auto [page, common] = Longest({parent, salt, rest.first(count)});
    match.tokens += common;
    if (common < options_.page_tokens) {
      if (common > 0) match.partial = page;
      return match;
    }
    match.pages.push_back(page);
    parent = page;
  }
}

// In the order of the ids, whatever lies between two texts has at least as much
// in common with each as they have with one another: the best is a neighbour.
std::pair<int32_t, int> PrefixTree::Longest(const Key& key) const {
  std::pair<int32_t, int> best = {-1, 0};
  const auto consider = [&](int32_t page) {
    const Key other = KeyOf(page);
    if (other.parent != key.parent || other.salt != key.salt) return;
    const int common = Common(other.tokens, key.tokens);
    if (common > best.second) best = {page, common};
  };
  const auto next = ordered_.lower_bound(key);
  if (next != ordered_.end()) consider(*next);
  if (next != ordered_.begin()) consider(*std::prev(next));
  return best;
}

int32_t PrefixTree::Covering(const Key& key) const {
  const auto [page, common] = Longest(key);
  return common == static_cast<int>(key.tokens.size()) ? page : -1;
}

int32_t PrefixTree::Insert(uint64_t salt, int32_t parent, Tokens tokens,
                           int32_t page) {
  const Key key = {parent, salt, tokens};
  Node& node = nodes_[page];
  CHECK(!tokens.empty());
  CHECK(tokens.size() <= static_cast<size_t>(options_.page_tokens));
  CHECK(parent < 0 || (Full(nodes_[parent]) && users(parent) > 0));
  if (node.held) {
    CHECK(node.users == 1 && node.children == 0);
    CHECK(node.salt == salt && node.parent == parent);
    if (node.tokens == static_cast<int>(tokens.size())) return page;
    Unlink(page);
  }
  const int32_t there = Covering(key);
  if (there >= 0) return there;
  Link(key, page);
  return page;
}

void PrefixTree::Link(const Key& key, int32_t page) {
  Node& node = nodes_[page];
  const uint64_t before = key.parent < 0 ? RootHash(options_.secret, key.salt)
                                         : nodes_[key.parent].hash;
  node = {true, key.salt, key.parent, static_cast<int>(key.tokens.size()),
          1,    0,        ++tick_,    ChainHash(before, key.tokens)};
  std::copy(key.tokens.begin(), key.tokens.end(),
            tokens_.begin() + static_cast<long>(page) * options_.page_tokens);
  if (key.parent >= 0) {
    Leave(key.parent);
    ++nodes_[key.parent].children;
    Enter(key.parent);
  }
  const auto at = ordered_.insert(page).first;
  if (Full(node)) {
    hashes_.insert(std::upper_bound(hashes_.begin(), hashes_.end(), node.hash),
                   node.hash);
    digest_.reset();
  }
  // What a conversation's earlier turn left of this page is now of no use.
  if (at == ordered_.begin()) return;
  const int32_t part = *std::prev(at);
  const Key other = KeyOf(part);
  if (other.parent != key.parent || other.salt != key.salt ||
      Common(other.tokens, key.tokens) < nodes_[part].tokens) {
    return;
  }
  Leave(part);
  nodes_[part].used = 0;
  Enter(part);
}

void PrefixTree::Unlink(int32_t page) {
  Node& node = nodes_[page];
  CHECK(node.held && node.children == 0);
  ordered_.erase(page);
  Leave(page);
  if (Full(node)) {
    hashes_.erase(std::lower_bound(hashes_.begin(), hashes_.end(), node.hash));
    digest_.reset();
  }
  if (node.parent >= 0) {
    Leave(node.parent);
    --nodes_[node.parent].children;
    Enter(node.parent);
  }
  node = Node();
}

void PrefixTree::Leave(int32_t page) {
  const Node& node = nodes_[page];
  if (node.users > 0) return;
  --idle_;
  if (node.children == 0) leaves_.erase({node.used, page});
}

void PrefixTree::Enter(int32_t page) {
  const Node& node = nodes_[page];
  if (node.users > 0) return;
  ++idle_;
  if (node.children == 0) leaves_.insert({node.used, page});
}

void PrefixTree::Use(int32_t page) {
  CHECK(Holds(page));
  Leave(page);
  ++nodes_[page].users;
}

void PrefixTree::Unuse(int32_t page) {
  Node& node = nodes_[page];
  CHECK(node.held && node.users > 0);
  --node.users;
  node.used = ++tick_;
  Enter(page);
}

void PrefixTree::Touch(int32_t page) {
  CHECK(Holds(page));
  Leave(page);
  nodes_[page].used = ++tick_;
  Enter(page);
}

int32_t PrefixTree::Evict() {
  CHECK(!leaves_.empty());
  const int32_t page = leaves_.begin()->second;
  Unlink(page);
  return page;
}

std::shared_ptr<const PrefixDigest> PrefixTree::Digest() {
  if (digest_ == nullptr) {
    digest_ = std::make_shared<PrefixDigest>(hashes_, options_.page_tokens,
                                             options_.secret);
  }
  return digest_;
}

}  // namespace aio::sched
