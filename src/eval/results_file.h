// SPDX-License-Identifier: Apache-2.0
//
// Results on disk, so that a run that ends early goes on where it stopped. A
// results file is JSONL: a header that says what was measured, then one line
// per finished (task, contender), each written in one piece.
//
// A crash can only cut the last line, which has then no line break at its end;
// it is dropped and its task runs again. Anything else that does not parse is
// an error: a file is never guessed at, nor overwritten, if it may be somebody
// else's.
//
// Thread safety: none.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/record.h"

namespace aio::eval {

class ResultsFile {
 public:
  // Opens or makes `path` and reads what it holds. A header that differs is
  // kInvalidArgument and says in what: in the tasks, a setting, or the
  // fingerprint of a contender that both name; contenders that only one of them
  // names are no contradiction. `restart` begins an existing results file anew.
  // What is no regular file (a pipe) is only written to. kUnavailable if the
  // disk is full or another run has the file.
  static Result<ResultsFile> Open(const std::string& path, const Header& header,
                                  bool restart);
  ResultsFile(ResultsFile&&) noexcept;
  ResultsFile& operator=(ResultsFile&&) noexcept;
  ~ResultsFile();

  // What was there, in file order; of a (task, contender) that was run again,
  // both.
  const std::vector<Record>& found() const;
  // One more than the last session of `found`.
  int session() const;
  // In the kernel's hands when it returns: a killed process loses nothing. On
  // an error the file is as it was before.
  Result<void> Append(const Record& record);
  // And on the disk.
  Result<void> Flush();

 private:
  struct State;
  explicit ResultsFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace aio::eval
