// SPDX-License-Identifier: Apache-2.0
#include "probe/labelled_prompts.h"

#include <boost/json.hpp>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <set>
#include <utility>

#include "base/nearest.h"
#include "base/random.h"

namespace aio::probe {
namespace {

// "thirty_days" and "thirtyDays" alike.
std::string Plain(std::string_view identifier) {
  std::string out;
  for (const char c : identifier) {
    if (c != '_') {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

bool IsIdentifier(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// The function that a HumanEval prompt asks for: the name after its last "def".
std::string EntryPoint(const std::string& text) {
  const size_t def = text.rfind("def ");
  if (def == std::string::npos) return "";
  size_t end = def + 4;
  while (end < text.size() && IsIdentifier(text[end])) ++end;
  return Plain(std::string_view(text).substr(def + 4, end - def - 4));
}

std::string Number(const std::string& id) {
  return id.substr(id.find_last_of(":/_") + 1);
}

// A prompt in another programming language names the same function.
std::string TranslatedEntryPoint(const std::string& text,
                                 const std::set<std::string>& known) {
  std::string found, word;
  for (const char c : text + " ") {
    if (IsIdentifier(c)) {
      word += c;
      continue;
    }
    if (known.count(Plain(word)) > 0) found = Plain(word);
    word.clear();
  }
  return found;
}

std::string GroupOf(const LabelledPrompt& p,
                    const std::set<std::string>& known) {
  if (p.source == "humaneval") return "humaneval:" + EntryPoint(p.text);
  if (p.source == "humaneval_xl_zh") {
    const std::string entry = TranslatedEntryPoint(p.text, known);
    return entry.empty() ? "humaneval_xl:" + Number(p.id)
                         : "humaneval:" + entry;
  }
  // The Chinese MT-Bench counts from 1000.
  if (p.source == "mt_bench_zh") {
    return "mt_bench:" + std::to_string(std::atoi(Number(p.id).c_str()) - 1000);
  }
  if (p.source == "vicuna_bench_zh") return "vicuna_bench:" + Number(p.id);
  if (p.source == "p3_wiki_bio") return "p3_wiki_bio:" + Number(p.id);
  if (p.source == "cmrc2018") return p.id.substr(0, p.id.find("_QUERY"));
  return p.id;
}

Error Corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, what, ""};
}

Result<std::string> Text(const boost::json::object& object, const char* key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string() || value->get_string().empty()) {
    return Corrupt("field '" + std::string(key) + "' must be a text");
  }
  return std::string(value->get_string());
}

Result<LabelledPrompt> ParseLine(const std::string& line) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(line, error);
  const boost::json::object* object = value.if_object();
  if (error || object == nullptr) return Corrupt("not a JSON object");
  LabelledPrompt p;
  ASSIGN_OR_RETURN(p.id, Text(*object, "id"));
  ASSIGN_OR_RETURN(p.text, Text(*object, "text"));
  ASSIGN_OR_RETURN(p.source, Text(*object, "source"));
  ASSIGN_OR_RETURN(const std::string name, Text(*object, "label"));
  const auto label = core::LabelNamed(name);
  if (!label) {
    return Corrupt(
        "field 'label': unknown label '" + name + "'" +
        DidYouMean(name, {core::kLabelNames.begin(), core::kLabelNames.end()}));
  }
  p.label = *label;
  return p;
}

}  // namespace

Result<std::vector<LabelledPrompt>> ReadLabelledPrompts(
    const std::string& file) {
  std::ifstream in(file);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + file, ""};
  std::vector<LabelledPrompt> prompts;
  std::set<std::string> ids, entry_points;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string at = file + ":" + std::to_string(++number) + ": ";
    Result<LabelledPrompt> p = ParseLine(line);
    if (!p) return Corrupt(at + p.error().message);
    if (!ids.insert(p->id).second) {
      return Corrupt(at + "field 'id': '" + p->id + "' occurs twice");
    }
    prompts.push_back(*std::move(p));
    if (prompts.back().source == "humaneval") {
      entry_points.insert(EntryPoint(prompts.back().text));
    }
  }
  if (prompts.empty()) return Corrupt(file + ": no prompts");
  entry_points.erase("");
  for (LabelledPrompt& p : prompts) p.group = GroupOf(p, entry_points);
  return prompts;
}

bool IsNatural(std::string_view source) {
  for (const char* prefix : {"arena_hard", "mt_bench", "vicuna_bench",
                             "chinese_llama_alpaca", "self_instruct"}) {
    if (source.starts_with(prefix)) return true;
  }
  return false;
}

int FoldOf(std::string_view group, int folds) {
  uint64_t hash = 0;
  for (const char c : group) hash = Mix(hash ^ static_cast<uint8_t>(c));
  return static_cast<int>(hash % static_cast<uint64_t>(folds));
}

}  // namespace aio::probe
