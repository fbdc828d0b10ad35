// SPDX-License-Identifier: Apache-2.0
#include "base/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"

namespace aio {
namespace {

using Queue = FairQueue<int>;

int Take(Queue* queue) {
  const int id = queue->Front();
  queue->Pop();
  return id;
}

TEST(FairQueueTest, OneKeyIsServedInItsOrderWhateverItCosts) {
  Queue queue;
  for (int i = 0; i < 100; ++i) {
    queue.Push(i, 7, 1 + static_cast<double>(Mix(i) % 1000), 1 + i % 3);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Take(&queue), i);
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueueTest, OneRequestBehindAThousandOfAnotherIsServedWithinTwo) {
  Queue queue;
  for (int i = 0; i < 1000; ++i) queue.Push(i, 1, 5000);
  for (int i = 0; i < 500; ++i) Take(&queue);
  queue.Push(-1, 2, 5000);
  const int first = Take(&queue), second = Take(&queue);
  EXPECT_TRUE(first == -1 || second == -1) << first << " " << second;
}

// The paper's theorem 1, at every moment, over random costs.
TEST(FairQueueTest, TwoBackloggedKeysDifferByAtMostOneItemEach) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Queue queue;
    const double weights[2] = {1.0 + static_cast<double>(seed % 4),
                               1.0 + static_cast<double>(seed / 4 % 3)};
    std::map<int, std::pair<int, double>> items;  // id -> key, cost
    double most[2] = {0, 0};
    int next = 0;
    const auto push = [&](int key) {
      const double scale = key == 0 ? 1000 : 40;
      const double cost = 1 + std::floor(RandomUnit(seed, 0, next) * scale);
      items[next] = {key, cost};
      most[key] = std::max(most[key], cost / weights[key]);
      queue.Push(next++, static_cast<uint64_t>(key), cost, weights[key]);
    };
    for (int i = 0; i < 3; ++i) push(0), push(1);
    double served[2] = {0, 0};
    for (int i = 0; i < 2000; ++i) {
      const auto [key, cost] = items[Take(&queue)];
      served[key] += cost / weights[key];
      push(key);
      ASSERT_LE(std::abs(served[0] - served[1]), most[0] + most[1])
          << "seed " << seed << " after " << i;
    }
  }
}

TEST(FairQueueTest, AKeyThatWasIdleGetsNoCredit) {
  Queue queue;
  for (int i = 0; i < 200; ++i) queue.Push(i, 1, 10);
  for (int i = 0; i < 100; ++i) Take(&queue);  // key 2 asks for nothing
  for (int i = 0; i < 100; ++i) queue.Push(1000 + i, 2, 10);
  int of_second = 0;
  for (int i = 0; i < 40; ++i) of_second += Take(&queue) >= 1000 ? 1 : 0;
  EXPECT_NEAR(of_second, 20, 1);
}

TEST(FairQueueTest, AKeyThatAsksAgainAtOncePaysForWhatItHad) {
  Queue queue;
  for (int i = 0; i < 100; ++i) queue.Push(i, 1, 10);
  queue.Push(1000, 2, 30);  // three times what the others cost
  int of_second = 0;
  for (int i = 0; i < 40; ++i) {
    const int id = Take(&queue);
    if (id < 1000) continue;
    ++of_second;
    queue.Push(id + 1, 2, 30);  // it never has two that wait
  }
  EXPECT_NEAR(of_second, 10, 1);
}

TEST(FairQueueTest, WhatIsErasedCostsItsKeyNothing) {
  Queue queue;
  queue.Push(1, 1, 1e6);
  queue.Push(2, 1, 10);
  queue.Push(3, 2, 10);
  queue.Push(4, 2, 10);
  EXPECT_TRUE(queue.Erase(1));
  EXPECT_FALSE(queue.Erase(1));
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(Take(&queue), 2);
  EXPECT_EQ(Take(&queue), 3);
  queue.Push(5, 1, 10);
  EXPECT_TRUE(queue.Erase(4));
  EXPECT_EQ(Take(&queue), 5);
  EXPECT_TRUE(queue.empty());
}

// Erasing one's last item does not wipe out what was had before it.
TEST(FairQueueTest, ErasingIsNoWayToBeForgiven) {
  Queue queue;
  queue.Push(1, 1, 1000);
  queue.Push(2, 2, 10);
  EXPECT_EQ(Take(&queue), 1);
  queue.Push(3, 1, 10);
  EXPECT_TRUE(queue.Erase(3));
  queue.Push(4, 1, 10);
  EXPECT_EQ(Take(&queue), 2);
  queue.Push(5, 2, 10);
  EXPECT_EQ(Take(&queue), 5) << "key 1 is 990 ahead";
}

TEST(FairQueueTest, RemembersNoMoreKeysThanItMay) {
  Queue queue(8);
  queue.Push(0, 0, 1);
  for (int i = 1; i <= 1000; ++i) {
    queue.Push(i, static_cast<uint64_t>(i), 100);
    Take(&queue);
    EXPECT_LE(queue.keys(), 1u + 8u);
  }
  while (!queue.empty()) Take(&queue);
  queue.Rest();
  EXPECT_EQ(queue.keys(), 0u);
}

// Against a plain model of the same rule that keeps every key for ever.
class Model {
 public:
  void Push(int id, uint64_t key, double length) {
    if (items_[key].empty()) {
      start_[key] = std::max(time_, start_.count(key) ? start_[key] : 0);
    }
    items_[key].push_back({id, length});
    order_.push_back(id);
  }
  void Erase(int id) {
    for (auto& [key, items] : items_) {
      std::erase_if(items, [id](const auto& i) { return i.first == id; });
    }
  }
  int Take() {
    uint64_t best = 0;
    for (const auto& [key, items] : items_) {
      if (items.empty()) continue;
      if (items_[best].empty() || Before(key, best)) best = key;
    }
    const auto [id, length] = items_[best].front();
    items_[best].pop_front();
    time_ = start_[best];
    start_[best] += length;
    return id;
  }

 private:
  bool Before(uint64_t a, uint64_t b) {
    if (start_[a] != start_[b]) return start_[a] < start_[b];
    const auto at = [&](uint64_t key) {
      return std::ranges::find(order_, items_[key].front().first);
    };
    return at(a) < at(b);
  }

  double time_ = 0;
  std::map<uint64_t, std::deque<std::pair<int, double>>> items_;
  std::map<uint64_t, double> start_;
  std::vector<int> order_;
};

TEST(FairQueueTest, DoesAsAPlainModelOverRandomTraffic) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Queue queue;
    Model model;
    std::vector<int> waiting;
    for (int i = 0; i < 1500; ++i) {
      const double dice = RandomUnit(seed, 1, i);
      if (waiting.empty() || dice < 0.5) {
        const uint64_t key = RandomBits(seed, 2, i) % 6;
        // Whole numbers, so that both add up the same.
        const double cost = 1 + static_cast<double>(RandomBits(seed, 3, i) % 8);
        queue.Push(i, key, 4 * cost, 4);
        model.Push(i, key, cost);
        waiting.push_back(i);
      } else if (dice < 0.6) {
        const auto at = RandomBits(seed, 4, i) % waiting.size();
        EXPECT_TRUE(queue.Erase(waiting[at]));
        model.Erase(waiting[at]);
        waiting.erase(waiting.begin() + static_cast<ptrdiff_t>(at));
      } else {
        const int id = Take(&queue);
        ASSERT_EQ(id, model.Take()) << "seed " << seed << " at " << i;
        std::erase(waiting, id);
      }
      ASSERT_EQ(queue.size(), waiting.size());
    }
  }
}

}  // namespace
}  // namespace aio
