// SPDX-License-Identifier: Apache-2.0
#include "orchestrator/ledger.h"

#include <gtest/gtest.h>

namespace aio::orchestrator {
namespace {

core::Snapshot Admitted(uint64_t admissions, int running = 0) {
  core::Snapshot s;
  s.admissions = admissions;
  s.running = running;
  return s;
}

TEST(LedgerTest, AddsWhatTheSnapshotDoesNotShowYet) {
  Ledger ledger(2);
  ledger.Reserve(0, 1, Admitted(7));
  ledger.Reserve(0, 2, Admitted(7));
  EXPECT_EQ(ledger.Correct(0, Admitted(7)).queued, 2);
  EXPECT_EQ(ledger.Correct(1, Admitted(0)).queued, 0);
}

TEST(LedgerTest, DropsAReservationOnceTheSnapshotShowsIt) {
  Ledger ledger(1);
  ledger.Reserve(0, 1, Admitted(7));
  ledger.Reserve(0, 2, Admitted(7));
  const core::Snapshot one = ledger.Correct(0, Admitted(8, 1));
  EXPECT_EQ(one.running + one.queued, 2);
  const core::Snapshot both = ledger.Correct(0, Admitted(9, 2));
  EXPECT_EQ(both.running + both.queued, 2);
  EXPECT_EQ(ledger.outstanding(0), 0u);
}

TEST(LedgerTest, MovesTheRestUpWhenOneIsNeverAdmitted) {
  Ledger ledger(1);
  ledger.Reserve(0, 1, Admitted(0));
  ledger.Reserve(0, 2, Admitted(0));
  ledger.Release(0, 1, Admitted(0));  // refused by the backend
  EXPECT_EQ(ledger.Correct(0, Admitted(0)).queued, 1);
  EXPECT_EQ(ledger.Correct(0, Admitted(1, 1)).queued, 0);
}

TEST(LedgerTest, ReleasingWhatWasAdmittedLeavesTheOthersAlone) {
  Ledger ledger(1);
  ledger.Reserve(0, 1, Admitted(0));
  ledger.Reserve(0, 2, Admitted(0));
  ledger.Release(0, 1, Admitted(1));
  EXPECT_EQ(ledger.Correct(0, Admitted(1)).queued, 1);
  EXPECT_EQ(ledger.Correct(0, Admitted(2)).queued, 0);
}

TEST(LedgerTest, EveryReservationEndsWithItsRequest) {
  Ledger ledger(1);
  for (uint64_t i = 0; i < 100; ++i) ledger.Reserve(0, i, Admitted(0));
  for (uint64_t i = 0; i < 100; ++i) ledger.Release(0, i, Admitted(0));
  EXPECT_EQ(ledger.outstanding(0), 0u);
}

}  // namespace
}  // namespace aio::orchestrator
