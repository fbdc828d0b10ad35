// SPDX-License-Identifier: Apache-2.0
#include "eval/task_bytes.h"

#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <vector>

#include "base/regular_file.h"
#include "eval/task.h"

namespace aio::eval {
namespace {

Error TooLarge() {
  return {ErrorCode::kInvalidArgument, "larger than 256 MiB; split it", ""};
}

Result<std::string> ReadAll(const std::string& path, int fd) {
  std::string bytes;
  std::vector<char> buffer(size_t{1} << 16);
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ReadError(path, errno);
    if (n == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(n));
    if (bytes.size() <= kTaskFileBytesMax) continue;
    Error error = TooLarge();
    error.message = path + ": " + error.message;
    return error;
  }
}

}  // namespace

Result<std::string> ReadTaskFile(const std::string& path) {
  ASSIGN_OR_RETURN(const int fd, OpenRegularFile(path));
  auto bytes = ReadAll(path, fd);
  close(fd);
  return bytes;
}

bool IsGzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

Result<std::string> Unzip(std::string_view bytes) {
  if (bytes.size() > kTaskFileBytesMax) return TooLarge();  // and fits a uInt
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) {
    return Error{ErrorCode::kInternal, "zlib does not start", ""};
  }
  // zlib promises not to write to its input.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string text;
  std::vector<char> buffer(size_t{1} << 16);
  int state = Z_OK;
  while (state == Z_OK && text.size() <= kTaskFileBytesMax) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    state = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer.data(), buffer.size() - stream.avail_out);
    // A file may be several compressed ones, one after another.
    if (state == Z_STREAM_END && stream.avail_in > 0) {
      state = inflateReset(&stream);
    }
  }
  inflateEnd(&stream);
  if (text.size() > kTaskFileBytesMax) return TooLarge();
  if (state == Z_STREAM_END) return text;
  return Error{ErrorCode::kCorrupt,
               state == Z_BUF_ERROR ? "the gzip file is cut off"
                                    : "the gzip file is damaged",
               ""};
}

}  // namespace aio::eval
