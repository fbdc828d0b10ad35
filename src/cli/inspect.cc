// SPDX-License-Identifier: Apache-2.0
//
// aio inspect FILE [--json [--full]] [--tensors]
#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/inspect_report.h"
#include "gguf/gguf.h"

namespace aio::cli {
namespace {

struct Flags {
  std::string path;
  bool json = false;
  bool full = false;
  bool tensors = false;
};

int Inspect(const Flags& flags) {
  const auto file = gguf::File::Open(flags.path);
  if (!file) {
    std::cerr << "aio inspect: " << file.error().message << "\n";
    return 1;
  }
  if (flags.json) {
    std::cout << boost::json::serialize(ModelToJson(*file, flags.full)) << "\n";
  } else {
    std::cout << DescribeModel(*file, flags.tensors);
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace

void AddInspect(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand("inspect", "Show what is in a model file");
  c->add_option("file", flags->path, "A GGUF file, or any part of a split one")
      ->required();
  auto* json = c->add_flag("--json", flags->json, "For programs");
  c->add_flag("--full", flags->full, "Whole arrays")->needs(json);
  c->add_flag("--tensors", flags->tensors, "List each tensor")->excludes(json);
  c->callback([flags, exit_code] { *exit_code = Inspect(*flags); });
}

}  // namespace aio::cli
