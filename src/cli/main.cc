// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "kernels/target.h"

namespace {

// CLI11 only says that an argument was not expected; a mistyped subcommand
// deserves its name.
bool ExplainUnknownCommand(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return false;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->get_name() == argv[1]) return false;
    names.push_back(command->get_name());
  }
  std::cerr << "aio: there is no subcommand '" << argv[1] << "'";
  const std::string near = aio::Nearest(argv[1], names);
  if (!near.empty()) std::cerr << "; did you mean '" << near << "'?";
  std::cerr << "\n`aio --help` lists them.\n";
  return true;
}

// What must hold before anything runs a kernel.
aio::Result<void> PrepareKernels() {
  if (auto cpu = aio::CheckCpu(); !cpu) return cpu.error();
  const char* target = std::getenv("AIO_TARGET");
  if (target == nullptr || *target == '\0') return {};
  auto forced = aio::kernels::ForceTarget(target);
  if (forced) return {};
  return aio::Error{forced.error().code,
                    "AIO_TARGET: " + forced.error().message, ""};
}

}  // namespace

int main(int argc, char** argv) {
  // A write past the limit of a file's size (ulimit -f) is an error like a full
  // disk, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  if (const auto ready = PrepareKernels(); !ready) {
    std::cerr << "aio: " << ready.error().message << "\n";
    return 2;
  }
  CLI::App app{
      "A-IO: one model name, many variants; every request goes to the one "
      "that\n"
      "reaches the needed quality for the least device time.",
      "aio"};
  app.set_version_flag("--version", "aio " AIO_VERSION);
  app.footer(
      "Environment:\n"
      "  AIO_TARGET   the instruction set of the kernels (AVX3_DL, AVX3, "
      "AVX2,\n"
      "               SCALAR, NEON); empty: the best that this machine has");
  app.require_subcommand(1);
  int exit_code = 0;
  aio::cli::AddServe(app, &exit_code);
  aio::cli::AddDoctor(app, &exit_code);
  aio::cli::AddSimulate(app, &exit_code);
  aio::cli::AddChat(app, &exit_code);
  aio::cli::AddGenerate(app, &exit_code);
  aio::cli::AddReplay(app, &exit_code);
  aio::cli::AddRoute(app, &exit_code);
  aio::cli::AddEval(app, &exit_code);
  aio::cli::AddCalibrate(app, &exit_code);
  aio::cli::AddBench(app, &exit_code);
  aio::cli::AddTokenize(app, &exit_code);
  aio::cli::AddInspect(app, &exit_code);
  aio::cli::AddPack(app, &exit_code);
  if (ExplainUnknownCommand(app, argc, argv)) return 2;
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
