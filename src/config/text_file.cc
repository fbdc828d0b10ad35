// SPDX-License-Identifier: Apache-2.0
#include "config/text_file.h"

#include <fstream>

namespace aio::config {

Result<std::string> ReadTextFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return Error{ErrorCode::kNotFound, "cannot open '" + file + "'", ""};
  }
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) {
    return Error{ErrorCode::kUnavailable, "cannot read '" + file + "'", ""};
  }
  return text;
}

}  // namespace aio::config
