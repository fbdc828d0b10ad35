// SPDX-License-Identifier: Apache-2.0
#include "base/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace aio {

Error ReadError(const std::string& path, int error) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM) code = ErrorCode::kDenied;
  return {code, path + ": " + std::generic_category().message(error), ""};
}

Result<int> OpenRegularFile(const std::string& path) {
  // O_NONBLOCK, or opening a pipe would wait for its writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ReadError(path, errno);
  struct stat status;
  const int error = fstat(fd, &status) == 0 ? 0 : errno;
  if (error == 0 && S_ISREG(status.st_mode)) return fd;
  close(fd);
  if (error != 0) return ReadError(path, error);
  return Error{ErrorCode::kInvalidArgument, path + ": not a regular file", ""};
}

}  // namespace aio
