// SPDX-License-Identifier: Apache-2.0
#include "cli/pack_nest.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <new>

#include "base/machine.h"
#include "cli/progress.h"
#include "model/nest_file.h"

namespace aio::cli {
namespace {

using model::NestedFile;
using model::NestedTensor;

double Decibels(double signal, double noise) {
  return 10 * std::log10(signal / noise);
}

// What became of the matrix, and why.
std::string KindOf(const NestedTensor& t) {
  switch (t.nest) {
    case Nest::kK:
      return "Q4_K + residuals";
    case Nest::k8:
      return "halves of Q8_0";
    case Nest::kNone:
      break;
  }
  return "as it was";
}
std::string ReasonOf(const NestedTensor& t) {
  if (t.nest == Nest::kNone) return "is " + NameOf(t.from);
  if (t.nest == Nest::kK || t.from == DType::kQ8_0) return "";
  if (!t.tried) return "rows are no multiple of 256";
  if (t.loss.lost > 0) {
    return fmt::format("{} blocks lost their scale", t.loss.lost);
  }
  return "8 bits were worse than Q8_0";
}

std::string SnrText(const NestedTensor& t, double noise) {
  return t.tried ? fmt::format("{:.1f}", Decibels(t.loss.signal, noise)) : "-";
}

int64_t CountOf(const NestedFile& made, Nest nest) {
  int64_t count = 0;
  for (const NestedTensor& t : made.tensors()) count += t.nest == nest;
  return count;
}
int64_t FallbacksOf(const NestedFile& made) {
  int64_t count = 0;
  for (const NestedTensor& t : made.tensors()) {
    count += t.tried && t.nest == Nest::k8;
  }
  return count;
}

void PrintTable(const PackNestFlags& flags, const NestedFile& made,
                int64_t bytes, double seconds) {
  std::cout << fmt::format("{:<28} {:<17} {:>7} {:>7} {:>7}  {}\n", "tensor",
                           "becomes", "4 bits", "8 bits", "Q8_0",
                           "signal to noise in dB");
  for (const NestedTensor& t : made.tensors()) {
    std::cout << fmt::format("{:<28} {:<17} {:>7} {:>7} {:>7}  {}\n", t.name,
                             KindOf(t), SnrText(t, t.loss.coarse),
                             SnrText(t, t.loss.fine), SnrText(t, t.loss.q8),
                             ReasonOf(t));
  }
  std::cout << fmt::format(
      "wrote {}: {:.2f} GB, {} matrices of Q4_K with residuals, {} of halves "
      "of Q8_0 ({} of them fell back), {} as they were, {:.1f} s\n",
      flags.out, static_cast<double>(bytes) / 1e9, CountOf(made, Nest::kK),
      CountOf(made, Nest::k8), FallbacksOf(made), CountOf(made, Nest::kNone),
      seconds);
}

void PrintJson(const PackNestFlags& flags, const NestedFile& made,
               int64_t bytes, double seconds) {
  boost::json::array tensors;
  for (const NestedTensor& t : made.tensors()) {
    boost::json::object tensor{{"name", t.name},
                               {"from", NameOf(t.from)},
                               {"becomes", KindOf(t)},
                               {"reason", ReasonOf(t)},
                               {"weights", t.weights}};
    if (t.tried) {
      tensor["snr_4"] = Decibels(t.loss.signal, t.loss.coarse);
      tensor["snr_8"] = Decibels(t.loss.signal, t.loss.fine);
      tensor["snr_q8_0"] = Decibels(t.loss.signal, t.loss.q8);
      tensor["lost_blocks"] = t.loss.lost;
    }
    tensors.push_back(std::move(tensor));
  }
  const boost::json::object report{{"path", flags.out},
                                   {"from", flags.input},
                                   {"with_residuals", CountOf(made, Nest::kK)},
                                   {"halves_of_q8_0", CountOf(made, Nest::k8)},
                                   {"fell_back", FallbacksOf(made)},
                                   {"as_they_were", CountOf(made, Nest::kNone)},
                                   {"tensors", std::move(tensors)},
                                   {"bytes", bytes},
                                   {"seconds", seconds}};
  std::cout << boost::json::serialize(report) << "\n";
}

Result<void> CheckNotItself(const PackNestFlags& flags) {
  std::error_code ignored;
  if (!std::filesystem::equivalent(flags.input, flags.out, ignored)) return {};
  return Error{ErrorCode::kInvalidArgument,
               flags.out + " is the file to nest; write to another", "output"};
}

}  // namespace

Result<void> CheckReplaceable(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return {};
  return Error{ErrorCode::kInvalidArgument,
               path + " exists and is no regular file; give the name of a file",
               "output"};
}

Result<int64_t> WriteModel(const gguf::Writer& writer, const std::string& path,
                           ThreadPool* pool) {
  ASSIGN_OR_RETURN(const int64_t bytes, writer.Bytes());
  constexpr int64_t kStep = 1 << 20;
  Progress progress(0, static_cast<int>(bytes / kStep));
  int64_t written = 0;
  const auto wrote = [&](size_t count) {
    const int64_t before = written;
    written += static_cast<int64_t>(count);
    for (int64_t i = before / kStep; i < written / kStep; ++i) {
      progress.Step("MiB");
    }
  };
  RETURN_IF_ERROR(writer.Write(path, {.pool = pool, .wrote = wrote}));
  return bytes;
}

Result<void> PackNest(const PackNestFlags& flags) {
  const Time begin = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(CheckReplaceable(flags.out));
  RETURN_IF_ERROR(CheckNotItself(flags));
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.input));
  ThreadPool pool(flags.threads > 0 ? flags.threads : ReadMachine().cpus);
  try {
    ASSIGN_OR_RETURN(const NestedFile made,
                     NestedFile::Make(file, &pool, ShowLoading("weights, M")));
    ASSIGN_OR_RETURN(const int64_t bytes,
                     WriteModel(made.writer(), flags.out, &pool));
    const double seconds = Seconds(std::chrono::steady_clock::now() - begin);
    (flags.json ? PrintJson : PrintTable)(flags, made, bytes, seconds);
    return {};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOverloaded,
                 "no memory for the 4-bit planes of " + flags.input, ""};
  }
}

}  // namespace aio::cli
