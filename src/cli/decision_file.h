// SPDX-License-Identifier: Apache-2.0
//
// The decision log's file: lines are handed over and written by a thread of its
// own, so a slow disk holds up no request. Bounded twice: lines that wait, and
// bytes on disk, of which the older half is given up.
//
// Thread safety: Write from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "base/metrics.h"
#include "base/mutex.h"
#include "base/result.h"

namespace aio::cli {

class DecisionFile {
 public:
  struct Options {
    std::string path;
    std::string head;  // the first line of each file, and of each start
    int64_t bytes_max = int64_t{256} << 20;  // of two files: PATH.1 is older
    size_t lines_max = 4096;                 // that wait to be written
  };

  // Appends. kInvalidArgument if the file cannot be written.
  static Result<std::unique_ptr<DecisionFile>> Open(Options options,
                                                    Metrics* metrics);
  // Writes what waits.
  ~DecisionFile();

  // A line without its end. One too many, or one that the disk does not take,
  // is lost and counted.
  void Write(std::string line);

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

  DecisionFile(Options options, File file, Metrics* metrics);
  void Run();
  void Put(const std::string& line);
  bool Append(const std::string& line);
  void Turn();

  const Options options_;
  File file_;
  int64_t bytes_ = 0;  // of this file
  prometheus::Counter* lost_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::string> lines_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace aio::cli
