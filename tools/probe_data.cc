// SPDX-License-Identifier: Apache-2.0
#include "tools/probe_data.h"

#include <cstdint>
#include <fstream>
#include <utility>

#include "base/random.h"
#include "probe/normalize.h"

namespace aio::tools {

Result<std::vector<Sample>> ReadSamples(const std::string& file) {
  ASSIGN_OR_RETURN(auto prompts, probe::ReadLabelledPrompts(file));
  std::vector<Sample> samples;
  for (probe::LabelledPrompt& p : prompts) {
    std::string line = probe::Line(probe::Normalize(p.text));
    samples.push_back({std::move(p), std::move(line)});
  }
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

}  // namespace aio::tools
