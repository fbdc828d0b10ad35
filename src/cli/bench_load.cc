// SPDX-License-Identifier: Apache-2.0
//
// aio bench load: from a file to the first logits, and the most memory that
// took.
//
// Each load is a process of its own: the kernel's peak of a process never falls
// again, and what an earlier load left in its allocator would be free for the
// next. "Loaded" means that one step has run, since a mapped file that nobody
// has touched is not there yet.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <utility>

#include "cli/bench_engine.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "eval/statistics.h"

namespace aio::cli {
namespace {

// What a child tells its parent through a pipe, as it lies in memory.
struct Loaded {
  double load_seconds = 0;   // LoadCpuForward and what comes before
  double ready_seconds = 0;  // that, and the first step
  int64_t peak_bytes = 0;    // of the whole process
  uint64_t logits_hash = 0;
};

// The kernel's VmHWM, in bytes; 0 if it does not say.
int64_t PeakBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    return std::strtoll(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

Result<Loaded> Load(const EngineFlags& flags) {
  Loaded out;
  const double begin = NowSeconds();
  ASSIGN_OR_RETURN(BenchFile file, BenchFile::Open(flags));
  BenchSize size;
  size.positions = flags.context + 1;
  ASSIGN_OR_RETURN(const auto engine,
                   BenchEngine::Open(std::move(file), flags.threads, size));
  out.load_seconds = NowSeconds() - begin;
  engine->Decode(1, 0);
  out.ready_seconds = NowSeconds() - begin;
  out.peak_bytes = PeakBytes();
  out.logits_hash = engine->LogitsHash();
  return out;
}

[[noreturn]] void LoadInChild(const EngineFlags& flags, int pipe) {
  const auto loaded = Load(flags);
  if (!loaded) {
    std::cerr << "aio bench load: " << loaded.error().message << std::endl;
    _exit(1);
  }
  const auto written = write(pipe, &*loaded, sizeof(Loaded));
  _exit(written == ssize_t{sizeof(Loaded)} ? 0 : 1);
}

Error Broken(const std::string& what) {
  return {ErrorCode::kInternal, what, ""};
}

// REQUIRES: no thread but this one, since only it would be in the child.
Result<Loaded> LoadOnce(const EngineFlags& flags) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Broken("cannot make a pipe");
  std::cout.flush();
  const pid_t child = fork();
  if (child < 0) return Broken("cannot start a process");
  if (child == 0) LoadInChild(flags, ends[1]);
  close(ends[1]);
  Loaded loaded;
  const auto got = read(ends[0], &loaded, sizeof(loaded));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (got != ssize_t{sizeof(loaded)} || status != 0) {
    return Broken(WIFSIGNALED(status)
                      ? fmt::format("the process that loaded was killed by "
                                    "signal {}",
                                    WTERMSIG(status))
                      : "the model did not load");
  }
  return loaded;
}

// A file of its own for the random weights, gone at the end.
class TemporaryModel {
 public:
  static Result<std::unique_ptr<TemporaryModel>> Make(
      const EngineFlags& flags) {
    std::string path =
        (std::filesystem::temp_directory_path() / "aio-bench-XXXXXX").string();
    const int file = mkstemp(path.data());
    if (file < 0) return Broken("cannot make a file like " + path);
    close(file);
    auto made = std::unique_ptr<TemporaryModel>(new TemporaryModel(path));
    RETURN_IF_ERROR(WriteRandomModel(flags, path));
    return made;
  }
  ~TemporaryModel() { std::remove(path_.c_str()); }
  TemporaryModel(const TemporaryModel&) = delete;
  TemporaryModel& operator=(const TemporaryModel&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryModel(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

// Its pool is gone afterwards, as LoadOnce requires.
double ReadRate(int threads, int64_t bytes, int64_t* read_over) {
  ThreadPool pool(threads);
  ReadProbe probe(&pool, bytes);
  for (int i = 0; i < 5; ++i) probe.Take();
  *read_over = probe.buffer_bytes();
  return probe.BytesPerSecond();
}

Result<BenchReport> Measure(EngineFlags flags) {
  std::unique_ptr<TemporaryModel> temporary;
  BenchReport report;
  report.model = flags.model;
  if (flags.model.empty()) {
    ASSIGN_OR_RETURN(temporary, TemporaryModel::Make(flags));
    flags.model = temporary->path();
    report.model = kRandomLabel;
  }
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.model));
  const auto bytes = static_cast<double>(file.file_bytes());
  std::vector<double> load, ready;
  int64_t peak = 0;
  const double before =
      ReadRate(flags.threads, file.file_bytes(), &report.read_over);
  Progress progress(0, flags.runs + 1);
  for (int run = 0; run <= flags.runs; ++run) {
    ASSIGN_OR_RETURN(const Loaded loaded, LoadOnce(flags));
    progress.Step("loads");
    report.logits_hash = loaded.logits_hash;
    peak = std::max(peak, loaded.peak_bytes);
    if (run == 0) continue;
    load.push_back(loaded.load_seconds);
    ready.push_back(loaded.ready_seconds);
  }
  const double after =
      ReadRate(flags.threads, file.file_bytes(), &report.read_over);
  report.benchmark = "load";
  report.unit = "loads";
  report.type = TypeOf(file);
  report.threads = flags.threads;
  report.runs = flags.runs;
  report.context = flags.context;
  report.read = (before + after) / 2;
  report.rows.push_back({1, TimesOf(ready), bytes, 0});
  const double ratio = static_cast<double>(peak) / bytes;
  report.more["load_seconds"] = eval::Median(load);
  report.more["file_bytes"] = file.file_bytes();
  report.more["peak_bytes"] = peak;
  report.more["peak_to_file"] = ratio;
  report.notes.push_back(fmt::format(
      "{:.3f} ms until loaded, the rest is the first step; the file was in the "
      "page cache\npeak memory {:.1f} MB = {:.3f} of the file's {:.1f} MB",
      eval::Median(load) * 1e3, static_cast<double>(peak) / 1e6, ratio,
      bytes / 1e6));
  return report;
}

int Run(const EngineFlags& flags) {
  const auto report = Measure(flags);
  if (report) return PrintBench(*report, flags.as_json);
  std::cerr << "aio bench load: " << report.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchLoad(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<EngineFlags>();
  flags->runs = 10;
  CLI::App* c = bench.add_subcommand(
      "load", "From a file to the first logits, and the peak of memory");
  AddEngineFlags(c, flags.get());
  c->callback([flags, exit_code] { *exit_code = Run(*flags); });
}

}  // namespace aio::cli
