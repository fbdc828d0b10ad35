// SPDX-License-Identifier: Apache-2.0
#include "eval/results_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/mapped_file.h"

namespace aio::eval {
namespace {

// How every results file begins, whatever its version.
constexpr std::string_view kMagic = "{\"aio_eval\":";

Error Refuse(const std::string& path, const std::string& why) {
  return {ErrorCode::kInvalidArgument, path + ": " + why, ""};
}

std::string Missing(const std::string& value) {
  return value.empty() ? "absent" : "'" + value + "'";
}

// What differs, in the first place found; empty: nothing.
std::string Difference(const Header& file, const Header& run) {
  if (file.tasks_hash != run.tasks_hash) {
    return "the results are of another task set (" +
           std::to_string(file.tasks) + " tasks, hash " + file.tasks_hash +
           "; now " + std::to_string(run.tasks) + " tasks, hash " +
           run.tasks_hash + ")";
  }
  for (const auto& [contender, fingerprint] : run.fingerprints) {
    const auto it = file.fingerprints.find(contender);
    if (it != file.fingerprints.end() && it->second != fingerprint) {
      return "the results are of another model: '" + contender + "' was " +
             it->second + " and is " + fingerprint;
    }
  }
  std::map<std::string, std::string> before = file.settings;
  for (const auto& [key, value] : run.settings) {
    if (before[key] != value) {
      return "the results were made with another setting: " + key + " was " +
             Missing(before[key]) + " and is '" + value + "'";
    }
    before.erase(key);
  }
  if (!before.empty()) {
    const auto& [key, value] = *before.begin();
    return "the results were made with another setting: " + key + " was '" +
           value + "' and is absent";
  }
  return "";
}

}  // namespace

struct ResultsFile::State {
  std::string path;
  int fd = -1;
  bool regular = false;
  off_t size = 0;  // of whole lines
  std::vector<Record> found;
  std::set<std::string> contenders;  // that its headers name
  int session = 0;

  ~State() {
    if (fd >= 0) close(fd);
  }

  Result<void> OpenFile();
  // Reads the file; false if it has no header yet.
  Result<bool> Read(const Header& header);
  Result<void> ReadHeader(std::string_view line, const Header& header);
  Result<void> ReadRecord(std::string_view line);
  Result<void> ReadLines(std::string_view text, const Header& header);
  Result<void> Write(std::string_view text);
};

Result<void> ResultsFile::State::OpenFile() {
  fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return WriteError(path, errno);
  struct stat status {};
  if (fstat(fd, &status) != 0) return WriteError(path, errno);
  regular = S_ISREG(status.st_mode);
  if (regular && flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return Error{ErrorCode::kUnavailable,
                 path + ": another run is writing to it", ""};
  }
  return {};
}

Result<bool> ResultsFile::State::Read(const Header& header) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::string_view text(
      reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const std::string ours = HeaderLine(header);
  // Also a header that was being written when the disk was full.
  if (ours.size() > text.size() && ours.starts_with(text)) return false;
  if (!text.starts_with(kMagic)) {
    return Refuse(path, "is no results file of `aio eval`; it stays as it is");
  }
  RETURN_IF_ERROR(ReadLines(text, header));
  return true;
}

Result<void> ResultsFile::State::ReadHeader(std::string_view line,
                                            const Header& header) {
  auto before = ParseHeader(line);
  if (!before) {
    return Error{ErrorCode::kCorrupt,
                 before.error().message + "; --restart begins the file anew",
                 ""};
  }
  const std::string difference = Difference(*before, header);
  if (!difference.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 difference +
                     "; name another file with --out, or begin this "
                     "one anew with --restart",
                 ""};
  }
  for (const auto& [contender, unused] : before->fingerprints) {
    contenders.insert(contender);
  }
  return {};
}

Result<void> ResultsFile::State::ReadRecord(std::string_view line) {
  auto record = ParseRecord(line);
  if (!record) {
    return Error{ErrorCode::kCorrupt,
                 record.error().message +
                     "; mend or remove the line, or begin the file anew with "
                     "--restart",
                 ""};
  }
  session = std::max(session, record->session + 1);
  found.push_back(*std::move(record));
  return {};
}

// A header stands first, and again wherever a later run brought contenders that
// were not in it.
Result<void> ResultsFile::State::ReadLines(std::string_view text,
                                           const Header& header) {
  size_t at = 0;
  for (int number = 1; at < text.size(); ++number) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) {
      if (number > 1) break;
      return Refuse(path, "the header is cut; --restart begins the file anew");
    }
    const std::string_view line = text.substr(at, end - at);
    Result<void> read =
        line.starts_with(kMagic) ? ReadHeader(line, header) : ReadRecord(line);
    if (!read) {
      Error error = std::move(read).error();
      error.message =
          path + ":" + std::to_string(number) + ": " + error.message;
      return error;
    }
    at = end + 1;
  }
  size = static_cast<off_t>(at);
  return {};
}

Result<void> ResultsFile::State::Write(std::string_view text) {
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t n = write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      // Without the piece that did fit, the file still ends with a whole line;
      // if even that fails, the next run drops it.
      if (regular && ftruncate(fd, size) == 0) lseek(fd, size, SEEK_SET);
      return WriteError(path, error);
    }
    left.remove_prefix(static_cast<size_t>(n));
  }
  size += static_cast<off_t>(text.size());
  return {};
}

Result<ResultsFile> ResultsFile::Open(const std::string& path,
                                      const Header& header, bool restart) {
  auto state = std::make_unique<State>();
  state->path = path;
  RETURN_IF_ERROR(state->OpenFile());
  bool begun = false;
  if (state->regular) {
    auto read = state->Read(header);
    if (restart) {
      // Only what is ours may be thrown away.
      ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
      const std::string_view text(
          reinterpret_cast<const char*>(file.bytes().data()),
          file.bytes().size());
      if (!read && !text.starts_with(kMagic)) return read.error();
      state->found.clear();
      state->contenders.clear();
      state->session = 0;
      state->size = 0;
    } else if (!read) {
      return std::move(read).error();
    } else {
      begun = *read;
    }
    if (ftruncate(state->fd, state->size) != 0) return WriteError(path, errno);
    if (lseek(state->fd, state->size, SEEK_SET) < 0) {
      return WriteError(path, errno);
    }
  }
  for (const auto& [contender, unused] : header.fingerprints) {
    begun = begun && state->contenders.count(contender) > 0;
  }
  if (!begun) RETURN_IF_ERROR(state->Write(HeaderLine(header)));
  return ResultsFile(std::move(state));
}

ResultsFile::ResultsFile(std::unique_ptr<State> state)
    : state_(std::move(state)) {}
ResultsFile::ResultsFile(ResultsFile&&) noexcept = default;
ResultsFile& ResultsFile::operator=(ResultsFile&&) noexcept = default;
ResultsFile::~ResultsFile() = default;

const std::vector<Record>& ResultsFile::found() const { return state_->found; }
int ResultsFile::session() const { return state_->session; }

Result<void> ResultsFile::Append(const Record& record) {
  return state_->Write(RecordLine(record));
}

Result<void> ResultsFile::Flush() {
  if (state_->regular && fdatasync(state_->fd) != 0) {
    return WriteError(state_->path, errno);
  }
  return {};
}

}  // namespace aio::eval
