// SPDX-License-Identifier: Apache-2.0
//
// llama2c_to_gguf CHECKPOINT TOKENIZER OUT [--type F32|F16|Q8_0] [--name NAME]
//                 [--license SPDX]
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "base/mapped_file.h"
#include "tools/llama2c.h"

namespace {

aio::Result<void> Convert(const std::string& checkpoint,
                          const std::string& tokenizer, const std::string& out,
                          const aio::tools::Llama2cOptions& options) {
  ASSIGN_OR_RETURN(const auto weights, aio::MappedFile::Open(checkpoint));
  ASSIGN_OR_RETURN(const auto pieces, aio::MappedFile::Open(tokenizer));
  ASSIGN_OR_RETURN(
      const auto writer,
      aio::tools::FromLlama2c(weights.bytes(), pieces.bytes(), options));
  return writer.Write(out);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Convert a llama2.c checkpoint to GGUF");
  std::string checkpoint, tokenizer, out;
  aio::tools::Llama2cOptions options;
  const std::map<std::string, aio::DType> types = {{"F32", aio::DType::kF32},
                                                   {"F16", aio::DType::kF16},
                                                   {"Q8_0", aio::DType::kQ8_0}};
  app.add_option("checkpoint", checkpoint, "model.bin, version 0")->required();
  app.add_option("tokenizer", tokenizer, "its tokenizer.bin")->required();
  app.add_option("out", out, "the GGUF file")->required();
  app.add_option("--type", options.type, "of the matrices")
      ->transform(CLI::CheckedTransformer(types));
  app.add_option("--name", options.name, "general.name");
  app.add_option("--license", options.license, "general.license");
  CLI11_PARSE(app, argc, argv);
  const auto done = Convert(checkpoint, tokenizer, out, options);
  if (done) return 0;
  std::fprintf(stderr, "llama2c_to_gguf: %s\n", done.error().message.c_str());
  return 1;
}
