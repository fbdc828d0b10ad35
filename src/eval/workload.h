// SPDX-License-Identifier: Apache-2.0
//
// Request lists with a given mix of intents, drawn from labelled tasks: what a
// comparison of routing policies is measured on.
//
// Thread safety: pure functions; the same arguments give the same list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "core/intent.h"
#include "eval/task.h"

namespace aio::eval {

struct WorkloadMix {
  core::Label main = core::Label::kCode;
  // Of the requests; the rest is spread evenly over the other intents that the
  // tasks have, as far as it divides.
  double main_share = 0.7;
  int requests = 100;
  uint64_t seed = 1;
};

// Indices into `tasks`. The counts by intent are exact, not drawn. Within an
// intent no task comes again before all have come. kInvalidArgument if there is
// no task of the main intent, or none of another.
Result<std::vector<size_t>> DrawWorkload(const std::vector<Task>& tasks,
                                         const WorkloadMix& mix);

// At most `limit` of the tasks, taken in turn from each intent that they have
// and then in file order, so that a short run sees all intents. 0: all.
std::vector<Task> LimitTasks(std::vector<Task> tasks, int limit);

// A hash of everything in the tasks that can change a result, as 16 hex
// digits: tells one task set from another, not from one made to collide.
std::string HashTasks(const std::vector<Task>& tasks);

}  // namespace aio::eval
