// SPDX-License-Identifier: Apache-2.0
//
// Reads one map of the YAML tree key by key. Every key asked for counts as
// known; what is left over at the end is an error that names the nearest known
// one. The first error of a file is kept and ends the reading.
//
// Aliases cost nothing here: yaml-cpp shares their nodes, and only the fixed
// depth of the schema is ever walked, so a file cannot multiply itself.
//
// Thread safety: none; lives on the stack of one Parse.
#pragma once

#include <yaml-cpp/yaml.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace aio::config {

// What all sections of one file share.
struct Reading {
  std::string source;  // the file's name in errors
  std::string folder;  // what relative paths are relative to
  std::vector<Override> overrides;
  std::optional<Error> error;  // the first one

  // Keeps "<source>:<line>: <path>: <message>", or "--set <path>: …" where the
  // value came from there.
  void Fail(const YAML::Node& at, const std::string& path,
            const std::string& message);
};

// What yaml-cpp threw while `source` was read: "<source>:<line>: <message>".
Error YamlError(const std::string& source, const std::exception& thrown);

class Section {
 public:
  // `path` is the section's own, empty for the whole file. A null node is an
  // empty map.
  Section(Reading* reading, YAML::Node node, std::string path);

  // Each leaves `out` as it is if the key is absent or null.
  void String(std::string_view key, std::string* out);
  void Path(std::string_view key, std::string* out);
  void Bool(std::string_view key, bool* out);
  // One, or a list of them.
  void StringOrStrings(std::string_view key, std::vector<std::string>* out);
  void Count(std::string_view key, int min, int* out);
  // The same where "auto" stands for 0.
  void CountOrAuto(std::string_view key, int* out);
  void Number(std::string_view key, double min, double max, double* out);
  void Bytes(std::string_view key, int64_t* out);
  void BytesOrAuto(std::string_view key, int64_t* out);
  void Time(std::string_view key, Duration* out);

  Section Map(std::string_view key);
  // Names and sections of a map whose keys are the user's own, in file order.
  std::vector<std::pair<std::string, Section>> Maps(std::string_view key);
  std::vector<std::pair<std::string, std::string>> Strings(
      std::string_view key);

  // Reports keys that nobody asked for.
  void Finish();

  void Fail(std::string_view key, const std::string& message);
  const std::string& path() const { return path_; }

 private:
  // The node at `key`; nothing if it is absent, null, or an error was found.
  std::optional<YAML::Node> Get(std::string_view key);
  std::optional<std::string> Scalar(std::string_view key);
  std::string PathOf(std::string_view key) const;

  Reading* reading_;
  YAML::Node node_;
  std::string path_;
  std::vector<std::string> known_;
};

}  // namespace aio::config
