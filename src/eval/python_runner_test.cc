// SPDX-License-Identifier: Apache-2.0
#include "eval/python_runner.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <thread>

namespace aio::eval {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

PythonRunner::Options In(Isolation way) {
  PythonRunner::Options options;
  options.ways = {way};
  options.allow_unisolated = way == Isolation::kNone;
  return options;
}

std::set<int> OpenDescriptors() {
  std::set<int> open;
  DIR* folder = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (fd != dirfd(folder)) open.insert(fd);
  }
  closedir(folder);
  return open;
}

bool HasChildren() {
  return waitpid(-1, nullptr, WNOHANG | __WALL) >= 0 || errno != ECHILD;
}

int ProcessesNamed(const std::string& name) {
  int count = 0;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(process.path() / "comm");
    std::string comm;
    if (std::getline(file, comm) && comm == name) ++count;
  }
  return count;
}

// Under bubblewrap the kernel may still be at it when that has ended.
bool Vanish(const std::string& name, Isolation way) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (ProcessesNamed(name) > 0) {
    if (way == Isolation::kNamespaces) return false;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// One for all tests, since finding Python may take a while; null if this
// machine does not have this way.
const PythonRunner* RunnerWith(Isolation way) {
  static std::map<Isolation, Result<std::unique_ptr<PythonRunner>>> runners;
  auto at = runners.find(way);
  if (at == runners.end()) {
    at = runners.emplace(way, PythonRunner::Make(In(way))).first;
    if (!at->second) std::cout << at->second.error().message << "\n";
  }
  return at->second ? at->second->get() : nullptr;
}

// Each claim in each way that this machine has.
class PythonRunnerTest : public testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    // A loaded machine is no reason to fail: what loops says so itself.
    limits_.time_max = seconds(100);
    runner_ = RunnerWith(GetParam());
    if (runner_ == nullptr) GTEST_SKIP() << "not to be had here";
    ASSERT_EQ(runner_->isolation(), GetParam());
    descriptors_ = OpenDescriptors();
  }
  void TearDown() override {
    if (runner_ == nullptr) return;
    EXPECT_FALSE(HasChildren());
    EXPECT_EQ(OpenDescriptors(), descriptors_);
  }

  PythonRun Run(std::string_view program) {
    auto run = runner_->Run(program, limits_);
    EXPECT_TRUE(run) << run.error().message;
    return run ? *run : PythonRun{};
  }
  // What it prints, if it runs to its end.
  std::string Print(std::string_view program) {
    const PythonRun run = Run(program);
    EXPECT_TRUE(run.finished) << run.why << run.err;
    return run.out;
  }

  Limits limits_;
  const PythonRunner* runner_ = nullptr;
  std::set<int> descriptors_;
};

// What is promised only where something isolates, and what namespaces alone do.
class IsolatedPythonRunnerTest : public PythonRunnerTest {};
class NamespacedPythonRunnerTest : public PythonRunnerTest {};

std::string WayName(const testing::TestParamInfo<Isolation>& info) {
  return std::string(Name(info.param));
}

INSTANTIATE_TEST_SUITE_P(All, PythonRunnerTest,
                         testing::Values(Isolation::kNamespaces,
                                         Isolation::kBubblewrap,
                                         Isolation::kNone),
                         WayName);
INSTANTIATE_TEST_SUITE_P(All, IsolatedPythonRunnerTest,
                         testing::Values(Isolation::kNamespaces,
                                         Isolation::kBubblewrap),
                         WayName);
INSTANTIATE_TEST_SUITE_P(All, NamespacedPythonRunnerTest,
                         testing::Values(Isolation::kNamespaces), WayName);

TEST_P(PythonRunnerTest, RunsAProgramToItsEnd) {
  EXPECT_EQ(Print("from __future__ import annotations\nimport math\n"
                  "print(math.gcd(12, 18), __name__, 'ä')"),
            "6 __main__ ä\n");
}

TEST_P(PythonRunnerTest, SaysTheExceptionThatEndedIt) {
  const PythonRun run = Run("def f():\n  return 1\nassert f() == 2, 'two'\n");
  EXPECT_FALSE(run.finished);
  EXPECT_EQ(run.why, "AssertionError: two");
  EXPECT_EQ(Run("def f(:\n").why, "SyntaxError: invalid syntax");
}

TEST_P(PythonRunnerTest, LeavingEarlyIsNotFinishing) {
  for (const char* program :
       {"import sys; sys.exit(0)", "import os; os._exit(0)", "exit()",
        "raise SystemExit", "import os; os.write(3, b'0' * 32); os._exit(0)",
        "import os; os.close(3); os._exit(0)"}) {
    const PythonRun run = Run(program);
    EXPECT_FALSE(run.finished) << program;
    EXPECT_EQ(run.why, "exited before its tests had run") << program;
  }
}

TEST_P(PythonRunnerTest, FailingAfterTheLastLineIsNotFinishing) {
  EXPECT_FALSE(Run("import atexit, os; atexit.register(os._exit, 1)").finished);
}

TEST_P(PythonRunnerTest, ChangingPrintDoesNotHideTheEnd) {
  EXPECT_EQ(Print("import sys\nprint = None\nsys.stdout = sys.stderr"), "");
}

TEST_P(PythonRunnerTest, EndsALoopAtItsTime) {
  limits_.time_max = milliseconds(400);
  for (const char* program :
       {"while True: pass", "import time; time.sleep(1000)",
        "import os\nos.fork()\nos.setsid\nos.close(1); os.close(2)\n"
        "while True: pass",
        "import signal\nfor s in range(1, 32):\n  try: signal.signal(s, "
        "signal.SIG_IGN)\n  except OSError: pass\nwhile True: pass"}) {
    EXPECT_EQ(Run(program).why, "timed out after 0.4 s") << program;
  }
}

TEST_P(PythonRunnerTest, DeniesMoreMemoryThanTheLimit) {
  const PythonRun run = Run("x = b'1' * (1 << 30)");
  EXPECT_EQ(run.why, "MemoryError");
}

TEST_P(PythonRunnerTest, DeniesFilesLargerThanTheLimit) {
  limits_.file_bytes_max = 1 << 20;
  const PythonRun run =
      Run("f = open('big', 'wb')\nfor i in range(100): f.write(b'1' * 100000)");
  EXPECT_FALSE(run.finished);
  EXPECT_NE(run.why.find("OSError"), std::string::npos) << run.why;
}

TEST_P(IsolatedPythonRunnerTest, DeniesManyFilesLargerThanTheLimitTogether) {
  limits_.file_bytes_max = 1 << 20;
  const PythonRun run =
      Run("for i in range(100): open(str(i), 'wb').write(b'1' * 100000)");
  EXPECT_EQ(run.why, "OSError: [Errno 28] No space left on device");
}

TEST_P(PythonRunnerTest, EndsAProgramThatPrintsForever) {
  const PythonRun run = Run("while True: print('x' * 1000)");
  EXPECT_EQ(run.why, "printed more than 4194304 bytes");
  EXPECT_LE(run.out.size(), 65536u);
  EXPECT_FALSE(Run("import os\nwhile True: os.write(3, b'1' * 9999)").finished);
}

TEST_P(PythonRunnerTest, KeepsTheEndOfALongOutput) {
  const std::string out = Print("print('x' * 100000)\nprint('end')");
  EXPECT_EQ(out.size(), 65536u);
  EXPECT_TRUE(out.ends_with("x\nend\n"));
}

TEST_P(PythonRunnerTest, TakesOutputThatIsNotUtf8) {
  EXPECT_EQ(Print("import os; os.write(1, b'a\\xff\\x00b')"),
            std::string("a\uFFFD\0b", 6));
}

TEST_P(PythonRunnerTest, NamesTheSignalThatEndedIt) {
  EXPECT_EQ(Run("import ctypes; ctypes.string_at(0)").why,
            "killed by signal 11 (Segmentation fault)");
  EXPECT_EQ(Run("import os; os.abort()").why, "killed by signal 6 (Aborted)");
  EXPECT_EQ(Run("import os; os.kill(os.getpid(), 9)").why,
            "killed by signal 9 (Killed)");
}

TEST_P(PythonRunnerTest, HasNoInputAndNoEnvironment) {
  setenv("AIO_SECRET", "key", 1);
  EXPECT_EQ(Print("import os\n"
                  "try: input()\n"
                  "except EOFError: print('eof')\n"
                  "print(os.environ.get('AIO_SECRET'))"),
            "eof\nNone\n");
  unsetenv("AIO_SECRET");
}

TEST_P(PythonRunnerTest, LimitsTheDepthOfRecursionToAnException) {
  EXPECT_NE(Run("def f(): f()\nf()").why.find("RecursionError"),
            std::string::npos);
}

TEST_P(IsolatedPythonRunnerTest, CannotReachTheNetwork) {
  // Only a loopback interface, and that one is not the machine's.
  EXPECT_EQ(Print("import socket\nprint(socket.if_nameindex())"),
            "[(1, 'lo')]\n");
  EXPECT_EQ(Run("import socket\ns = socket.socket(socket.AF_INET, "
                "socket.SOCK_DGRAM)\ns.sendto(b'x', ('192.0.2.1', 9))")
                .why,
            "OSError: [Errno 101] Network is unreachable");
}

TEST_P(IsolatedPythonRunnerTest, CannotSeeOrChangeFilesOfTheMachine) {
  EXPECT_EQ(Print("import os\n"
                  "print([p for p in ('/home', '/etc/passwd', '/var', "
                  "'/sys', '/proc/1/environ') if os.path.exists(p)])\n"
                  "for p in '/usr/x', '/x', '/dev/x', '/lib/x':\n"
                  "  try: open(p, 'w'); print(p)\n"
                  "  except OSError: pass"),
            "[]\n");
}

TEST_P(IsolatedPythonRunnerTest, CannotReachItsParent) {
  const PythonRun run =
      Run("import os\nfor p in range(1, 70000):\n"
          "  try: os.kill(p, 9) if p != os.getpid() else 0\n"
          "  except OSError: pass");
  EXPECT_TRUE(run.finished) << run.why;
  const std::string kill_parents_parent =
      "import os; os.kill(" + std::to_string(getpid()) + ", 0)";
  if (getpid() > 20) {
    EXPECT_FALSE(Run(kill_parents_parent).finished);
  }
}

TEST_P(NamespacedPythonRunnerTest, CannotGainRights) {
  EXPECT_EQ(Print("import os\n"
                  "print(os.getuid(), os.geteuid(), os.getgid(), "
                  "[g for g in os.getgroups() if g != 65534])\n"
                  "for f in (lambda: os.setuid(0), lambda: os.chroot('/tmp'),\n"
                  "          lambda: os.setgroups([0])):\n"
                  "  try: f(); print('gained')\n"
                  "  except OSError: pass\n"
                  "import ctypes\n"
                  "print(ctypes.CDLL(None).unshare(0x10000000))"),
            "65534 65534 65534 []\n-1\n");
}

TEST_P(NamespacedPythonRunnerTest, StopsAForkBomb) {
  const PythonRun run =
      Run("import os, time\nchildren = 0\ntry:\n"
          "  for i in range(1000):\n"
          "    if os.fork() == 0: time.sleep(1000)\n    children += 1\n"
          "except BlockingIOError: print(children)");
  EXPECT_TRUE(run.finished) << run.why;
  EXPECT_EQ(run.out, "15\n");
}

TEST_P(IsolatedPythonRunnerTest, LeavesNoProcessBehind) {
  const std::string program =
      "import ctypes, os, time\n"
      "ctypes.CDLL(None).prctl(15, b'aio-left')\n"  // the process's name
      "r, w = os.pipe()\n"
      "if os.fork() == 0:\n"
      "  os.setsid()\n"
      "  if os.fork() == 0:\n"
      "    os.write(w, b'1')\n"
      "    time.sleep(1000)\n"
      "  os._exit(0)\n"
      "os.read(r, 1)\n";
  EXPECT_TRUE(Run(program).finished);
  EXPECT_TRUE(Vanish("aio-left", GetParam()));
  limits_.time_max = seconds(3);
  EXPECT_FALSE(Run(program + "time.sleep(1000)").finished);
  EXPECT_TRUE(Vanish("aio-left", GetParam()));
}

TEST_P(PythonRunnerTest, InheritsNoDescriptor) {
  // One that exec would not close.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(Print("import os\nopen_now = []\nfor i in range(4, 256):\n"
                  "  try: os.fstat(i); open_now.append(i)\n"
                  "  except OSError: pass\nprint(open_now)"),
            "[]\n");
  close(ends[0]);
  close(ends[1]);
}

TEST_P(PythonRunnerTest, RunsFromSeveralThreadsAtOnce) {
  std::vector<std::string> outs(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < outs.size(); ++i) {
    threads.emplace_back(
        [&, i] { outs[i] = Print("print(" + std::to_string(i) + " ** 2)"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < outs.size(); ++i) {
    EXPECT_EQ(outs[i], std::to_string(i * i) + "\n");
  }
}

TEST_P(PythonRunnerTest, RunsTheInterpreterOfAVirtualEnvironment) {
  namespace fs = std::filesystem;
  std::string folder = testing::TempDir() + "venv-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  fs::permissions(folder, fs::perms(0755));
  std::string python = Print("import sys\nprint(sys.executable, end='')");
  fs::create_directory(folder + "/bin");
  fs::create_symlink(python, folder + "/bin/python");
  std::ofstream(folder + "/pyvenv.cfg")
      << "home = " << fs::path(python).parent_path().string() << "\n";
  PythonRunner::Options options = In(GetParam());
  options.python = folder + "/bin/python";
  const auto runner = PythonRunner::Make(options);
  ASSERT_TRUE(runner) << runner.error().message;
  const auto run = (*runner)->Run("import sys\nprint(sys.prefix)", limits_);
  EXPECT_EQ(run->out, folder + "\n") << run->err;
  fs::remove_all(folder);
}

TEST_P(PythonRunnerTest, RunsUnderAStrictUmask) {
  const mode_t before = umask(077);
  EXPECT_EQ(Print("print(1)"), "1\n");
  umask(before);
}

TEST_P(PythonRunnerTest, StartsEachProgramInAnEmptyFolder) {
  const char* program =
      "import os\nprint(os.listdir('.'))\nopen('left', 'w').close()\n"
      "os.mkdir('folder')\nopen('folder/file', 'w').close()";
  EXPECT_EQ(Print(program), "[]\n");
  EXPECT_EQ(Print(program), "[]\n");
}

TEST_P(PythonRunnerTest, TakesAProgramOfAMegabyte) {
  EXPECT_EQ(Print("x = '" + std::string(1 << 20, 'x') + "'\nprint(len(x))"),
            "1048576\n");
}

TEST_P(PythonRunnerTest, AProgramThatIsNoPythonIsNotFinished) {
  EXPECT_FALSE(Run("x = '''never closed").finished);
  EXPECT_FALSE(Run("x = '\xff'").finished);
  EXPECT_FALSE(Run("The answer is 4.").finished);
}

TEST(PythonRunnerMakeTest, RefusesWhereNothingIsolates) {
  PythonRunner::Options options = In(Isolation::kNone);
  options.ways = {};
  options.allow_unisolated = false;
  const auto made = PythonRunner::Make(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(made.error().message,
            "Python tests are refused, since nothing here isolates them (): "
            "allow user namespaces (sysctl user.max_user_namespaces; in a "
            "container, its seccomp profile), or install bubblewrap, or run "
            "them unprotected with --unsafe-python");
}

TEST(PythonRunnerMakeTest, TheProbeFindsMissingIsolation) {
  PythonRunner::Options options = In(Isolation::kNone);
  options.allow_unisolated = false;  // kNone now stands among the ways
  const auto made = PythonRunner::Make(options);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("none: the network is in reach"),
            std::string::npos)
      << made.error().message;
}

TEST(PythonRunnerMakeTest, SaysThatPythonIsMissing) {
  PythonRunner::Options options;
  options.python = "no-such-python";
  const auto made = PythonRunner::Make(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(made.error().message,
            "no program 'no-such-python' to run Python tests with; install "
            "Python 3 (Debian: apt-get install python3)");
  options.python = "/bin/true";
  EXPECT_FALSE(PythonRunner::Make(options));
}

}  // namespace
}  // namespace aio::eval
