// SPDX-License-Identifier: Apache-2.0
#include "eval/task.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <exception>
#include <filesystem>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "eval/checker.h"
#include "eval/own_format.h"
#include "eval/published.h"
#include "eval/task_bytes.h"

namespace aio::eval {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr int kDepthMax = 16;
constexpr size_t kIdBytesMax = 256;
// A list is parsed as a whole, into several times its size.
constexpr size_t kListBytesMax = size_t{32} << 20;

constexpr std::array<std::string_view, 6> kCheckerNames = {
    "exact", "number", "choice", "contains", "python-tests", "regex"};

Error Invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), ""};
}

Error Located(const std::string& place, Error error) {
  error.message = place + ": " + error.message;
  return error;
}

Result<json::value> ParseJson(std::string_view text) {
  json::parse_options options;
  options.max_depth = kDepthMax;
  // Boost.JSON throws on sizes past its own limits.
  try {
    boost::system::error_code failed;
    json::value value =
        json::parse({text.data(), text.size()}, failed, {}, options);
    if (!failed) return value;
    return Error{ErrorCode::kCorrupt, "not JSON: " + failed.message(), ""};
  } catch (const std::exception& e) {
    return Error{ErrorCode::kCorrupt, std::string("not JSON: ") + e.what(), ""};
  }
}

// What every task must fulfil, whatever file it came from.
Result<void> CheckTask(const Task& task) {
  if (task.id.empty() || task.id.size() > kIdBytesMax) {
    return WrongField("id", "must have 1 to 256 bytes");
  }
  const bool plain = std::none_of(task.id.begin(), task.id.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (!plain) return WrongField("id", "has a control character");
  const auto identifier = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
  };
  if (!std::all_of(task.entry_point.begin(), task.entry_point.end(),
                   identifier)) {
    return WrongField("entry_point", "must be the name of a function");
  }
  const auto fits = CheckReference(task.checker, task.reference);
  if (!fits) return WrongField("reference", fits.error().message);
  return {};
}

// Tasks and where each stands.
struct Batch {
  std::vector<Task> tasks;
  std::vector<std::string> places;  // "file:line"
};

// One file's tasks, each from one object.
class FileParser {
 public:
  explicit FileParser(const std::string& name) : name_(name) {}

  Result<Batch> Lines(std::string_view text) {
    const bool ended = text.ends_with('\n');
    for (size_t line = 1; !text.empty(); ++line) {
      const size_t end = std::min(text.find('\n'), text.size());
      std::string_view row = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const std::string place = name_ + ":" + std::to_string(line);
      const auto added = Row(row, line, place);
      if (added) continue;
      const bool cut_off =
          text.empty() && !ended && added.error().code == ErrorCode::kCorrupt;
      if (!cut_off) return Located(place, added.error());
      return Error{ErrorCode::kCorrupt,
                   place + ": the last line is cut off (" +
                       added.error().message + "); was it still being written?",
                   ""};
    }
    return std::move(batch_);
  }

  // A file that is one list of objects.
  Result<Batch> List(std::string_view text) {
    auto list = ParseJson(text);
    if (!list) return Located(name_, std::move(list).error());
    const json::array* entries = list->if_array();
    if (entries == nullptr) return Located(name_, Invalid("must be a list"));
    for (size_t i = 0; i < entries->size(); ++i) {
      const std::string place = name_ + ": entry " + std::to_string(i + 1);
      const auto added = Add((*entries)[i], i + 1, place);
      if (!added) return Located(place, added.error());
    }
    return std::move(batch_);
  }

 private:
  Result<void> Row(std::string_view row, size_t line,
                   const std::string& place) {
    if (row.size() > kTaskLineBytesMax) {
      return Invalid("the line is longer than 4 MiB");
    }
    if (!IsValidUtf8(row)) {
      return Error{ErrorCode::kCorrupt, "not valid UTF-8", ""};
    }
    ASSIGN_OR_RETURN(const json::value value, ParseJson(row));
    return Add(value, line, place);
  }

  Result<void> Add(const json::value& value, size_t number,
                   const std::string& place) {
    const json::object* object = value.if_object();
    if (object == nullptr) return Invalid("a task must be a JSON object");
    const Format format = FormatOf(*object);
    if (batch_.tasks.empty()) format_ = format;
    if (format != format_) {
      return Invalid("has the fields of " + std::string(Name(format)) +
                     ", but the file began as " + std::string(Name(format_)));
    }
    ASSIGN_OR_RETURN(Task task, format == Format::kOwn
                                    ? OwnTask(*object)
                                    : PublishedTask(format, *object, number));
    RETURN_IF_ERROR(CheckTask(task));
    batch_.tasks.push_back(std::move(task));
    batch_.places.push_back(place);
    return {};
  }

  const std::string& name_;
  Format format_ = Format::kOwn;
  Batch batch_;
};

Result<void> CheckIds(const Batch& batch) {
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < batch.tasks.size(); ++i) {
    const auto [first, added] = seen.emplace(batch.tasks[i].id, i);
    if (added) continue;
    return Invalid(batch.places[i] + ": id '" + batch.tasks[i].id +
                   "' was given at " + batch.places[first->second] +
                   " already");
  }
  return {};
}

Result<Batch> ParseText(const std::string& name, std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return Invalid(name + ": the file is empty");
  }
  const bool csv = name.ends_with(".csv");
  const bool list = text[first] == '[';
  if (!csv && !list) return FileParser(name).Lines(text);
  if (!IsValidUtf8(text)) {
    return Error{ErrorCode::kCorrupt, name + ": not valid UTF-8", ""};
  }
  if (!csv && text.size() > kListBytesMax) {
    return Invalid(name + ": a list larger than 32 MiB; write JSON Lines");
  }
  if (!csv) return FileParser(name).List(text);
  Batch batch;
  ASSIGN_OR_RETURN(batch.tasks, ParseMmlu(name, text));
  batch.places.assign(batch.tasks.size(), name);
  return batch;
}

Result<Batch> ParseBytes(const std::string& name, std::string_view bytes) {
  std::string unzipped;
  if (IsGzip(bytes)) {
    auto text = Unzip(bytes);
    if (!text) return Located(name, std::move(text).error());
    unzipped = *std::move(text);
    bytes = unzipped;
  }
  ASSIGN_OR_RETURN(Batch batch, ParseText(name, bytes));
  if (batch.tasks.empty()) return Invalid(name + ": holds no task");
  return batch;
}

Result<std::vector<std::string>> FilesIn(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code failed;
  fs::directory_iterator at(folder, failed);
  for (; !failed && at != fs::directory_iterator(); at.increment(failed)) {
    const std::string file = at->path().string();
    const bool ours = file.ends_with(".jsonl") || file.ends_with(".jsonl.gz") ||
                      file.ends_with(".csv");
    std::error_code ignored;
    if (ours && !at->is_directory(ignored)) files.push_back(file);
  }
  if (failed) {
    return Error{ErrorCode::kUnavailable, folder + ": " + failed.message(), ""};
  }
  if (files.empty()) {
    return Error{ErrorCode::kNotFound,
                 folder + ": no *.jsonl, *.jsonl.gz or *.csv in it", ""};
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string_view Name(Checker checker) {
  return kCheckerNames[static_cast<size_t>(checker)];
}

std::optional<Checker> CheckerNamed(std::string_view name) {
  for (size_t i = 0; i < kCheckerNames.size(); ++i) {
    if (kCheckerNames[i] == name) return static_cast<Checker>(i);
  }
  return std::nullopt;
}

Result<std::vector<Task>> ParseTasks(const std::string& name,
                                     std::string_view bytes) {
  ASSIGN_OR_RETURN(Batch batch, ParseBytes(name, bytes));
  RETURN_IF_ERROR(CheckIds(batch));
  return std::move(batch.tasks);
}

Result<std::vector<Task>> LoadTasks(const std::string& path) {
  std::vector<std::string> files = {path};
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    ASSIGN_OR_RETURN(files, FilesIn(path));
  }
  Batch all;
  for (const std::string& file : files) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadTaskFile(file));
    ASSIGN_OR_RETURN(Batch batch, ParseBytes(file, bytes));
    std::move(batch.tasks.begin(), batch.tasks.end(),
              std::back_inserter(all.tasks));
    std::move(batch.places.begin(), batch.places.end(),
              std::back_inserter(all.places));
  }
  RETURN_IF_ERROR(CheckIds(all));
  return std::move(all.tasks);
}

}  // namespace aio::eval
