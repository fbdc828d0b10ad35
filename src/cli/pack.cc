// SPDX-License-Identifier: Apache-2.0
//
// aio pack --synthetic SHAPE --type T -o FILE: a model file with the shape, the
// size and the cost of a real model, and random weights. For measuring a
// machine before (or without) fetching gigabytes.
//
// aio pack FILE --nest -o OUT: see pack_nest.h.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/machine.h"
#include "base/nearest.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/pack_nest.h"
#include "model/known_shapes.h"
#include "tensor/block_formats.h"
#include "tokenizer/tokenizer.h"

namespace aio::cli {
namespace {

using model::RandomModel;

struct Flags {
  std::string input;
  bool nest = false;
  std::string shape;
  std::string type;
  std::string out;
  std::string tokenizer;  // a GGUF file; empty: a synthetic one
  uint64_t seed = 1;
  int vocabulary = 0;  // 0: the shape's
  int layers = 0;      // 0: the shape's
  int threads = 0;     // 0: all
  bool json = false;
};

constexpr char kMix[] = "q4_k_m";
constexpr char kNested[] = "nest";

std::string Lower(std::string text) {
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

Error Unknown(const std::string& what, const std::string& given,
              const std::vector<std::string>& names, const std::string& flag) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("there is no {} '{}'{}; there are {}", what, given,
                      DidYouMean(given, names), fmt::join(names, ", ")),
          flag};
}

Result<RandomModel> ShapeNamed(const std::string& name) {
  std::vector<std::string> names;
  for (const RandomModel& shape : model::KnownShapes()) {
    if (Lower(shape.name) == Lower(name)) return shape;
    names.push_back(shape.name);
  }
  return Unknown("shape", name, names, "synthetic");
}

Result<void> SetType(const std::string& name, RandomModel* description) {
  std::vector<std::string> names;
  for (const DType type : kComputableTypes) {
    names.push_back(Lower(NameOf(type)));
    if (names.back() != Lower(name)) continue;
    description->type = type;
    return {};
  }
  names.insert(names.end(), {kMix, kNested});
  description->nest = Lower(name) == kNested;
  if (description->nest) return {};
  if (Lower(name) != kMix) return Unknown("type", name, names, "type");
  description->type = DType::kQ4_K;
  description->more_bits = true;
  return {};
}

Result<void> CheckRange(const char* flag, int value, int low, int high) {
  if (value >= low && value <= high) return {};
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("--{} must be in {}..{}, not {}", flag, low, high, value),
      flag};
}

Result<RandomModel> Describe(const Flags& flags) {
  ASSIGN_OR_RETURN(RandomModel description, ShapeNamed(flags.shape));
  RETURN_IF_ERROR(SetType(flags.type, &description));
  description.name = "random " + description.name;
  description.seed = flags.seed;
  if (flags.vocabulary != 0) {
    RETURN_IF_ERROR(CheckRange("vocab", flags.vocabulary, model::kVocabularyMin,
                               model::kVocabularyMax));
    description.vocabulary = flags.vocabulary;
  }
  if (flags.layers != 0) {
    RETURN_IF_ERROR(CheckRange("layers", flags.layers, 1, 1000));
    description.layers = flags.layers;
  }
  return description;
}

Result<int64_t> WriteFile(const gguf::Writer& writer, const Flags& flags) {
  RETURN_IF_ERROR(CheckReplaceable(flags.out));
  ThreadPool pool(flags.threads > 0 ? flags.threads : ReadMachine().cpus);
  return WriteModel(writer, flags.out, &pool);
}

void Report(const Flags& flags, const RandomModel& description, int64_t bytes,
            double seconds) {
  if (flags.json) {
    const boost::json::object report{{"path", flags.out},
                                     {"architecture", description.architecture},
                                     {"shape", flags.shape},
                                     {"type", Lower(flags.type)},
                                     {"seed", description.seed},
                                     {"layers", description.layers},
                                     {"vocabulary", description.vocabulary},
                                     {"bytes", bytes},
                                     {"seconds", seconds}};
    std::cout << boost::json::serialize(report) << "\n";
    return;
  }
  std::cout << fmt::format(
      "wrote {}: {:.2f} GB, {}, {} layers, {} tokens, {:.1f} s\n", flags.out,
      static_cast<double>(bytes) / 1e9, description.name, description.layers,
      description.vocabulary, seconds);
}

// The model, with a tokenizer of its own or that of another file, whose number
// of tokens it then has.
Result<gguf::Writer> Random(const Flags& flags, RandomModel* description) {
  if (flags.tokenizer.empty()) {
    gguf::Writer writer = model::MakeRandomModel(*description);
    model::AddSyntheticTokenizer(description->vocabulary, &writer);
    return writer;
  }
  ASSIGN_OR_RETURN(const gguf::File file, gguf::File::Open(flags.tokenizer));
  ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(file));
  description->vocabulary = tokenizer->vocabulary();
  return model::MakeRandomModel(*description, &file);
}

Result<void> Pack(const Flags& flags) {
  RETURN_IF_ERROR(CheckRange("threads", flags.threads, 0, 1024));
  if (flags.nest) {
    return PackNest({flags.input, flags.out, flags.threads, flags.json});
  }
  if (flags.shape.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "what to pack is missing: FILE --nest, or --synthetic SHAPE "
                 "--type T",
                 ""};
  }
  const Time begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(RandomModel description, Describe(flags));
  ASSIGN_OR_RETURN(const gguf::Writer writer, Random(flags, &description));
  ASSIGN_OR_RETURN(const int64_t bytes, WriteFile(writer, flags));
  Report(flags, description, bytes,
         Seconds(std::chrono::steady_clock::now() - begin));
  return {};
}

int Main(const Flags& flags) {
  const auto done = Pack(flags);
  if (!done) std::cerr << "aio pack: " << done.error().message << "\n";
  if (!done) return done.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddPack(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "pack",
      "Nest a model's weights, or write a model of a real shape with "
      "random ones");
  auto* input = c->add_option("file", flags->input, "The GGUF file to nest");
  auto* nest = c->add_flag("--nest", flags->nest,
                           "One copy of the weights for 4 bits and for 8, from "
                           "F32, F16, BF16 or Q8_0");
  input->needs(nest);
  nest->needs(input);
  auto* shape =
      c->add_option("--synthetic", flags->shape,
                    "The shape, e.g. openPangu-1B; a wrong one lists them all")
          ->excludes(nest);
  auto* type =
      c->add_option("--type", flags->type,
                    "Of the weights, e.g. q8_0, q4_k_m or nest; a wrong one "
                    "lists them");
  shape->needs(type);
  type->needs(shape);
  c->add_option("-o,--output", flags->out, "The GGUF file")->required();
  auto* vocabulary = c->add_option("--vocab", flags->vocabulary,
                                   "Tokens, instead of the shape's")
                         ->needs(shape);
  c->add_option("--tokenizer", flags->tokenizer,
                "The GGUF file whose tokenizer it has; needs no weights")
      ->needs(shape)
      ->excludes(vocabulary);
  c->add_option("--layers", flags->layers, "Layers, instead of the shape's")
      ->needs(shape);
  c->add_option("--seed", flags->seed, "Another seed gives other weights")
      ->needs(shape)
      ->capture_default_str();
  c->add_option("--threads", flags->threads,
                "Threads; the file is the same with any number");
  c->add_flag("--json", flags->json, "For programs");
  c->callback([flags, exit_code] { *exit_code = Main(*flags); });
}

}  // namespace aio::cli
