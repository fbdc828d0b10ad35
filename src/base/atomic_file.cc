// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace aio {

Error WriteError(const std::string& path, int error) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM || error == EROFS) {
    code = ErrorCode::kDenied;
  }
  return {
      code,
      "cannot write " + path + ": " + std::generic_category().message(error),
      ""};
}

namespace {

// So that the new name itself is on the disk. Some file systems refuse to
// flush a folder; the file's bytes are safe by then, so that is no error.
void FlushFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

constexpr char kTemporary[] = ".tmp-";

// False if RemoveLeftovers of another process took the file for a leftover
// before it was locked. A file system without locks has none to ask either.
bool Lock(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  struct stat status;
  return fstat(fd, &status) != 0 || status.st_nlink > 0;
}

}  // namespace

struct AtomicFile::State {
  std::string path;
  std::string temporary;
  int fd = -1;
  bool committed = false;

  ~State() {
    if (fd >= 0) close(fd);
    if (!committed && !temporary.empty()) unlink(temporary.c_str());
  }
};

AtomicFile::AtomicFile(std::unique_ptr<State> state)
    : state_(std::move(state)) {}

AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

Result<AtomicFile> AtomicFile::Create(const std::string& path) {
  // Not mkstemp, whose files nobody else may read: open() heeds the umask.
  static std::atomic<uint64_t> serial{0};
  for (;;) {
    std::string temporary = path + kTemporary + std::to_string(getpid()) + "-" +
                            std::to_string(serial.fetch_add(1));
    const int fd =
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return WriteError(path, errno);
    if (!Lock(fd)) {
      close(fd);
      continue;
    }
    auto state = std::make_unique<State>();
    state->path = path;
    state->temporary = std::move(temporary);
    state->fd = fd;
    return AtomicFile(std::move(state));
  }
}

void AtomicFile::RemoveLeftovers(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path target(path);
  const std::string prefix = target.filename().string() + kTemporary;
  const fs::path folder = target.has_parent_path() ? target.parent_path() : ".";
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const int fd = open(it->path().c_str(),
                        O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(it->path().c_str());
    close(fd);
  }
}

Result<void> AtomicFile::Append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(state_->fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return WriteError(state_->path, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> AtomicFile::Commit() {
  if (fsync(state_->fd) != 0) return WriteError(state_->path, errno);
  // close() reports writes that a network file system had put off; the lock
  // stays until the file has its name.
  const int lock = dup(state_->fd);
  int error = close(std::exchange(state_->fd, -1)) == 0 ? 0 : errno;
  if (error == 0 &&
      rename(state_->temporary.c_str(), state_->path.c_str()) != 0) {
    error = errno;
  }
  if (lock >= 0) close(lock);
  if (error != 0) return WriteError(state_->path, error);
  state_->committed = true;
  FlushFolderOf(state_->path);
  return {};
}

}  // namespace aio
