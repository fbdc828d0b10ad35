// SPDX-License-Identifier: Apache-2.0
#include "eval/csv.h"

#include <utility>

namespace aio::eval {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const std::string& name)
      : text_(text), name_(name) {
    constexpr std::string_view kMark = "\xEF\xBB\xBF";  // UTF-8 with a BOM
    if (text_.starts_with(kMark)) text_.remove_prefix(kMark.size());
  }

  Result<std::vector<CsvRow>> Run() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      if (rows.size() == kCsvRowsMax) return TooLarge("rows");
      ASSIGN_OR_RETURN(CsvRow row, Row());
      if (!rows.empty() && row.fields.size() != rows[0].fields.size()) {
        return Wrong(row.line, "has " + std::to_string(row.fields.size()) +
                                   " fields, the first row has " +
                                   std::to_string(rows[0].fields.size()));
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  Error Wrong(int line, const std::string& what) const {
    return {ErrorCode::kCorrupt,
            name_ + ":" + std::to_string(line) + ": " + what, ""};
  }
  Error TooLarge(const std::string& what) const {
    Error error = Wrong(line_, "too many " + what);
    error.code = ErrorCode::kInvalidArgument;
    return error;
  }

  bool AtEndOfRow() const {
    return at_ == text_.size() || text_[at_] == '\n' ||
           text_.substr(at_, 2) == "\r\n";
  }

  Result<CsvRow> Row() {
    CsvRow row;
    row.line = line_;
    for (;;) {
      if (row.fields.size() == kCsvColumnsMax) return TooLarge("fields");
      const bool quoted = at_ < text_.size() && text_[at_] == '"';
      ASSIGN_OR_RETURN(std::string field, quoted ? Quoted() : Plain());
      row.fields.push_back(std::move(field));
      if (AtEndOfRow()) break;
      if (text_[at_] != ',') {
        return Wrong(line_, "text behind a closing quote");
      }
      ++at_;
    }
    if (at_ < text_.size()) at_ += text_[at_] == '\r' ? 2 : 1;
    ++line_;
    return row;
  }

  // Ends before a comma or at the end of the row.
  Result<std::string> Plain() {
    const size_t begin = at_;
    for (; !AtEndOfRow() && text_[at_] != ','; ++at_) {
      const char c = text_[at_];
      if (c == '"')
        return Wrong(line_, "a quote within a field without quotes");
      if (c == '\r' || c == '\0') return Wrong(line_, "a stray control byte");
      if (at_ - begin == kCsvFieldBytesMax) return TooLarge("bytes in a field");
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  // Ends behind the closing quote.
  Result<std::string> Quoted() {
    const int begin = line_;
    std::string field;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"' && text_.substr(at_, 2) != "\"\"") {
        ++at_;
        return field;
      }
      if (c == '"') ++at_;
      if (c == '\n') ++line_;
      if (field.size() == kCsvFieldBytesMax)
        return TooLarge("bytes in a field");
      field += c;
    }
    return Wrong(begin, "a quote that is never closed");
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Result<std::vector<CsvRow>> ParseCsv(std::string_view text,
                                     const std::string& name) {
  return Parser(text, name).Run();
}

}  // namespace aio::eval
