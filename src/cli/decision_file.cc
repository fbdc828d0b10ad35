// SPDX-License-Identifier: Apache-2.0
#include "cli/decision_file.h"

#include <prometheus/counter.h>

#include <filesystem>
#include <utility>

namespace aio::cli {

namespace fs = std::filesystem;

Result<std::unique_ptr<DecisionFile>> DecisionFile::Open(Options options,
                                                         Metrics* metrics) {
  File file(std::fopen(options.path.c_str(), "ae"), std::fclose);
  if (file == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 "log.decisions: cannot write " + options.path,
                 "log.decisions"};
  }
  return std::unique_ptr<DecisionFile>(
      new DecisionFile(std::move(options), std::move(file), metrics));
}

DecisionFile::DecisionFile(Options options, File file, Metrics* metrics)
    : options_(std::move(options)),
      file_(std::move(file)),
      lost_(metrics->Counter("aio_decision_log_lost_total",
                             "Decision-log lines that were not written")) {
  std::error_code error;
  const auto size = fs::file_size(options_.path, error);
  if (!error) bytes_ = static_cast<int64_t>(size);
  Append(options_.head);
  thread_ = std::thread([this] { Run(); });
}

DecisionFile::~DecisionFile() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void DecisionFile::Write(std::string line) {
  {
    MutexLock lock(mutex_);
    if (lines_.size() >= options_.lines_max) return lost_->Increment();
    lines_.push_back(std::move(line));
  }
  wake_.notify_one();
}

void DecisionFile::Run() {
  for (;;) {
    std::deque<std::string> lines;
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && lines_.empty()) wake_.wait(mutex_);
      lines.swap(lines_);
      stopping = stopping_;
    }
    for (const std::string& line : lines) Put(line);
    if (file_ != nullptr) std::fflush(file_.get());
    if (stopping) return;
  }
}

void DecisionFile::Put(const std::string& line) {
  const auto more = static_cast<int64_t>(line.size()) + 1;
  if (bytes_ > 0 && bytes_ + more > options_.bytes_max / 2) Turn();
  if (!Append(line)) lost_->Increment();
}

bool DecisionFile::Append(const std::string& line) {
  if (file_ == nullptr) return false;
  const std::string text = line + "\n";
  const size_t written = std::fwrite(text.data(), 1, text.size(), file_.get());
  bytes_ += static_cast<int64_t>(written);
  return written == text.size() && std::fflush(file_.get()) == 0;
}

// Another file; what was there before the last one is gone.
void DecisionFile::Turn() {
  file_.reset();
  std::error_code error;
  fs::rename(options_.path, options_.path + ".1", error);
  file_ = File(std::fopen(options_.path.c_str(), "we"), std::fclose);
  bytes_ = 0;
  Append(options_.head);
}

}  // namespace aio::cli
