// SPDX-License-Identifier: Apache-2.0
#include "upstream/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "upstream/exchange.h"

namespace aio::upstream {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kLineBytesMax = 4096;
constexpr Duration kWaitEvery = std::chrono::milliseconds(100);
constexpr Duration kAskEvery = std::chrono::milliseconds(500);
constexpr Duration kAnswer = std::chrono::seconds(2);

// Between fork and exec: nothing here may allocate. Ends the child.
[[noreturn]] void BecomeChild(pid_t parent, int output, char* const* words) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it has gone before that
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  for (const int signal : {SIGPIPE, SIGHUP, SIGTERM, SIGINT}) {
    ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(words[0], words);
  ::_exit(127);  // as shells say that there is no such command
}

// Its output goes to `output`. Everything else that is open here closes itself
// in the child (O_CLOEXEC, as Asio opens things).
pid_t Spawn(std::vector<std::string> words, int output) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) BecomeChild(parent, output, pointers.data());
  return child;
}

std::string WithPort(std::string text, int port) {
  constexpr std::string_view kPort = "{port}";
  for (size_t at = text.find(kPort); at != std::string::npos;
       at = text.find(kPort, at)) {
    text.replace(at, kPort.size(), std::to_string(port));
  }
  return text;
}

Endpoint Here(int port) {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = std::to_string(port);
  endpoint.authority = endpoint.host + ":" + endpoint.port;
  endpoint.literal = true;
  return endpoint;
}

}  // namespace

Duration Backoff::After(Duration lived) {
  if (lived >= good) again_ = 0;
  constexpr int kDoublingsMax = 20;
  const int doublings = std::min(again_++, kDoublingsMax);
  return std::min(longest, shortest * (int64_t{1} << doublings));
}

Process::Process(Options options, asio::any_io_executor io, Executor* clock,
                 Metrics* metrics)
    : options_(std::move(options)),
      strand_(asio::make_strand(io)),
      clock_(clock),
      metrics_(metrics),
      pool_(std::make_shared<Pool>(
          io, Pool::Options{Here(options_.port), nullptr, 0})),
      backoff_(options_.backoff) {
  pool_->SetAddresses({{asio::ip::make_address("127.0.0.1"),
                        static_cast<uint16_t>(options_.port)}});
}

void Process::Start(std::function<void(bool)> first) {
  asio::post(strand_, [self = shared_from_this(), first = std::move(first)] {
    self->first_ = first;
    asio::co_spawn(self->strand_, self->Run(), asio::detached);
  });
}

void Process::Stop(std::function<void()> done) {
  asio::post(strand_, [self = shared_from_this(), done = std::move(done)] {
    self->stopping_ = true;
    self->stopped_ = done;
    if (self->pid_ == 0) return self->HasStopped();
    self->Signal(SIGTERM);
    self->clock_->PostAt(
        self->clock_->Now() + self->options_.stop_timeout, [self] {
          asio::post(self->strand_, [self] { self->Signal(SIGKILL); });
        });
  });
}

void Process::Signal(int signal) const {
  if (pid_ > 0) ::kill(-pid_, signal);
}

void Process::HasStopped() {
  Tell(false);
  if (const auto stopped = std::exchange(stopped_, nullptr)) stopped();
}

void Process::Tell(bool ready) {
  if (const auto first = std::exchange(first_, nullptr)) first(ready);
}

void Process::Say(std::string_view line) const {
  Log(LogLevel::kInfo, "process",
      {{"name", options_.name}, {"says", std::string(line)}});
}

asio::awaitable<void> Process::Sleep(Duration duration) {
  co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(
      [this, duration](auto handler) {
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        clock_->PostAt(clock_->Now() + duration, [kept, strand = strand_] {
          asio::post(strand, [kept] { std::move (*kept)(); });
        });
      },
      asio::use_awaitable);
}

asio::awaitable<void> Process::Run() {
  const auto self = shared_from_this();
  while (!stopping_) {
    const Time begun = clock_->Now();
    co_await Live();
    if (stopping_) break;
    const Duration wait = backoff_.After(clock_->Now() - begun);
    Log(LogLevel::kWarning, "process ended",
        {{"name", options_.name},
         {"again_in_seconds", std::to_string(Seconds(wait))}});
    if (metrics_ != nullptr) {
      metrics_->Add("aio_process_restarts_total",
                    "Engines of ours that ended and are started again", 1,
                    {{"process", options_.name}});
    }
    co_await Sleep(wait);
  }
  HasStopped();
}

// From its start to its end.
asio::awaitable<void> Process::Live() {
  std::vector<std::string> words;
  for (const std::string& word : options_.command) {
    words.push_back(WithPort(word, options_.port));
  }
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) == 0) pid_ = Spawn(std::move(words), ends[1]);
  const int why = errno;
  ::close(ends[1]);
  if (pid_ <= 0) {
    pid_ = 0;
    ::close(ends[0]);
    Log(LogLevel::kError, "process cannot be started",
        {{"name", options_.name}, {"error", std::strerror(why)}});
    Tell(false);
    co_return;
  }
  ::setpgid(pid_, pid_);  // whoever of the two comes first
  Log(LogLevel::kInfo, "process started",
      {{"name", options_.name}, {"pid", std::to_string(pid_)}});
  const auto self = shared_from_this();
  asio::co_spawn(strand_, Read(self, asio::readable_pipe(strand_, ends[0])),
                 asio::detached);
  asio::co_spawn(strand_, WaitUntilReady(self, pid_), asio::detached);
  const int code = co_await Wait();
  ::kill(-pid_, SIGKILL);  // what it has left behind
  pid_ = 0;
  Log(LogLevel::kInfo, "process has ended",
      {{"name", options_.name},
       {"command", options_.command.front()},
       {"exit_code", std::to_string(code)}});
  Tell(false);
}

// Until it has ended: its exit code, or 128 and the signal that ended it.
asio::awaitable<int> Process::Wait() {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  std::optional<asio::posix::stream_descriptor> descriptor;
  if (fd >= 0) descriptor.emplace(strand_, fd);
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (!descriptor) {  // before Linux 5.3
      co_await Sleep(kWaitEvery);
      continue;
    }
    error_code ignored;
    co_await descriptor->async_wait(
        asio::posix::stream_descriptor::wait_read,
        asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

asio::awaitable<void> Process::Read(std::shared_ptr<Process>,
                                    asio::readable_pipe pipe) {
  std::array<char, kLineBytesMax> chunk;
  std::string line;
  error_code error;
  while (!error) {
    const size_t count = co_await pipe.async_read_some(
        asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
    for (size_t i = 0; i < count; ++i) {
      if (chunk[i] != '\n' && line.size() < kLineBytesMax) {
        line.push_back(chunk[i]);
        if (line.size() < kLineBytesMax) continue;
      }
      if (!line.empty()) Say(line);
      line.clear();
    }
  }
  if (!line.empty()) Say(line);
}

asio::awaitable<void> Process::WaitUntilReady(std::shared_ptr<Process>,
                                              pid_t pid) {
  const Time late = clock_->Now() + options_.ready_timeout;
  while (pid_ == pid && !stopping_) {
    bool ready = false;
    co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(
        [this, &ready](auto handler) {
          auto kept = std::make_shared<decltype(handler)>(std::move(handler));
          Ask([kept, &ready, strand = strand_](bool answer) {
            asio::post(strand, [kept, &ready, answer] {
              ready = answer;
              std::move (*kept)();
            });
          });
        },
        asio::use_awaitable);
    if (ready && pid_ == pid) {
      Log(LogLevel::kInfo, "process is ready", {{"name", options_.name}});
      Tell(true);
      co_return;
    }
    if (clock_->Now() >= late) {
      Log(LogLevel::kError, "process is not ready in time",
          {{"name", options_.name}});
      Tell(false);
    }
    co_await Sleep(kAskEvery);
  }
}

void Process::Ask(std::function<void(bool)> answer) {
  Call call;
  call.method = "GET";
  call.target = options_.ready;
  call.any_type = true;
  call.deadline = clock_->Now() + kAnswer;
  const auto exchange = std::make_shared<Exchange>(strand_, clock_, Limits(),
                                                   pool_, std::move(call));
  exchange->Listen([](std::string_view) -> Result<bool> { return true; },
                   [answer = std::move(answer)](const Ended& ended) {
                     answer(ended.status == 200);
                   });
  exchange->Start();
  clock_->PostAt(clock_->Now() + kAnswer,
                 [weak = std::weak_ptr<Exchange>(exchange), clock = clock_] {
                   if (const auto late = weak.lock()) {
                     late->Check(clock->Now());
                   }
                 });
}

void StartInOrder(std::vector<std::shared_ptr<Process>> processes,
                  std::function<void()> done) {
  if (processes.empty()) return done();
  const std::shared_ptr<Process> first = processes.front();
  processes.erase(processes.begin());
  first->Start(
      [rest = std::move(processes), done](bool) { StartInOrder(rest, done); });
}

}  // namespace aio::upstream
