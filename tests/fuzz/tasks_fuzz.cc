// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a task file. The first byte says whether they pass as CSV. What
// is accepted keeps its promises, and can be checked against any answer without
// an error; what is refused says in which file.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "eval/checker.h"
#include "eval/task.h"

namespace {

using aio::eval::Checker;
using aio::eval::Task;

void Ask(const Task& task) {
  CHECK(!task.id.empty() && aio::IsValidUtf8(task.id));
  CHECK(!task.messages.empty());
  CHECK(task.messages.back().role == aio::core::Role::kUser);
  CHECK(aio::IsValidUtf8(task.messages.back().content));
  CHECK(task.max_tokens >= 0);
  CHECK(aio::eval::CheckReference(task.checker, task.reference));
  for (const std::string& stop : task.stop) CHECK(!stop.empty());
  const std::string& prompt = task.messages.back().content;
  for (const std::string& answer : {task.reference, prompt, task.id}) {
    if (task.checker == Checker::kPythonTests) {
      const std::string program = aio::eval::PythonProgram(task, answer);
      CHECK(program.ends_with(task.reference));
      continue;
    }
    const auto verdict = aio::eval::Check(task, answer, nullptr);
    CHECK(verdict && verdict->right == verdict->why.empty());
    CHECK(verdict->why.find('\n') == std::string::npos);
  }
  // A reference is right as its own answer, where answers are like references.
  const bool own = task.checker == Checker::kExact ||
                   task.checker == Checker::kNumber ||
                   task.checker == Checker::kChoice;
  if (own) CHECK(aio::eval::Check(task, task.reference, nullptr)->right);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1,
                               size - 1);
  const std::string name = data[0] % 2 == 0 ? "t.jsonl" : "t.csv";
  const auto tasks = aio::eval::ParseTasks(name, bytes);
  if (!tasks) {
    CHECK(tasks.error().message.starts_with(name));
    return 0;
  }
  CHECK(!tasks->empty());
  std::set<std::string> ids;
  for (const Task& task : *tasks) {
    CHECK(ids.insert(task.id).second);
    if (ids.size() <= 4) Ask(task);
  }
  return 0;
}
