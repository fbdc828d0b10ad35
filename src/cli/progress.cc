// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <utility>

namespace aio::cli {
namespace {

constexpr double kQuietSeconds = 2;
constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 10;
constexpr int kBarColumns = 24;

}  // namespace

std::string ClockText(double seconds) {
  const auto s = static_cast<int64_t>(std::max(0.0, seconds) + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

Progress::Progress(int done, int total)
    : terminal_(isatty(STDERR_FILENO) == 1),
      begin_(std::chrono::steady_clock::now()),
      before_(done),
      total_(total),
      done_(done) {}

Progress::~Progress() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
}

std::string Progress::Line(double seconds, const std::string& note) const {
  const double rate = (done_ - before_) / seconds;
  return fmt::format("{}/{} {}, {:.1f}/s, {} left", done_, total_, note, rate,
                     ClockText((total_ - done_) / rate));
}

void Progress::Reach(int done, const std::string& note) {
  done_ = done;
  const double seconds = Seconds(std::chrono::steady_clock::now() - begin_);
  const double wait = !terminal_      ? kLineSeconds
                      : shown_ == 0.0 ? kQuietSeconds
                                      : kRedrawSeconds;
  if (seconds < kQuietSeconds || seconds - shown_ < wait) return;
  shown_ = seconds;
  if (!terminal_) {
    std::cerr << Line(seconds, note) << std::endl;
    return;
  }
  const int full =
      static_cast<int>(int64_t{kBarColumns} * done_ / std::max(1, total_));
  std::cerr << "\r[" << std::string(full, '#')
            << std::string(kBarColumns - full, '.') << "] "
            << Line(seconds, note) << "\x1b[K" << std::flush;
  drawn_ = true;
}

std::function<void(int64_t, int64_t)> ShowLoading(std::string name) {
  constexpr int64_t kMega = 1'000'000;
  return [note = "MB of " + std::move(name), bar = std::shared_ptr<Progress>()](
             int64_t done, int64_t total) mutable {
    if (!bar) bar = std::make_shared<Progress>(0, int(total / kMega));
    bar->Reach(static_cast<int>(done / kMega), note);
    if (done == total) bar.reset();
  };
}

}  // namespace aio::cli
