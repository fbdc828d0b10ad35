// SPDX-License-Identifier: Apache-2.0
#include "probe/said_file.h"

#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <map>
#include <utility>

namespace aio::probe {
namespace {

namespace json = boost::json;

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}

Result<std::pair<std::string, Logits>> ParseLine(const std::string& line) {
  boost::system::error_code error;
  const json::value value = json::parse(line, error);
  const json::object* object = value.if_object();
  if (error || object == nullptr) return Corrupt("not a JSON object");
  const json::value* id = object->if_contains("id");
  if (id == nullptr || !id->is_string()) {
    return Corrupt("field 'id' must be a text");
  }
  const json::value* numbers = object->if_contains("logits");
  const json::array* array = numbers ? numbers->if_array() : nullptr;
  Logits logits{};
  bool right = array != nullptr && array->size() == logits.size();
  for (size_t i = 0; right && i < logits.size(); ++i) {
    right = (*array)[i].is_number();
    if (right) logits[i] = (*array)[i].to_number<double>(error);
    right = right && !error && std::isfinite(logits[i]);
  }
  if (!right) {
    return Corrupt("field 'logits' must be " + std::to_string(logits.size()) +
                   " numbers");
  }
  return std::pair{std::string(id->get_string()), logits};
}

}  // namespace

std::string SaidLine(const std::string& id, const Logits& logits) {
  return json::serialize(json::object{
             {"id", id},
             {"logits", json::array(logits.begin(), logits.end())}}) +
         "\n";
}

Result<std::vector<Logits>> ReadSaid(const std::string& file,
                                     std::span<const LabelledPrompt> prompts) {
  std::ifstream in(file);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + file, ""};
  std::map<std::string, Logits> said;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    auto one = ParseLine(line);
    if (!one) {
      return Corrupt(file + ":" + std::to_string(number) + ": " +
                     one.error().message);
    }
    said.insert(*std::move(one));
  }
  std::vector<Logits> logits;
  for (const LabelledPrompt& prompt : prompts) {
    const auto found = said.find(prompt.id);
    if (found == said.end()) {
      return Corrupt(file + ": says nothing of prompt '" + prompt.id + "'");
    }
    logits.push_back(found->second);
  }
  return logits;
}

}  // namespace aio::probe
