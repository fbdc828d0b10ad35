// SPDX-License-Identifier: Apache-2.0
//
// checkpoint_to_gguf DIR OUT [--type F32|F16|BF16|Q8_0] [--name NAME]
//                    [--license SPDX]
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "base/mapped_file.h"
#include "tools/checkpoint.h"

namespace {

std::string_view Text(const aio::MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()),
          file.bytes().size()};
}

aio::Result<void> Convert(const std::string& folder, const std::string& out,
                          const aio::tools::CheckpointOptions& options) {
  using aio::MappedFile;
  ASSIGN_OR_RETURN(const auto config,
                   MappedFile::Open(folder + "/config.json"));
  ASSIGN_OR_RETURN(const auto weights,
                   MappedFile::Open(folder + "/model.safetensors"));
  ASSIGN_OR_RETURN(const auto tokenizer,
                   MappedFile::Open(folder + "/tokenizer.json"));
  ASSIGN_OR_RETURN(const auto settings,
                   MappedFile::Open(folder + "/tokenizer_config.json"));
  ASSIGN_OR_RETURN(const auto writer,
                   aio::tools::FromCheckpoint({Text(config), weights.bytes(),
                                               Text(tokenizer), Text(settings)},
                                              options));
  return writer.Write(out);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Convert a checkpoint in Hugging Face's layout to GGUF");
  std::string folder, out;
  aio::tools::CheckpointOptions options;
  const std::map<std::string, aio::DType> types = {{"F32", aio::DType::kF32},
                                                   {"F16", aio::DType::kF16},
                                                   {"BF16", aio::DType::kBF16},
                                                   {"Q8_0", aio::DType::kQ8_0}};
  app.add_option("folder", folder, "with config.json, model.safetensors, ...")
      ->required();
  app.add_option("out", out, "the GGUF file")->required();
  app.add_option("--type", options.type, "of the matrices")
      ->transform(CLI::CheckedTransformer(types));
  app.add_option("--name", options.name, "general.name");
  app.add_option("--license", options.license, "general.license");
  CLI11_PARSE(app, argc, argv);
  const auto done = Convert(folder, out, options);
  if (done) return 0;
  std::fprintf(stderr, "checkpoint_to_gguf: %s\n",
               done.error().message.c_str());
  return 1;
}
