// SPDX-License-Identifier: Apache-2.0
//
// Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): what waits is
// served so that keys which always have something waiting get service in
// proportion to their weights, whatever they ask for and however much of it.
// Within a key, and among keys that are level, first come, first served.
//
// The head of each key has a start tag: where the key's item before it ended,
// or the virtual time if that is later, so that a key that had nothing to do
// has saved nothing. An item ends cost / weight behind its start. The least
// start is served next, and is the virtual time from then on.
//
// Of two keys a and b that have items waiting throughout, the service of one
// over its weight differs from the other's by at most cost_max(a) / weight(a)
// + cost_max(b) / weight(b): the paper's theorem 1.
//
// Thread safety: none.
// Invariants: the memory is that of the items and of at most keys_rested_max
// keys, which were served and have nothing waiting. The caller bounds size().
// Cost: Push, Pop and Erase are O(log keys); Front is O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace aio {

template <typename Id>
class FairQueue {
 public:
  using Key = uint64_t;

  // Of more rested keys, those least ahead of the others are forgotten: they
  // gain at most the cost of one item.
  explicit FairQueue(size_t keys_rested_max = 4096)
      : keys_rested_max_(keys_rested_max) {}

  bool empty() const { return places_.empty(); }
  size_t size() const { return places_.size(); }
  // Keys of which something is remembered.
  size_t keys() const { return lanes_.size() + rested_.size(); }

  // REQUIRES: the id does not wait; cost and weight > 0.
  void Push(Id id, Key key, double cost, double weight = 1) {
    CHECK(cost > 0 && weight > 0);
    const auto [lane, first] = lanes_.try_emplace(key);
    if (first) lane->second.start = Wake(key);
    auto& items = lane->second.items;
    items.push_back({id, cost / weight, ++arrivals_});
    CHECK(places_.emplace(id, Place{key, std::prev(items.end())}).second);
    if (first) heads_.insert(HeadOf(key, lane->second));
  }

  // Who is served next. REQUIRES: not empty.
  Id Front() const { return LaneOf(*heads_.begin()).items.front().id; }

  // Serves it.
  void Pop() {
    CHECK(!empty());
    const Key key = std::get<2>(*heads_.begin());
    const Lane& lane = lanes_.at(key);
    const Item& item = lane.items.front();
    time_ = lane.start;
    TakeOut(places_.find(item.id), lane.start + item.length);
  }

  // What was not served costs its key nothing. False if the id does not wait.
  bool Erase(Id id) {
    const auto place = places_.find(id);
    if (place == places_.end()) return false;
    TakeOut(place, lanes_.at(place->second.key).start);
    return true;
  }

  // Nothing is under way any more: all keys begin level. REQUIRES: empty.
  void Rest() {
    CHECK(empty());
    rested_.clear();
    by_finish_.clear();
    time_ = 0;
  }

  // Calls visit(id) for all, in no order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [id, place] : places_) visit(id);
  }

 private:
  struct Item {
    Id id;
    double length;     // cost / weight
    uint64_t arrival;  // tells who was first among equals
  };
  struct Lane {
    std::list<Item> items;  // not empty
    double start = 0;       // of the first
  };
  struct Place {
    Key key;
    typename std::list<Item>::iterator item;
  };
  using Head = std::tuple<double, uint64_t, Key>;  // start, arrival
  using Places = std::unordered_map<Id, Place>;

  static Head HeadOf(Key key, const Lane& lane) {
    return {lane.start, lane.items.front().arrival, key};
  }
  const Lane& LaneOf(const Head& head) const {
    return lanes_.at(std::get<2>(head));
  }

  // Where the first item of a key begins that had none.
  double Wake(Key key) {
    const auto rested = rested_.find(key);
    if (rested == rested_.end()) return time_;
    const double finish = rested->second;
    by_finish_.erase({finish, key});
    rested_.erase(rested);
    return finish > time_ ? finish : time_;
  }

  // `start`: of what is the key's first item then, if the first one goes.
  void TakeOut(typename Places::iterator place, double start) {
    const Key key = place->second.key;
    const auto lane = lanes_.find(key);
    auto& items = lane->second.items;
    const bool head = place->second.item == items.begin();
    if (head) heads_.erase(HeadOf(key, lane->second));
    items.erase(place->second.item);
    places_.erase(place);
    if (!head) return;
    lane->second.start = start;
    if (!items.empty()) {
      heads_.insert(HeadOf(key, lane->second));
      return;
    }
    lanes_.erase(lane);
    rested_[key] = start;
    by_finish_.emplace(start, key);
    Forget();
  }

  // Those who are level with the rest anyway, and those who are too many.
  void Forget() {
    while (!by_finish_.empty()) {
      const auto least = by_finish_.begin();
      if (least->first > time_ && rested_.size() <= keys_rested_max_) return;
      rested_.erase(least->second);
      by_finish_.erase(least);
    }
  }

  const size_t keys_rested_max_;
  double time_ = 0;  // the start of what was served last
  uint64_t arrivals_ = 0;
  std::unordered_map<Key, Lane> lanes_;
  std::set<Head> heads_;  // of each lane
  Places places_;
  std::unordered_map<Key, double> rested_;  // where they ended
  std::set<std::pair<double, Key>> by_finish_;
};

}  // namespace aio
