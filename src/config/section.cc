// SPDX-License-Identifier: Apache-2.0
#include "config/section.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <set>
#include <utility>

#include "base/nearest.h"
#include "config/units.h"

namespace aio::config {
namespace {

template <typename T>
std::optional<T> Whole(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc() || rest != end) return std::nullopt;
  return value;
}

// True if `path` is `of` or below it.
bool Within(const std::string& path, const std::string& of) {
  return path.starts_with(of) &&
         (path.size() == of.size() || path[of.size()] == '.');
}

}  // namespace

Error YamlError(const std::string& source, const std::exception& thrown) {
  const auto* e = dynamic_cast<const YAML::Exception*>(&thrown);
  if (e == nullptr) {
    return {ErrorCode::kInvalidArgument, source + ": " + thrown.what(), ""};
  }
  const std::string line =
      e->mark.is_null() ? "" : ":" + std::to_string(e->mark.line + 1);
  return {ErrorCode::kInvalidArgument, source + line + ": " + e->msg, ""};
}

void Reading::Fail(const YAML::Node& at, const std::string& path,
                   const std::string& message) {
  if (error) return;
  const bool overridden =
      std::any_of(overrides.begin(), overrides.end(), [&](const Override& o) {
        return Within(path, o.path) || Within(o.path, path);
      });
  const YAML::Mark mark = at.IsDefined() ? at.Mark() : YAML::Mark::null_mark();
  std::string where = source;
  if (overridden) {
    where = "--set";
  } else if (!mark.is_null()) {
    where += ":" + std::to_string(mark.line + 1);
  }
  error =
      Error{ErrorCode::kInvalidArgument,
            where + ": " + (path.empty() ? "" : path + ": ") + message, path};
}

Section::Section(Reading* reading, YAML::Node node, std::string path)
    : reading_(reading), node_(std::move(node)), path_(std::move(path)) {
  if (reading_->error || !node_.IsDefined() || node_.IsNull()) return;
  if (!node_.IsMap()) {
    reading_->Fail(node_, path_, "must be a map of keys");
    return;
  }
  std::set<std::string> seen;
  for (const auto& pair : node_) {
    if (!pair.first.IsScalar()) {
      reading_->Fail(pair.first, path_, "a key must be plain text");
      return;
    }
    const std::string& key = pair.first.Scalar();
    if (!seen.insert(key).second) {
      reading_->Fail(pair.first, PathOf(key), "the key occurs twice");
      return;
    }
  }
}

std::string Section::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::optional<YAML::Node> Section::Get(std::string_view key) {
  known_.emplace_back(key);
  if (reading_->error || !node_.IsDefined() || !node_.IsMap()) {
    return std::nullopt;
  }
  // Const, or yaml-cpp would make the key.
  const YAML::Node& map = node_;
  YAML::Node value = map[known_.back()];
  if (!value.IsDefined() || value.IsNull()) return std::nullopt;
  return value;
}

std::optional<std::string> Section::Scalar(std::string_view key) {
  const auto value = Get(key);
  if (!value) return std::nullopt;
  if (!value->IsScalar()) {
    Fail(key, "must be a single value");
    return std::nullopt;
  }
  return value->Scalar();
}

void Section::Fail(std::string_view key, const std::string& message) {
  const YAML::Node& map = node_;
  const YAML::Node value =
      map.IsDefined() && map.IsMap() ? map[std::string(key)] : map;
  // Of a key that is missing, the line is that of its section.
  reading_->Fail(value.IsDefined() ? value : map, PathOf(key), message);
}

void Section::String(std::string_view key, std::string* out) {
  if (const auto text = Scalar(key)) *out = *text;
}

void Section::StringOrStrings(std::string_view key,
                              std::vector<std::string>* out) {
  const auto value = Get(key);
  if (!value) return;
  if (value->IsScalar()) {
    if (!value->Scalar().empty()) *out = {value->Scalar()};
    return;
  }
  if (!value->IsSequence() || value->size() == 0) {
    return Fail(key, "must be one value or a list of them");
  }
  out->clear();
  for (const YAML::Node& item : *value) {
    if (!item.IsScalar()) return Fail(key, "must be a list of single values");
    out->push_back(item.Scalar());
  }
}

void Section::Path(std::string_view key, std::string* out) {
  const auto text = Scalar(key);
  if (!text) return;
  if (text->empty()) {
    out->clear();
    return;
  }
  const std::filesystem::path path(*text);
  *out = path.is_absolute() ? *text
                            : (std::filesystem::path(reading_->folder) / path)
                                  .lexically_normal()
                                  .string();
}

void Section::Bool(std::string_view key, bool* out) {
  const auto text = Scalar(key);
  if (!text) return;
  if (*text != "true" && *text != "false") {
    Fail(key, "'" + *text + "' is neither true nor false");
    return;
  }
  *out = *text == "true";
}

void Section::Count(std::string_view key, int min, int* out) {
  const auto text = Scalar(key);
  if (!text) return;
  const auto value = Whole<int>(*text);
  if (!value || *value < min) {
    Fail(key, "'" + *text + "' is not a whole number of at least " +
                  std::to_string(min));
    return;
  }
  *out = *value;
}

void Section::CountOrAuto(std::string_view key, int* out) {
  const auto text = Scalar(key);
  if (!text) return;
  const auto value = *text == "auto" ? 0 : Whole<int>(*text);
  if (!value || (*value < 1 && *text != "auto")) {
    Fail(key,
         "'" + *text + "' is neither auto nor a whole number of at least 1");
    return;
  }
  *out = *value;
}

void Section::Number(std::string_view key, double min, double max,
                     double* out) {
  const auto text = Scalar(key);
  if (!text) return;
  const auto value = Whole<double>(*text);
  if (!value || !(*value >= min && *value <= max)) {
    std::string range(64, '\0');
    range.resize(
        std::snprintf(range.data(), range.size(), "%g and %g", min, max));
    Fail(key, "'" + *text + "' is not a number between " + range);
    return;
  }
  *out = *value;
}

void Section::Bytes(std::string_view key, int64_t* out) {
  const auto text = Scalar(key);
  if (!text) return;
  const auto value = ParseBytes(*text);
  if (!value) return Fail(key, value.error().message);
  *out = *value;
}

void Section::BytesOrAuto(std::string_view key, int64_t* out) {
  const auto text = Scalar(key);
  if (text && *text == "auto") {
    *out = 0;
  } else {
    Bytes(key, out);
  }
}

void Section::Time(std::string_view key, Duration* out) {
  const auto text = Scalar(key);
  if (!text) return;
  const auto value = ParseDuration(*text);
  if (!value) return Fail(key, value.error().message);
  *out = *value;
}

Section Section::Map(std::string_view key) {
  const auto value = Get(key);
  return Section(reading_, value.value_or(YAML::Node(YAML::NodeType::Map)),
                 PathOf(key));
}

std::vector<std::pair<std::string, Section>> Section::Maps(
    std::string_view key) {
  const Section outer = Map(key);
  std::vector<std::pair<std::string, Section>> maps;
  if (reading_->error) return maps;
  for (const auto& pair : outer.node_) {
    const std::string& name = pair.first.Scalar();
    maps.emplace_back(name, Section(reading_, pair.second, outer.PathOf(name)));
  }
  return maps;
}

std::vector<std::pair<std::string, std::string>> Section::Strings(
    std::string_view key) {
  const Section outer = Map(key);
  std::vector<std::pair<std::string, std::string>> strings;
  if (reading_->error) return strings;
  for (const auto& pair : outer.node_) {
    const std::string& name = pair.first.Scalar();
    if (!pair.second.IsScalar()) {
      reading_->Fail(pair.second, outer.PathOf(name), "must be text");
      break;
    }
    strings.emplace_back(name, pair.second.Scalar());
  }
  return strings;
}

void Section::Finish() {
  if (reading_->error || !node_.IsDefined() || !node_.IsMap()) return;
  for (const auto& pair : node_) {
    const std::string& key = pair.first.Scalar();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    reading_->Fail(pair.first, PathOf(key),
                   "unknown key" + DidYouMean(key, known_));
    return;
  }
}

}  // namespace aio::config
