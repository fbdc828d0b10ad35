// SPDX-License-Identifier: Apache-2.0
#include "eval/routing_data.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "eval/csv.h"
#include "eval/task_bytes.h"

namespace aio::eval {
namespace {

namespace fs = std::filesystem;

constexpr size_t kColumns = 3;  // that are read: prompt, weak, strong

Error At(const std::string& file, int line, const std::string& what) {
  return {ErrorCode::kCorrupt, file + ":" + std::to_string(line) + ": " + what,
          ""};
}

std::optional<bool> Truth(const std::string& field) {
  if (field == "True") return true;
  if (field == "False") return false;
  return std::nullopt;
}

Result<void> CheckHeader(const std::string& file, const CsvRow& header,
                         RoutingData* data) {
  const auto& names = header.fields;
  if (names.size() < kColumns || names[0] != "prompt") {
    return At(file, 1, "the columns must be prompt, a weak and a strong model");
  }
  if (data->weak.empty()) {
    data->weak = names[1];
    data->strong = names[2];
  }
  if (data->weak == names[1] && data->strong == names[2]) return {};
  return Error{ErrorCode::kInvalidArgument,
               file + ":1: is about " + names[1] + " and " + names[2] +
                   ", the files before about " + data->weak + " and " +
                   data->strong,
               ""};
}

Result<void> AddFile(const fs::path& path, RoutingSource source,
                     size_t* prompt_bytes, RoutingData* data) {
  const std::string file = path.string();
  ASSIGN_OR_RETURN(const std::string bytes, ReadTaskFile(file));
  ASSIGN_OR_RETURN(auto rows, ParseCsv(bytes, file));
  if (rows.empty()) return At(file, 1, "is empty");
  RETURN_IF_ERROR(CheckHeader(file, rows[0], data));
  for (size_t i = 1; i < rows.size(); ++i) {
    auto& fields = rows[i].fields;
    const auto weak = Truth(fields[1]), strong = Truth(fields[2]);
    if (!weak || !strong) {
      return At(file, rows[i].line,
                "'" + fields[weak ? 2 : 1].substr(0, 40) +
                    "' is neither True nor False");
    }
    *prompt_bytes += fields[0].size();
    if (*prompt_bytes > kRoutingBytesMax) {
      return Error{ErrorCode::kInvalidArgument,
                   file + ": more than 256 MiB of prompts", ""};
    }
    data->questions.push_back(
        {source, path.stem().string(), std::move(fields[0]), *weak, *strong});
  }
  return {};
}

// The .csv files of a folder by name; none if there is no such folder.
Result<std::vector<fs::path>> FilesOf(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  if (!fs::exists(folder, error)) return files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() != ".csv") continue;
    if (files.size() == kRoutingFilesMax) {
      return Error{ErrorCode::kInvalidArgument,
                   folder.string() + ": more than 1000 files", ""};
    }
    files.push_back(it->path());
  }
  if (error) {
    return Error{ErrorCode::kUnavailable,
                 folder.string() + ": " + error.message(), ""};
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

Result<RoutingData> LoadRoutingData(const std::string& folder) {
  RoutingData data;
  size_t prompt_bytes = 0;
  ASSIGN_OR_RETURN(const auto files, FilesOf(fs::path(folder) / "mmlu"));
  for (const fs::path& file : files) {
    RETURN_IF_ERROR(AddFile(file, RoutingSource::kMmlu, &prompt_bytes, &data));
  }
  const fs::path gsm8k = fs::path(folder) / "gsm8k_responses.csv";
  std::error_code error;
  if (fs::exists(gsm8k, error)) {
    RETURN_IF_ERROR(
        AddFile(gsm8k, RoutingSource::kGsm8k, &prompt_bytes, &data));
  }
  if (!data.questions.empty()) return data;
  return Error{ErrorCode::kNotFound,
               folder + ": no questions in mmlu/*.csv or gsm8k_responses.csv",
               ""};
}

}  // namespace aio::eval
