// SPDX-License-Identifier: Apache-2.0
//
// A random model in memory, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"
#include "model/random_model.h"

namespace aio::model {

class TestModel {
 public:
  explicit TestModel(const RandomModel& description)
      : TestModel(MakeRandomModel(description)) {}
  explicit TestModel(const gguf::Writer& writer) : bytes_(Bytes(writer)) {}
  TestModel(const TestModel&) = delete;
  TestModel& operator=(const TestModel&) = delete;

  // As long as this object lives.
  gguf::File file() const {
    auto file = gguf::File::Parse(bytes_);
    CHECK(file);
    return *std::move(file);
  }

 private:
  static std::vector<std::byte> Bytes(const gguf::Writer& writer) {
    auto bytes = writer.Serialize();
    CHECK(bytes);
    return *std::move(bytes);
  }

  std::vector<std::byte> bytes_;
};

// Of sequences with `logits`, [positions][vocabulary], the very same bits: a
// zero's sign counts too.
template <class Sequences>
void ExpectSame(const Sequences& got, const Sequences& want) {
  for (size_t s = 0; s < want.size(); ++s) {
    ASSERT_EQ(got[s].logits.size(), want[s].logits.size());
    for (size_t i = 0; i < want[s].logits.size(); ++i) {
      ASSERT_EQ(std::memcmp(got[s].logits[i].data(), want[s].logits[i].data(),
                            want[s].logits[i].size() * sizeof(float)),
                0)
          << "sequence " << s << " position " << i;
    }
  }
}

}  // namespace aio::model
