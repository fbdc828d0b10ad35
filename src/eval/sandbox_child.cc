// SPDX-License-Identifier: Apache-2.0
#include "eval/sandbox_child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace aio::eval {
namespace {

// Where the descriptors of the plan are put, whatever else was open.
constexpr int kStatus = 4, kGo = 5;

[[noreturn]] void Fail(Step step) {
  const ChildStatus status{ChildStatus::Kind::kFailed, static_cast<int>(step),
                           errno};
  [[maybe_unused]] const auto written = write(kStatus, &status, sizeof(status));
  _exit(127);
}

// True also if it is there already.
bool MakeFolder(const char* path) {
  return mkdir(path, 0755) == 0 || errno == EEXIST;
}

bool MakeFile(const char* path) {
  const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  close(fd);
  return true;
}

// The C library's signature of this changed with its version.
bool SetReadOnly(const char* path, unsigned flags) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  return syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attributes,
                 sizeof(attributes)) == 0;
}

bool Show(const ViewEntry& entry) {
  switch (entry.kind) {
    case ViewEntry::Kind::kFolder:
      return MakeFolder(entry.target);
    case ViewEntry::Kind::kLink:
      return symlink(entry.source, entry.target) == 0 || errno == EEXIST;
    case ViewEntry::Kind::kBindFolder:
      if (!MakeFolder(entry.target)) return false;
      break;
    case ViewEntry::Kind::kBindFile:
      if (!MakeFile(entry.target)) return false;
      break;
  }
  return mount(entry.source, entry.target, nullptr, MS_BIND | MS_REC,
               nullptr) == 0 &&
         (!entry.read_only || SetReadOnly(entry.target, AT_RECURSIVE));
}

// A courtesy where the kernel allows it; nothing depends on it.
void TryWrite(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const auto written = write(fd, text, std::strlen(text));
  close(fd);
}

// An empty file system in memory becomes the root, the old one stands in it
// while the view is bound from it, and is then let go.
void MakeView(const ChildPlan& plan) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    Fail(Step::kPrivateMounts);
  }
  if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
            "mode=755,size=1m,nr_inodes=4096") != 0 ||
      mkdir("/tmp/.old", 0700) != 0) {
    Fail(Step::kNewRoot);
  }
  if (syscall(SYS_pivot_root, "/tmp", "/tmp/.old") != 0 || chdir("/") != 0) {
    Fail(Step::kPivot);
  }
  // Before the view, of which parts may lie in it.
  if (!MakeFolder("/tmp") ||
      mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, plan.tmp_options)) {
    Fail(Step::kTmp);
  }
  for (const ViewEntry& entry : plan.view) {
    if (!Show(entry)) Fail(Step::kView);
  }
  // The first process that the kernel ends if memory runs out is this one, and
  // a program cannot get the rights of a namespace of its own.
  TryWrite("/.old/proc/self/oom_score_adj", "1000");
  TryWrite("/.old/proc/sys/user/max_user_namespaces", "0");
  if (umount2(kOldRoot, MNT_DETACH) != 0 || rmdir(kOldRoot) != 0 ||
      !SetReadOnly("/", 0)) {
    Fail(Step::kOldRootGone);
  }
}

// The raw calls: the C library's would stop other threads, which a child that
// was cloned does not have.
void DropRights(bool nobody) {
  const bool groups = syscall(SYS_setgroups, 0, nullptr) == 0;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  // An unprivileged user's namespace forbids setgroups.
  if ((nobody && !groups) ||
      syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
      syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0 ||
      syscall(SYS_capset, &header, none) != 0) {
    Fail(Step::kDropRights);
  }
}

// A copy of the parent has all its descriptors: connections, and the ends of
// the pipes of programs that other threads start.
void KeepOnly(const ChildPlan& plan) {
  bool kept = dup3(plan.status, kStatus, O_CLOEXEC) >= 0 &&
              (plan.go < 0 || dup3(plan.go, kGo, O_CLOEXEC) >= 0);
  for (int i = 0; i < static_cast<int>(plan.descriptors.size()); ++i) {
    kept = kept && dup2(plan.descriptors[static_cast<size_t>(i)], i) >= 0;
  }
  if (!kept) Fail(Step::kDescriptors);
  // Before Linux 5.9 not there; then exec closes them, as they are made to.
  syscall(SYS_close_range, plan.go < 0 ? 5u : 6u, ~0u, 0u);
}

[[noreturn]] void Exec(const ChildPlan& plan) {
  for (const ResourceLimit& limit : plan.limits) {
    const rlimit value{limit.value, limit.value};
    if (syscall(SYS_prlimit64, 0, limit.resource, &value, nullptr) != 0) {
      Fail(Step::kLimits);
    }
  }
  if (chdir(plan.folder) != 0) Fail(Step::kFolder);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int s = 1; s < SIGRTMIN; ++s) sigaction(s, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(plan.argv[0], plan.argv, plan.environment);
  Fail(Step::kExec);
}

// As the first process of its namespace: waits for the program, says how it
// ended, and takes every other process with it.
[[noreturn]] void Supervise(long program) {
  for (int fd = 0; fd < kStatus; ++fd) close(fd);
  ChildStatus status{ChildStatus::Kind::kEnded, 0, 0};
  for (;;) {
    const pid_t ended = waitpid(-1, &status.value, __WALL);
    if (ended == program) break;
    if (ended < 0 && errno != EINTR) _exit(127);
  }
  [[maybe_unused]] const auto written = write(kStatus, &status, sizeof(status));
  _exit(0);
}

bool ParentIsGone() {
  pollfd parent{kGo, 0, 0};
  return poll(&parent, 1, 0) != 0;  // only POLLHUP is reported
}

}  // namespace

const char* Name(Step step) {
  switch (step) {
    case Step::kStart:
      return "clone";
    case Step::kPrivateMounts:
      return "making mounts private";
    case Step::kNewRoot:
      return "mounting a new root on /tmp";
    case Step::kPivot:
      return "pivot_root";
    case Step::kView:
      return "binding the interpreter's folders (mount_setattr needs Linux "
             "5.12)";
    case Step::kTmp:
      return "mounting /tmp";
    case Step::kOldRootGone:
      return "leaving the old root";
    case Step::kDropRights:
      return "dropping rights";
    case Step::kFork:
      return "fork";
    case Step::kDescriptors:
      return "dup2";
    case Step::kLimits:
      return "setrlimit";
    case Step::kFolder:
      return "chdir";
    case Step::kExec:
      return "exec";
  }
  return "";
}

void RunChild(const ChildPlan& plan) {
  KeepOnly(plan);
  umask(022);  // a stricter one would hide the view's folders from nobody
  if (!plan.namespaces) {
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Exec(plan);
  }
  char mapped = 0;  // 'n': nobody is another user than the one outside
  if (read(kGo, &mapped, 1) != 1) _exit(127);  // the parent gave up
  MakeView(plan);
  DropRights(mapped == 'n');
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    Fail(Step::kDropRights);
  }
  if (ParentIsGone()) _exit(127);
  setsid();
  const long program = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (program < 0) Fail(Step::kFork);
  if (program == 0) Exec(plan);
  Supervise(program);
}

}  // namespace aio::eval
