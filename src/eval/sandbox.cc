// SPDX-License-Identifier: Apache-2.0
#include "eval/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "eval/sandbox_child.h"
#include "eval/sandbox_view.h"

namespace aio::eval {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kTailBytes = size_t{64} << 10;
constexpr size_t kNoteBytesMax = 256;

std::string Reason(int error) { return std::generic_category().message(error); }

Error Unavailable(const std::string& what, int error) {
  return {ErrorCode::kUnavailable, what + ": " + Reason(error), ""};
}

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  // To 10 or higher, out of the way of those that the child gives out.
  bool MoveUp() {
    Fd high(fcntl(fd_, F_DUPFD_CLOEXEC, 10));
    std::swap(fd_, high.fd_);
    return fd_ >= 0;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read, write;
  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read = Fd(ends[0]);
    write = Fd(ends[1]);
    return read.MoveUp() && write.MoveUp();
  }
};

// A file in memory, to be read from its beginning.
Result<Fd> InputFile(std::string_view text) {
  Fd file(memfd_create("input", MFD_CLOEXEC));
  if (!file.open() || !file.MoveUp()) return Unavailable("memfd", errno);
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = write(file.get(), text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Unavailable("memfd", errno);
    at += static_cast<size_t>(n);
  }
  if (lseek(file.get(), 0, SEEK_SET) != 0) return Unavailable("memfd", errno);
  return file;
}

// The folder that a program without isolation starts in.
class TemporaryFolder {
 public:
  TemporaryFolder() = default;
  TemporaryFolder(TemporaryFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  bool Make() {
    std::error_code failed;
    std::string path = (fs::temp_directory_path(failed) / "aio-XXXXXX");
    if (failed || mkdtemp(path.data()) == nullptr) return false;
    path_ = std::move(path);
    return true;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<ResourceLimit> ResourceLimits(const Command& command,
                                          const Limits& limits) {
  const auto whole_seconds = static_cast<rlim_t>(
      std::chrono::ceil<std::chrono::seconds>(limits.time_max).count());
  std::vector<ResourceLimit> list = {
      {RLIMIT_CPU, whole_seconds + 1},
      {RLIMIT_AS, static_cast<rlim_t>(limits.memory_bytes_max)},
      {RLIMIT_FSIZE, static_cast<rlim_t>(limits.file_bytes_max)},
      {RLIMIT_NOFILE, 256},
      {RLIMIT_CORE, 0},
      {RLIMIT_MEMLOCK, 0},
      {RLIMIT_MSGQUEUE, 0},
  };
  // Counted per namespace; elsewhere it would count all that the user runs.
  if (command.isolation == Isolation::kNamespaces) {
    list.push_back(
        {RLIMIT_NPROC, static_cast<rlim_t>(limits.processes_max) + 1});
  }
  for (ResourceLimit& limit : list) {  // a lower one may not be raised
    rlimit now{};
    if (getrlimit(static_cast<__rlimit_resource>(limit.resource), &now) == 0) {
      limit.value = std::min(limit.value, now.rlim_max);
    }
  }
  return list;
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> list;
  for (std::string& string : *strings) list.push_back(string.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> Environment(const Command& command,
                                     const std::string& folder) {
  std::vector<std::string> list;
  if (command.keep_environment) {
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
      list.emplace_back(*at);
    }
    return list;
  }
  // One thread for each that a numeric library would start per core.
  return {"PATH=/usr/bin:/bin", "LANG=C.UTF-8",      "HOME=" + folder,
          "TMPDIR=" + folder,   "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"};
}

bool WriteFile(const std::string& path, std::string_view text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.open() && write(file.get(), text.data(), text.size()) ==
                            static_cast<ssize_t>(text.size());
}

// Which user outside the child's nobody is. Root, if it may, makes it the real
// nobody: 'n'; else it is the caller: 'c'; 0 if neither is allowed.
char MapIds(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  const std::string nobody = std::to_string(kNobody);
  const std::string both = "0 0 1\n" + nobody + " " + nobody + " 1\n";
  if (geteuid() == 0 && WriteFile(folder + "uid_map", both) &&
      WriteFile(folder + "gid_map", both)) {
    return 'n';
  }
  const auto only = [&](unsigned id) {
    return nobody + " " + std::to_string(id) + " 1\n";
  };
  WriteFile(folder + "setgroups", "deny");
  const bool mapped = WriteFile(folder + "uid_map", only(geteuid())) &&
                      WriteFile(folder + "gid_map", only(getegid()));
  return mapped ? 'c' : 0;
}

// All that the child is given, alive until it has ended.
class Launch {
 public:
  // kUnavailable if descriptors or space for files ran out.
  static Result<std::unique_ptr<Launch>> Prepare(const Command& command,
                                                 const Limits& limits);
  // Starts the child; an error if it did not come to be.
  Result<void> Start();
  // Until the program has ended, or a limit ends it.
  Result<Finished> Collect(const Limits& limits);

 private:
  struct Stream {
    Fd fd;
    std::string* text;
    size_t keep;
    bool tail;  // keep the last bytes, not the first
    int64_t total = 0;
  };

  Launch() = default;
  // What has come, up to 1 MiB, so that the others and the clock get their
  // turn; whether there may be more.
  bool ReadFrom(Stream* stream);
  // kExited while neither the time nor the output is past its limit.
  End Watch(const Limits& limits);
  int Reap();
  Result<void> ReadStatus(int wait_status);
  bool namespaces() const { return isolation_ == Isolation::kNamespaces; }

  Isolation isolation_ = Isolation::kNone;
  std::vector<std::string> argv_, environment_;
  std::vector<char*> argv_pointers_, environment_pointers_;
  std::optional<NamespaceView> view_;
  std::vector<ResourceLimit> resource_limits_;
  std::string tmp_options_;
  TemporaryFolder folder_;
  ChildPlan plan_;
  Fd input_;
  std::array<Pipe, 5> pipes_;  // descriptors 1, 2, 3; status; go
  std::array<Stream, 3> streams_;
  pid_t pid_ = -1;
  Fd pidfd_;
  Finished finished_;
};

Result<std::unique_ptr<Launch>> Launch::Prepare(const Command& command,
                                                const Limits& limits) {
  std::unique_ptr<Launch> launch(new Launch);
  ChildPlan& plan = launch->plan_;
  launch->isolation_ = command.isolation;
  plan.namespaces = launch->namespaces();
  const bool bubblewrap = command.isolation == Isolation::kBubblewrap;
  if (command.isolation == Isolation::kNone) {
    if (!launch->folder_.Make()) return Unavailable("temporary folder", errno);
    plan.folder = launch->folder_.path().c_str();
  } else if (bubblewrap) {
    plan.folder = "/";
  }
  ASSIGN_OR_RETURN(launch->input_, InputFile(command.input));
  for (Pipe& pipe : launch->pipes_) {
    if (!pipe.Open()) return Unavailable("pipe", errno);
  }
  launch->argv_ =
      bubblewrap ? BubblewrapArguments(command, limits) : command.argv;
  launch->environment_ = Environment(
      command, plan.namespaces || bubblewrap ? "/tmp" : plan.folder);
  launch->argv_pointers_ = Pointers(&launch->argv_);
  launch->environment_pointers_ = Pointers(&launch->environment_);
  launch->resource_limits_ = ResourceLimits(command, limits);
  launch->tmp_options_ =
      "mode=1777,nr_inodes=4096,size=" + std::to_string(limits.file_bytes_max);
  if (plan.namespaces) launch->view_.emplace(command.folders);
  plan.argv = launch->argv_pointers_.data();
  plan.environment = launch->environment_pointers_.data();
  if (launch->view_) plan.view = launch->view_->entries();
  plan.tmp_options = launch->tmp_options_.c_str();
  plan.limits = launch->resource_limits_;
  const auto& pipes = launch->pipes_;
  plan.descriptors = {launch->input_.get(), pipes[0].write.get(),
                      pipes[1].write.get(), pipes[2].write.get()};
  plan.status = pipes[3].write.get();
  plan.go = plan.namespaces ? pipes[4].read.get() : -1;
  return launch;
}

// As fork, but in new namespaces and with a descriptor of the child. No handler
// of ours may run in the child: it takes no signal until exec.
long Clone(bool namespaces, int* pidfd, sigset_t* before) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, before);
  const unsigned long apart = namespaces
                                  ? CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID |
                                        CLONE_NEWNET | CLONE_NEWIPC
                                  : 0;
  return syscall(SYS_clone, apart | CLONE_PIDFD, nullptr, pidfd, nullptr,
                 nullptr);
}

Result<void> Launch::Start() {
  int pidfd = -1;
  sigset_t before;
  const long pid = Clone(namespaces(), &pidfd, &before);
  if (pid == 0) RunChild(plan_);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0 && (error == EAGAIN || error == ENOMEM || !namespaces())) {
    return Unavailable("cannot start a process", error);
  }
  if (pid < 0) {
    return Error{ErrorCode::kUnsupported,
                 "the kernel refuses new namespaces: " + Reason(error), ""};
  }
  pid_ = static_cast<pid_t>(pid);
  pidfd_ = Fd(pidfd);
  input_.Close();
  for (size_t i = 0; i < 4; ++i) pipes_[i].write.Close();
  std::string* const texts[] = {&finished_.out, &finished_.err,
                                &finished_.note};
  for (size_t i = 0; i < streams_.size(); ++i) {
    const bool note = i == 2;
    streams_[i] = {std::move(pipes_[i].read), texts[i],
                   note ? kNoteBytesMax : kTailBytes, !note};
    fcntl(streams_[i].fd.get(), F_SETFL, O_NONBLOCK);
  }
  if (!namespaces()) return {};
  const char mapped = MapIds(pid_);
  if (mapped != 0 && write(pipes_[4].write.get(), &mapped, 1) == 1) return {};
  Reap();
  return Error{ErrorCode::kUnsupported,
               "the kernel refuses to map users into a namespace", ""};
}

bool Launch::ReadFrom(Stream* stream) {
  char buffer[16384];
  for (int turn = 0; turn < 64 && stream->fd.open(); ++turn) {
    const ssize_t n = read(stream->fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) {
      stream->fd.Close();
      return false;
    }
    stream->total += n;
    std::string& text = *stream->text;
    text.append(buffer, static_cast<size_t>(n));
    if (!stream->tail) text.resize(std::min(text.size(), stream->keep));
    if (text.size() > 2 * stream->keep) {
      text.erase(0, text.size() - stream->keep);
    }
  }
  return stream->fd.open();
}

End Launch::Watch(const Limits& limits) {
  const auto deadline = Clock::now() + limits.time_max;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return End::kTimedOut;
    std::array<pollfd, 4> waits;
    waits[0] = {pidfd_.get(), POLLIN, 0};
    for (size_t i = 0; i < streams_.size(); ++i) {
      waits[i + 1] = {streams_[i].fd.get(), POLLIN, 0};  // -1: ignored
    }
    const int most = static_cast<int>(std::min<int64_t>(left.count(), 60'000));
    if (poll(waits.data(), waits.size(), most) <= 0) continue;
    for (Stream& stream : streams_) {
      ReadFrom(&stream);
      if (stream.total > limits.output_bytes_max) return End::kOutputTooLong;
    }
    if (waits[0].revents != 0) return End::kExited;
  }
}

// Ends what still runs, and returns the child's status as wait() has it.
int Launch::Reap() {
  kill(-pid_, SIGKILL);  // its group: not isolated, it may leave others
  kill(pid_, SIGKILL);
  int status = SIGKILL;
  while (waitpid(pid_, &status, __WALL) < 0 && errno == EINTR) {
  }
  return status;
}

Result<void> Launch::ReadStatus(int wait_status) {
  ChildStatus status;
  const bool told = read(pipes_[3].read.get(), &status, sizeof(status)) ==
                    static_cast<ssize_t>(sizeof(status));
  if (told && status.kind == ChildStatus::Kind::kFailed) {
    const auto step = static_cast<Step>(status.step);
    const bool isolating = step <= Step::kDropRights;
    return Error{isolating ? ErrorCode::kUnsupported : ErrorCode::kUnavailable,
                 std::string(Name(step)) + ": " + Reason(status.value), ""};
  }
  // Nobody told: the kernel ended the first process, for want of memory.
  if (namespaces()) wait_status = told ? status.value : SIGKILL;
  if (WIFSIGNALED(wait_status)) {
    finished_.end = End::kSignal;
    finished_.code = WTERMSIG(wait_status);
  } else {
    finished_.code = WEXITSTATUS(wait_status);
  }
  // As a shell does, bubblewrap exits with 128 + the signal.
  const bool told_by_code = isolation_ == Isolation::kBubblewrap;
  if (told_by_code && finished_.code > 128 && finished_.code < 128 + NSIG) {
    finished_.end = End::kSignal;
    finished_.code -= 128;
  }
  return {};
}

Result<Finished> Launch::Collect(const Limits& limits) {
  const End end = Watch(limits);
  const int wait_status = Reap();
  for (Stream& stream : streams_) {
    while (ReadFrom(&stream) && stream.total <= limits.output_bytes_max) {
    }
    if (stream.tail && stream.text->size() > stream.keep) {
      stream.text->erase(0, stream.text->size() - stream.keep);
    }
  }
  finished_.end = end;
  if (end == End::kExited) RETURN_IF_ERROR(ReadStatus(wait_status));
  return std::move(finished_);
}

}  // namespace

std::string_view Name(Isolation isolation) {
  switch (isolation) {
    case Isolation::kNamespaces:
      return "namespaces";
    case Isolation::kBubblewrap:
      return "bubblewrap";
    case Isolation::kNone:
      return "none";
  }
  return "";
}

std::string FindProgram(const std::string& name) {
  const auto runs = [](const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) &&
           access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    return runs(name) ? fs::absolute(name).string() : "";
  }
  const char* path = std::getenv("PATH");
  const std::string_view folders = path == nullptr ? "/usr/bin:/bin" : path;
  for (size_t at = 0; at <= folders.size();) {
    const size_t colon = std::min(folders.find(':', at), folders.size());
    const fs::path candidate = fs::path(folders.substr(at, colon - at)) / name;
    if (candidate.is_absolute() && runs(candidate)) return candidate;
    at = colon + 1;
  }
  return "";
}

Result<Finished> RunCommand(const Command& command, const Limits& limits) {
  if (command.isolation == Isolation::kBubblewrap &&
      FindProgram("bwrap").empty()) {
    return Error{ErrorCode::kUnsupported, "bwrap is not on PATH", ""};
  }
  ASSIGN_OR_RETURN(const auto launch, Launch::Prepare(command, limits));
  RETURN_IF_ERROR(launch->Start());
  return launch->Collect(limits);
}

}  // namespace aio::eval
