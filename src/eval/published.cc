// SPDX-License-Identifier: Apache-2.0
#include "eval/published.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <utility>

#include "eval/own_format.h"

namespace aio::eval {
namespace {

namespace json = boost::json;

// As OpenAI's simple-evals ask.
constexpr std::string_view kHumanEvalPrompt =
    "Read the following function signature and docstring, and fully implement "
    "the function described. Your response should only contain the code for "
    "this function.\n";
// As MBPP's authors ask (Austin et al. 2021, section 3): the tests tell the
// function's name.
constexpr std::string_view kMbppPrompt =
    "You are an expert Python programmer, and here is your task: ";
constexpr std::string_view kMbppTests =
    " Your code should pass these tests:\n\n";
constexpr std::string_view kGsm8kPrompt =
    "\nThink step by step, and end with a line \"#### \" and the number.";

Result<std::string> StringOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  if (value == nullptr) return WrongField(key, "is missing");
  if (!value->is_string()) return WrongField(key, "must be a string");
  const json::string& string = value->get_string();
  return std::string(string.data(), string.size());
}

// One string per line; absent: nothing.
Result<std::string> LinesOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  std::string lines;
  if (value == nullptr) return lines;
  if (!value->is_array()) return WrongField(key, "must be a list of strings");
  for (const json::value& entry : value->get_array()) {
    if (!entry.is_string()) return WrongField(key, "must be a list of strings");
    lines.append(entry.get_string().data(), entry.get_string().size());
    lines += '\n';
  }
  return lines;
}

Task NewTask(core::Label intent, Checker checker, std::string prompt) {
  Task task;
  task.intent = intent;
  task.checker = checker;
  task.messages = {{core::Role::kUser, std::move(prompt)}};
  return task;
}

Result<Task> HumanEval(const json::object& object) {
  ASSIGN_OR_RETURN(std::string prompt, StringOf(object, "prompt"));
  ASSIGN_OR_RETURN(const std::string test, StringOf(object, "test"));
  Task task =
      NewTask(core::Label::kCode, Checker::kPythonTests,
              std::string(kHumanEvalPrompt) + "```python\n" + prompt + "```\n");
  ASSIGN_OR_RETURN(task.id, StringOf(object, "task_id"));
  ASSIGN_OR_RETURN(task.entry_point, StringOf(object, "entry_point"));
  task.prefix = std::move(prompt);
  task.reference = test + "\ncheck(" + task.entry_point + ")\n";
  return task;
}

Result<Task> Mbpp(const json::object& object) {
  const json::value* number = object.if_contains("task_id");
  if (number == nullptr || !number->is_int64()) {
    return WrongField("task_id", "must be a whole number");
  }
  // The hand-checked part calls it `prompt`, the whole `text`.
  const bool checked = object.if_contains("text") == nullptr;
  ASSIGN_OR_RETURN(const std::string text,
                   StringOf(object, checked ? "prompt" : "text"));
  ASSIGN_OR_RETURN(const std::string tests, LinesOf(object, "test_list"));
  if (tests.empty()) return WrongField("test_list", "is empty");
  ASSIGN_OR_RETURN(const std::string imports, LinesOf(object, "test_imports"));
  std::string setup;
  if (object.if_contains("test_setup_code") != nullptr) {
    ASSIGN_OR_RETURN(setup, StringOf(object, "test_setup_code"));
  }
  Task task = NewTask(
      core::Label::kCode, Checker::kPythonTests,
      std::string(kMbppPrompt) + text + std::string(kMbppTests) + tests);
  task.id = (checked ? "mbpp-sanitized/" : "mbpp/") +
            std::to_string(number->get_int64());
  // After the answer: it builds objects of the answer's classes.
  task.reference = imports + setup + "\n" + tests;
  return task;
}

Result<Task> Gsm8k(const json::object& object, size_t line) {
  ASSIGN_OR_RETURN(const std::string question, StringOf(object, "question"));
  ASSIGN_OR_RETURN(const std::string answer, StringOf(object, "answer"));
  const size_t mark = answer.rfind("####");
  if (mark == std::string::npos) {
    return WrongField("answer", "has no \"####\" before its number");
  }
  Task task = NewTask(core::Label::kMath, Checker::kNumber,
                      question + std::string(kGsm8kPrompt));
  task.id = "gsm8k/" + std::to_string(line);
  task.reference = answer.substr(mark + 4);
  std::erase(task.reference, ',');
  task.reference.erase(0, task.reference.find_first_not_of(' '));
  return task;
}

// A row of RFC 4180's CSV and the lines that it takes.
struct Row {
  std::vector<std::string> cells;
  size_t line;
};

// Reads one row after another; a quoted cell may hold line ends.
class Csv {
 public:
  explicit Csv(std::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ >= text_.size(); }
  size_t line() const { return line_; }

  // kCorrupt without the line's number, which line() then is.
  Result<Row> Next() {
    Row row{{}, line_};
    for (bool more = true; more;) {
      std::string cell;
      if (at_ < text_.size() && text_[at_] == '"') {
        RETURN_IF_ERROR(Quoted(&cell));
      } else {
        const size_t end =
            std::min(text_.find_first_of(",\r\n", at_), text_.size());
        cell = text_.substr(at_, end - at_);
        at_ = end;
      }
      row.cells.push_back(std::move(cell));
      more = at_ < text_.size() && text_[at_] == ',';
      if (more) ++at_;
    }
    if (!AtEnd() && text_[at_] == '\r') ++at_;
    if (!AtEnd() && text_[at_] != '\n') {
      return Error{ErrorCode::kCorrupt,
                   "something follows the closing quote of a cell", ""};
    }
    ++at_;
    ++line_;
    return row;
  }

 private:
  Result<void> Quoted(std::string* cell) {
    const size_t opened = line_;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"' && text_.substr(at_, 2) != "\"\"") {
        ++at_;
        return {};
      }
      if (text_[at_] == '"') ++at_;  // two stand for one
      if (text_[at_] == '\n') ++line_;
      cell->push_back(text_[at_]);
    }
    line_ = opened;
    return Error{ErrorCode::kCorrupt,
                 "a quoted cell is not closed; is the file cut off?", ""};
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
};

// "abstract algebra" for "abstract_algebra_test.csv".
std::string SubjectOf(const std::string& name) {
  std::string subject = std::filesystem::path(name).filename().string();
  subject = subject.substr(0, subject.find('.'));
  for (const std::string_view part : {"_test", "_val", "_dev"}) {
    if (subject.ends_with(part)) subject.resize(subject.size() - part.size());
  }
  std::replace(subject.begin(), subject.end(), '_', ' ');
  return subject;
}

Result<Task> MmluTask(const Row& row, const std::string& subject) {
  constexpr std::string_view kLetters = "ABCD";
  if (row.cells.size() != kLetters.size() + 2) {
    return Error{ErrorCode::kInvalidArgument,
                 "has " + std::to_string(row.cells.size()) +
                     " cells, not 6: question, A, B, C, D, letter",
                 ""};
  }
  const std::string& letter = row.cells.back();
  if (letter.size() != 1 || kLetters.find(letter) == std::string_view::npos) {
    return Error{ErrorCode::kInvalidArgument,
                 "the last cell must be A, B, C or D, not '" +
                     letter.substr(0, 20) + "'",
                 ""};
  }
  // The words of Hendrycks et al. 2021.
  std::string prompt =
      "The following is a multiple choice question (with answer) about " +
      subject + ".\n\n" + row.cells.front() + "\n";
  for (size_t i = 0; i < kLetters.size(); ++i) {
    prompt += std::string(1, kLetters[i]) + ". " + row.cells[i + 1] + "\n";
  }
  Task task = NewTask(core::Label::kQa, Checker::kChoice, prompt + "Answer:");
  task.reference = letter;
  return task;
}

}  // namespace

std::string_view Name(Format format) {
  switch (format) {
    case Format::kOwn:
      return "A-IO";
    case Format::kHumanEval:
      return "HumanEval";
    case Format::kMbpp:
      return "MBPP";
    case Format::kGsm8k:
      return "GSM8K";
  }
  return "";
}

Format FormatOf(const json::object& object) {
  const auto has = [&](const char* key) {
    return object.if_contains(key) != nullptr;
  };
  if (has("checker") || has("intent")) return Format::kOwn;
  if (has("task_id") && has("test_list")) return Format::kMbpp;
  if (has("task_id") && has("test")) return Format::kHumanEval;
  if (has("question") && has("answer")) return Format::kGsm8k;
  return Format::kOwn;
}

Result<Task> PublishedTask(Format format, const json::object& object,
                           size_t line) {
  switch (format) {
    case Format::kHumanEval:
      return HumanEval(object);
    case Format::kMbpp:
      return Mbpp(object);
    default:
      return Gsm8k(object, line);
  }
}

Result<std::vector<Task>> ParseMmlu(const std::string& name,
                                    std::string_view text) {
  const std::string subject = SubjectOf(name);
  const auto located = [&](Error error, size_t line) {
    error.message = name + ":" + std::to_string(line) + ": " + error.message;
    return error;
  };
  std::vector<Task> tasks;
  for (Csv csv(text); !csv.AtEnd();) {
    auto row = csv.Next();
    if (!row) return located(std::move(row).error(), csv.line());
    if (row->cells == std::vector<std::string>{""}) continue;  // an empty line
    auto task = MmluTask(*row, subject);
    if (!task) return located(std::move(task).error(), row->line);
    task->id = "mmlu/" + subject + "/" + std::to_string(tasks.size() + 1);
    tasks.push_back(*std::move(task));
  }
  return tasks;
}

}  // namespace aio::eval
