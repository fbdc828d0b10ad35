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

#include "base/median.h"
#include "cli/bench_engine.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "eval/statistics.h"

namespace aio::cli {
namespace {

struct LoadFlags {
  EngineFlags engine;
  bool cache = false;  // also from a file of tiles
};

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

// `tiles` as model::TileOptions::cache.
Result<Loaded> Load(const EngineFlags& flags, const std::string& tiles) {
  Loaded out;
  const double begin = NowSeconds();
  ASSIGN_OR_RETURN(BenchFile file, BenchFile::Open(flags));
  BenchSize size;
  size.positions = flags.context + 1;
  size.tile_cache = tiles;
  ASSIGN_OR_RETURN(const auto engine,
                   BenchEngine::Open(std::move(file), flags.threads, size));
  out.load_seconds = NowSeconds() - begin;
  engine->Decode(1, 0);
  out.ready_seconds = NowSeconds() - begin;
  out.peak_bytes = PeakBytes();
  out.logits_hash = engine->LogitsHash();
  return out;
}

[[noreturn]] void LoadInChild(const EngineFlags& flags,
                              const std::string& tiles, int pipe) {
  const auto loaded = Load(flags, tiles);
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
Result<Loaded> LoadOnce(const EngineFlags& flags,
                        const std::string& tiles = "") {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Broken("cannot make a pipe");
  std::cout.flush();
  const pid_t child = fork();
  if (child < 0) return Broken("cannot start a process");
  if (child == 0) LoadInChild(flags, tiles, ends[1]);
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

// A file that is gone at the end.
class TemporaryFile {
 public:
  static Result<std::unique_ptr<TemporaryFile>> Make() {
    std::string path =
        (std::filesystem::temp_directory_path() / "aio-bench-XXXXXX").string();
    const int file = mkstemp(path.data());
    if (file < 0) return Broken("cannot make a file like " + path);
    close(file);
    return std::unique_ptr<TemporaryFile>(new TemporaryFile(path));
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

// Loads of one kind.
struct Loads {
  std::vector<double> load, ready;  // seconds, but for the one for warmth
  int64_t peak = 0;
  uint64_t logits_hash = 0;

  void Add(const Loaded& loaded, bool warm) {
    peak = std::max(peak, loaded.peak_bytes);
    logits_hash = loaded.logits_hash;
    if (!warm) return;
    load.push_back(loaded.load_seconds);
    ready.push_back(loaded.ready_seconds);
  }
  std::string Text(double file_bytes) const {
    const double seconds = Median(load);
    return fmt::format(
        "{:.3f} ms until loaded ({:.2f} GB/s of the file), the rest is the "
        "first step;\n  peak memory {:.1f} MB = {:.3f} of the file's {:.1f} MB",
        seconds * 1e3, file_bytes / 1e9 / seconds,
        static_cast<double>(peak) / 1e6, static_cast<double>(peak) / file_bytes,
        file_bytes / 1e6);
  }
};

// In turns, packed and from the file `tiles`, if there is one.
Result<void> RunLoads(const EngineFlags& flags, const std::string& tiles,
                      Loads* packed, Loads* cached) {
  const bool both = !tiles.empty();
  if (both) RETURN_IF_ERROR(LoadOnce(flags, tiles));
  Progress progress(0, (flags.runs + 1) * (both ? 2 : 1));
  for (int run = 0; run <= flags.runs; ++run) {
    ASSIGN_OR_RETURN(const Loaded loaded, LoadOnce(flags));
    packed->Add(loaded, run > 0);
    progress.Step("loads");
    if (!both) continue;
    ASSIGN_OR_RETURN(const Loaded from_file, LoadOnce(flags, tiles));
    cached->Add(from_file, run > 0);
    progress.Step("loads");
  }
  if (both && cached->logits_hash != packed->logits_hash) {
    return Broken("from the file of tiles the logits are others");
  }
  return {};
}

// Its pool is gone afterwards, as LoadOnce requires.
double ReadRate(int threads, int64_t bytes, int64_t* read_over) {
  ThreadPool pool(threads);
  ReadProbe probe(&pool, bytes);
  for (int i = 0; i < 5; ++i) probe.Take();
  *read_over = probe.buffer_bytes();
  return probe.BytesPerSecond();
}

void AddCached(const Loads& cached, double file_bytes, BenchReport* report) {
  report->more["cached_load_seconds"] = Median(cached.load);
  report->more["cached_ready_seconds"] = Median(cached.ready);
  report->more["cached_peak_bytes"] = cached.peak;
  report->notes.push_back(fmt::format("from a file of tiles: {:.3f} ms; ",
                                      Median(cached.ready) * 1e3) +
                          cached.Text(file_bytes));
}

Result<BenchReport> Measure(const LoadFlags& asked) {
  EngineFlags flags = asked.engine;
  std::unique_ptr<TemporaryFile> random, tiles;
  BenchReport report;
  report.model = flags.model;
  if (flags.model.empty()) {
    ASSIGN_OR_RETURN(random, TemporaryFile::Make());
    flags.model = random->path();
    RETURN_IF_ERROR(WriteRandomModel(flags, flags.model));
    report.model = kRandomLabel;
  }
  if (asked.cache) {
    ASSIGN_OR_RETURN(tiles, TemporaryFile::Make());
    std::remove(tiles->path().c_str());  // the first load writes it
  }
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.model));
  const auto bytes = static_cast<double>(file.file_bytes());
  Loads packed, cached;
  const double before =
      ReadRate(flags.threads, file.file_bytes(), &report.read_over);
  RETURN_IF_ERROR(
      RunLoads(flags, tiles ? tiles->path() : "", &packed, &cached));
  const double after =
      ReadRate(flags.threads, file.file_bytes(), &report.read_over);
  report.benchmark = "load";
  report.unit = "loads";
  report.type = TypeOf(file);
  report.threads = flags.threads;
  report.runs = flags.runs;
  report.context = flags.context;
  report.read = (before + after) / 2;
  report.logits_hash = packed.logits_hash;
  report.rows.push_back({1, TimesOf(packed.ready), bytes, 0});
  report.more["load_seconds"] = Median(packed.load);
  report.more["file_bytes"] = file.file_bytes();
  report.more["peak_bytes"] = packed.peak;
  report.more["peak_to_file"] = static_cast<double>(packed.peak) / bytes;
  report.notes.push_back("packed: " + packed.Text(bytes));
  if (asked.cache) AddCached(cached, bytes, &report);
  report.notes.push_back("all files were in the page cache");
  return report;
}

int Run(const LoadFlags& flags) {
  const auto report = Measure(flags);
  if (report) return PrintBench(*report, flags.engine.as_json);
  std::cerr << "aio bench load: " << report.error().message << "\n";
  return 1;
}

}  // namespace

void AddBenchLoad(CLI::App& bench, int* exit_code) {
  auto flags = std::make_shared<LoadFlags>();
  flags->engine.runs = 10;
  CLI::App* c = bench.add_subcommand(
      "load", "From a file to the first logits, and the peak of memory");
  AddEngineFlags(c, &flags->engine);
  c->add_flag(
      "--cache", flags->cache,
      "Also from a file of packed tiles, as large as the model, which is "
      "removed at the end");
  c->callback([flags, exit_code] { *exit_code = Run(*flags); });
}

}  // namespace aio::cli
