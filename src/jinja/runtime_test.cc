// SPDX-License-Identifier: Apache-2.0
#include "jinja/runtime.h"

#include <gtest/gtest.h>

#include <string>

#include "jinja/format.h"

namespace aio::jinja {
namespace {

TEST(JinjaRuntimeTest, GivesTheMemoryOfAStringBackWithItsLastValue) {
  Runtime rt({}, {});
  {
    const auto first = rt.NewString(std::string(1000, 'x'), true);
    ASSERT_TRUE(first);
    const Value second = *first;
    EXPECT_GT(rt.reserved(), 1000u);
  }
  EXPECT_EQ(rt.reserved(), 0u);
}

TEST(JinjaRuntimeTest, RefusesWhatDoesNotFitTheMemory) {
  TemplateLimits limits;
  limits.memory_bytes_max = 1000;
  Runtime rt(limits, {});
  EXPECT_FALSE(rt.NewString(std::string(2000, 'x'), true));
  EXPECT_FALSE(rt.NewSequence(Sequence::Kind::kList, std::vector<Value>(1000)));
  EXPECT_EQ(rt.reserved(), 0u);
}

TEST(JinjaRuntimeTest, BuildsNoStringBeyondItsLimit) {
  TemplateLimits limits;
  limits.string_bytes_max = 10;
  Runtime rt(limits, {});
  TextBuilder out(rt);
  for (int i = 0; i < 5; ++i) out.Append("abc", true);
  EXPECT_TRUE(out.full());
  const auto text = out.Take();
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("10 bytes in one string"),
            std::string::npos);
}

TEST(JinjaRuntimeTest, CountsDepthOnlyWhileItLasts) {
  TemplateLimits limits;
  limits.depth_max = 1;
  Runtime rt(limits, {});
  for (int i = 0; i < 3; ++i) {
    const DepthGuard outer(rt);
    EXPECT_TRUE(outer.ok());
    const DepthGuard inner(rt);
    EXPECT_FALSE(inner.ok());
  }
}

TEST(JinjaDictTest, KeepsOrderAndFindsKeysHoweverManyThereAre) {
  Runtime rt({}, {});
  Dict* const dict = *rt.NewDict();
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(rt.Set(dict, "k" + std::to_string(i), Value::Int(i)));
  }
  for (int i = 0; i < 40; i += 2) {
    EXPECT_TRUE(dict->Erase(StringKeyCode("k" + std::to_string(i))));
  }
  EXPECT_FALSE(dict->Erase(StringKeyCode("k0")));
  ASSERT_EQ(dict->size(), 20u);
  for (int i = 0; i < 40; ++i) {
    const Value* found = dict->FindString("k" + std::to_string(i));
    ASSERT_EQ(found != nullptr, i % 2 == 1);
    if (found != nullptr) {
      EXPECT_EQ(*found->integer(), i);
    }
  }
  EXPECT_EQ(*dict->entries()[0].value.integer(), 1);
}

TEST(JinjaDictTest, TakesEqualNumbersForOneKey) {
  EXPECT_EQ(*KeyCode(Value::Int(1)), *KeyCode(Value::Float(1.0)));
  EXPECT_EQ(*KeyCode(Value::Int(1)), *KeyCode(Value::Bool(true)));
  EXPECT_NE(*KeyCode(Value::Int(1)), *KeyCode(Value::Float(1.5)));
  EXPECT_NE(*KeyCode(Value()), *KeyCode(Value::Missing("x")));
}

TEST(JinjaTimeTest, FormatsAsStrftimeOfAnEnglishCalendar) {
  using std::chrono::local_days, std::chrono::year;
  const auto time = local_days(year(2024) / 2 / 29) + std::chrono::hours(9) +
                    std::chrono::minutes(5);
  EXPECT_EQ(
      *FormatTime("%d %b %Y|%-d|%e|%B|%a|%j|%I:%M %p|%y|%%|%F %T|%Z|", time),
      "29 Feb 2024|29|29|February|Thu|060|09:05 AM|24|%|"
      "2024-02-29 09:05:00||");
  EXPECT_FALSE(FormatTime("%Q", time));
  EXPECT_FALSE(FormatTime(std::string(10'000, 'x'), time));
}

}  // namespace
}  // namespace aio::jinja
