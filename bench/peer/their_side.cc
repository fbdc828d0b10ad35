// SPDX-License-Identifier: Apache-2.0
#include "bench/peer/their_side.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

extern char** environ;

namespace aio::peer {
namespace {

namespace json = boost::json;

Error Gone(const std::string& what) {
  return {ErrorCode::kUnavailable, "llama.cpp's side: " + what, ""};
}

}  // namespace

Result<std::unique_ptr<TheirSide>> TheirSide::Start(
    const std::vector<std::string>& command) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
    return Gone("cannot make a pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& a : command) {
    arguments.push_back(const_cast<char*>(a.c_str()));
  }
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, arguments[0], &actions, nullptr,
                                 arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  FILE* const write_end = fdopen(to[1], "w");
  FILE* const read_end = fdopen(from[0], "r");
  if (failed != 0) {
    std::fclose(write_end);
    std::fclose(read_end);
    return Gone("cannot start " + command[0]);
  }
  return std::unique_ptr<TheirSide>(new TheirSide(pid, write_end, read_end));
}

TheirSide::~TheirSide() {
  std::fclose(to_);  // the end of its input is its end
  std::fclose(from_);
  int status = 0;
  waitpid(pid_, &status, 0);
}

Result<json::object> TheirSide::Ask(const json::object& job) {
  const std::string line = json::serialize(job) + "\n";
  if (std::fputs(line.c_str(), to_) < 0 || std::fflush(to_) != 0) {
    return Gone("it ended; what it said stands above");
  }
  char* text = nullptr;
  size_t room = 0;
  const ssize_t length = getline(&text, &room, from_);
  const std::string said(text, length < 0 ? 0 : static_cast<size_t>(length));
  std::free(text);
  if (length < 0) return Gone("it ended; what it said stands above");
  boost::system::error_code bad;
  const json::value parsed = json::parse(said, bad);
  if (bad || !parsed.is_object()) return Gone("it said " + said);
  if (const json::value* error = parsed.as_object().if_contains("error")) {
    return Gone(json::serialize(*error));
  }
  return parsed.as_object();
}

double TheirSide::CpuSeconds() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace aio::peer
