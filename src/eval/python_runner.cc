// SPDX-License-Identifier: Apache-2.0
#include "eval/python_runner.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/utf8.h"

namespace aio::eval {
namespace {

// Says where the interpreter and its libraries are: a name on PATH may be a
// script that starts another one.
constexpr std::string_view kWhere = R"(
import sys
assert sys.version_info >= (3, 6), "Python 3.6 or newer is needed"
print("\n".join(["found", sys.executable, sys.prefix, sys.exec_prefix,
                 sys.base_prefix, sys.base_exec_prefix]))
)";

// What isolation has to deny, tried. The port listens and the file exists.
constexpr std::string_view kProbe = R"(
import os, socket, sys
port, file = PORT, "FILE"
s = socket.socket()
s.settimeout(5)
if s.connect_ex(("127.0.0.1", port)) == 0:
    sys.exit("the network is in reach")
if os.path.exists(file):
    sys.exit("the machine's files are in sight")
try:
    os.close(os.open("/usr/aio-probe", os.O_CREAT | os.O_WRONLY))
    sys.exit("/usr can be written")
except OSError:
    pass
open("/tmp/file", "w").close()
print("isolated")
)";

// Under bubblewrap the limit on processes can be set only within.
constexpr std::string_view kLimitProcesses = R"(
import resource, sys
resource.setrlimit(resource.RLIMIT_NPROC, (NUMBER, NUMBER))
exec(compile(sys.stdin.read(), "<stdin>", "exec"), {"__name__": "__main__"})
)";

std::string Replaced(std::string_view text, std::string_view word,
                     const std::string& with) {
  std::string out(text);
  for (size_t at = out.find(word); at != std::string::npos;
       at = out.find(word, at + with.size())) {
    out.replace(at, word.size(), with);
  }
  return out;
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The last line of a traceback says what went wrong.
std::string LastLine(std::string_view text) {
  constexpr size_t kBytesMax = 300;
  const std::vector<std::string> lines = Lines(text);
  if (lines.empty()) return "";
  std::string last = lines.back().substr(0, kBytesMax);
  for (char& c : last) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return ReplaceInvalidUtf8(last);
}

// A port that accepts connections while this lives.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    if (fd_ >= 0 && bind(fd_, generic, size) == 0 && listen(fd_, 1) == 0 &&
        getsockname(fd_, generic, &size) == 0) {
      port_ = ntohs(address.sin_port);
    }
  }
  Listener(const Listener&) = delete;
  ~Listener() {
    if (fd_ >= 0) close(fd_);
  }
  int port() const { return port_; }

 private:
  int fd_;
  int port_ = 1;  // nobody listens where no socket can be had
};

// A file that every user may read, while this lives.
class Marker {
 public:
  Marker() {
    std::error_code failed;
    path_ = std::filesystem::temp_directory_path(failed) / "aio-probe-XXXXXX";
    const int fd = mkostemp(path_.data(), O_CLOEXEC);
    if (fd >= 0) close(fd);
  }
  Marker(const Marker&) = delete;
  ~Marker() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Nothing that a program could guess or find before it has run to its end...
// unless it reads its own source.
std::string Token() {
  std::array<unsigned char, 16> bytes{};
  [[maybe_unused]] const auto drawn = getrandom(bytes.data(), bytes.size(), 0);
  constexpr char kHex[] = "0123456789abcdef";
  std::string token;
  for (const unsigned char byte : bytes) {
    token += kHex[byte >> 4];
    token += kHex[byte & 15];
  }
  return token;
}

std::string Seconds(Duration time) {
  std::string text = std::to_string(aio::Seconds(time));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " s";
}

std::string Why(const Finished& finished, const Limits& limits) {
  const std::string last = LastLine(finished.err);
  switch (finished.end) {
    case End::kTimedOut:
      return "timed out after " + Seconds(limits.time_max);
    case End::kOutputTooLong:
      return "printed more than " + std::to_string(limits.output_bytes_max) +
             " bytes";
    case End::kSignal:
      return "killed by signal " + std::to_string(finished.code) + " (" +
             strsignal(finished.code) + ")";
    case End::kExited:
      break;
  }
  if (finished.code == 0) return "exited before its tests had run";
  return last.empty() ? "exited with code " + std::to_string(finished.code)
                      : last;
}

}  // namespace

Result<void> PythonRunner::FindPython() {
  const std::string found = FindProgram(options_.python);
  if (found.empty()) {
    return Error{ErrorCode::kUnsupported,
                 "no program '" + options_.python +
                     "' to run Python tests with; install Python 3 (Debian: "
                     "apt-get install python3)",
                 ""};
  }
  Command command;
  command.argv = {found, "-I", "-c", std::string(kWhere)};
  command.keep_environment = true;
  Limits generous;
  generous.time_max = std::chrono::seconds(60);
  generous.memory_bytes_max = int64_t{4} << 30;
  ASSIGN_OR_RETURN(const Finished finished, RunCommand(command, generous));
  const std::vector<std::string> lines = Lines(finished.out);
  if (lines.size() < 2 || lines.front() != "found") {
    return Error{ErrorCode::kUnsupported,
                 found + " is no Python that works: " + Why(finished, generous),
                 ""};
  }
  executable_ = lines[1];
  folders_.assign(lines.begin() + 2, lines.end());
  const std::filesystem::path folder =
      std::filesystem::path(executable_).parent_path();
  folders_.push_back(folder);
  return {};
}

Command PythonRunner::MakeCommand(std::string program,
                                  const Limits& limits) const {
  Command command;
  command.isolation = isolation_;
  // -I: nothing from the environment or the working folder; -B: no caches.
  // Packages that are installed may be imported.
  command.argv = {executable_, "-I", "-B", "-X", "utf8", "-"};
  if (isolation_ == Isolation::kBubblewrap) {
    command.argv.back() = "-c";
    command.argv.push_back(Replaced(kLimitProcesses, "NUMBER",
                                    std::to_string(limits.processes_max)));
  }
  command.input = std::move(program);
  command.folders = folders_;
  return command;
}

Result<void> PythonRunner::Probe() const {
  const Listener listener;
  const Marker marker;
  Limits limits = options_.limits;
  limits.time_max =
      std::max<Duration>(limits.time_max, std::chrono::seconds(20));
  std::string program =
      Replaced(kProbe, "PORT", std::to_string(listener.port()));
  program = Replaced(program, "FILE", marker.path());
  ASSIGN_OR_RETURN(const Finished finished,
                   RunCommand(MakeCommand(std::move(program), limits), limits));
  if (finished.out == "isolated\n" && finished.code == 0) return {};
  return Error{ErrorCode::kUnsupported, Why(finished, limits), ""};
}

Result<std::unique_ptr<PythonRunner>> PythonRunner::Make(Options options) {
  std::unique_ptr<PythonRunner> runner(new PythonRunner(std::move(options)));
  RETURN_IF_ERROR(runner->FindPython());
  std::string reasons;
  for (const Isolation way : runner->options_.ways) {
    runner->isolation_ = way;
    const auto works = runner->Probe();
    if (works) return runner;
    if (!reasons.empty()) reasons += "; ";
    reasons += std::string(Name(way)) + ": " + works.error().message;
  }
  runner->isolation_ = Isolation::kNone;
  if (runner->options_.allow_unisolated) return runner;
  return Error{
      ErrorCode::kUnsupported,
      "Python tests are refused, since nothing here isolates them (" + reasons +
          "): allow user namespaces (sysctl user.max_user_namespaces; in "
          "a container, its seccomp profile), or install bubblewrap, "
          "or run them unprotected with --unsafe-python",
      ""};
}

Result<PythonRun> PythonRunner::Run(std::string_view program) const {
  return Run(program, options_.limits);
}

Result<PythonRun> PythonRunner::Run(std::string_view program,
                                    const Limits& limits) const {
  const std::string token = Token();
  std::string whole(program);
  // Descriptor 3, since the program may have changed what print does.
  whole += "\n__import__('os').write(3, b'" + token + "')\n";
  ASSIGN_OR_RETURN(Finished finished,
                   RunCommand(MakeCommand(std::move(whole), limits), limits));
  PythonRun run;
  run.finished = finished.end == End::kExited && finished.code == 0 &&
                 finished.note == token;
  if (!run.finished) run.why = Why(finished, limits);
  run.out = ReplaceInvalidUtf8(finished.out);
  run.err = ReplaceInvalidUtf8(finished.err);
  return run;
}

}  // namespace aio::eval
