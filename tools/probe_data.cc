// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_data.h"

#include <boost/json.hpp>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/random.h"
#include "probe/normalize.h"

namespace aio::tools {
namespace {

// "thirty_days" and "thirtyDays" alike.
std::string Plain(std::string_view identifier) {
  std::string out;
  for (const char c : identifier) {
    if (c != '_') out += static_cast<char>(std::tolower(c));
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

std::string GroupOf(const Sample& s, const std::set<std::string>& known) {
  if (s.source == "humaneval") return "humaneval:" + EntryPoint(s.text);
  if (s.source == "humaneval_xl_zh") {
    const std::string entry = TranslatedEntryPoint(s.text, known);
    return entry.empty() ? "humaneval_xl:" + Number(s.id)
                         : "humaneval:" + entry;
  }
  // The Chinese MT-Bench counts from 1000.
  if (s.source == "mt_bench_zh") {
    return "mt_bench:" + std::to_string(std::atoi(Number(s.id).c_str()) - 1000);
  }
  if (s.source == "vicuna_bench_zh") return "vicuna_bench:" + Number(s.id);
  if (s.source == "p3_wiki_bio") return "p3_wiki_bio:" + Number(s.id);
  if (s.source == "cmrc2018") return s.id.substr(0, s.id.find("_QUERY"));
  return s.id;
}

Result<Sample> Parse(const std::string& line) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(line, error);
  const boost::json::object* object = value.if_object();
  if (error || object == nullptr) {
    return Error{ErrorCode::kCorrupt, "is not a JSON object", ""};
  }
  const auto text = [object](const char* key) {
    const boost::json::value* v = object->if_contains(key);
    return v != nullptr && v->is_string() ? std::string(v->as_string()) : "";
  };
  Sample s;
  s.id = text("id");
  s.text = text("text");
  s.source = text("source");
  const auto label = core::LabelNamed(text("label"));
  if (s.text.empty() || !label) {
    return Error{ErrorCode::kCorrupt, "lacks a text or a known label", ""};
  }
  s.label = *label;
  s.line = probe::Line(probe::Normalize(s.text));
  return s;
}

}  // namespace

Result<std::vector<Sample>> ReadSamples(const std::string& file) {
  std::ifstream in(file);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + file, ""};
  std::vector<Sample> samples;
  std::set<std::string> entry_points;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    Result<Sample> s = Parse(line);
    if (!s) {
      return Error{
          s.error().code,
          file + ":" + std::to_string(number) + " " + s.error().message, ""};
    }
    samples.push_back(*std::move(s));
    if (samples.back().source == "humaneval") {
      entry_points.insert(EntryPoint(samples.back().text));
    }
  }
  entry_points.erase("");
  for (Sample& s : samples) s.group = GroupOf(s, entry_points);
  return samples;
}

Result<std::vector<Template>> ReadTemplates(const std::string& file) {
  std::ifstream in(file);
  if (!in) return Error{ErrorCode::kNotFound, "cannot read " + file, ""};
  std::vector<Template> templates;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t tab = line.find('\t');
    const auto label = core::LabelNamed(line.substr(0, tab));
    if (tab == std::string::npos || !label) {
      return Error{ErrorCode::kCorrupt, file + ": no label in: " + line, ""};
    }
    std::string text = line.substr(tab + 1);
    for (size_t at; (at = text.find("\\n")) != std::string::npos;) {
      text.replace(at, 2, "\n");
    }
    templates.push_back({*label, std::move(text)});
  }
  return templates;
}

namespace {

// The part of a prompt that is about something, without the request: what
// stands before the last line of a long prompt, after a short "Verb: ".
std::string PassageOf(const Sample& s) {
  std::string text = s.text;
  const size_t line = text.rfind('\n');
  if (line != std::string::npos && line > text.size() / 2) text.resize(line);
  const size_t colon = text.find(": ");
  if (colon < 40) text = text.substr(colon + 2);
  return text;
}

void Replace(const std::string& what, const std::string& with,
             std::string* text) {
  const size_t at = text->find(what);
  if (at != std::string::npos) text->replace(at, what.size(), with);
}

}  // namespace

std::vector<Sample> Fill(const std::vector<Template>& templates,
                         const std::vector<const Sample*>& samples) {
  std::vector<std::string> passages, lines;
  for (const Sample* s : samples) {
    const bool prose = s->label == core::Label::kQa ||
                       s->label == core::Label::kSummarize ||
                       s->label == core::Label::kTranslate ||
                       s->label == core::Label::kExtract;
    const std::string passage = PassageOf(*s);
    if (prose && passage.size() > 250) passages.push_back(passage);
    if (prose && passage.size() < 200) lines.push_back(passage);
  }
  std::vector<Sample> out;
  uint64_t draw = 0;
  const auto pick = [&draw](const std::vector<std::string>& from) {
    return from.empty() ? std::string("It rained.")
                        : from[RandomBits(3, 0, ++draw) % from.size()];
  };
  for (const Template& t : templates) {
    const bool open = t.text.find("{text}") != std::string::npos ||
                      t.text.find("{line}") != std::string::npos;
    for (int i = 0; i < (open ? 6 : 1); ++i) {
      Sample s;
      s.label = t.label;
      s.text = t.text;
      s.source = open ? "written_filled" : "written";
      Replace("{text}", pick(passages), &s.text);
      for (int k = 0; k < 3; ++k) Replace("{line}", pick(lines), &s.text);
      s.line = probe::Line(probe::Normalize(s.text));
      out.push_back(std::move(s));
    }
  }
  return out;
}

bool IsNatural(const std::string& source) {
  for (const char* prefix : {"arena_hard", "mt_bench", "vicuna_bench",
                             "chinese_llama_alpaca", "self_instruct"}) {
    if (source.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

int FoldOf(const std::string& group, int folds) {
  uint64_t hash = 0;
  for (const char c : group) hash = Mix(hash ^ static_cast<uint8_t>(c));
  return static_cast<int>(hash % static_cast<uint64_t>(folds));
}

}  // namespace aio::tools
