// SPDX-License-Identifier: Apache-2.0
//
// The device seam: one forward pass over a list of columns. Everything above
// (scheduler, sampler, engine) is the same on every device; everything below
// may fuse layers or replay a graph. KV memory belongs to the device and is
// addressed by page index; which page belongs to whom is the caller's business
// (sched/).
//
// Determinism: the logits of a column depend on its own sequence's tokens and
// on nothing else: not on the other columns, on how the prompt was cut into
// steps, on which pages were used, nor on the number of threads (design.md,
// section 7). Of nested weights also on its own view, and on those that the
// earlier columns of its sequence had. K and V are rounded to the KV type and
// written before any column, those of its own chunk included, reads them.
//
// Thread safety: none; the engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace aio::model {

// Token positions in a page. Attention merges partial results per absolute
// block of this many positions, so it is part of the arithmetic.
inline constexpr int kPageTokens = 32;

// One token position of one sequence in one step. Columns of one sequence are
// contiguous and ascend; every earlier position of it has been stepped before.
struct Column {
  int32_t token = 0;     // 0 <= token < vocabulary()
  int32_t position = 0;  // 0 <= position < context_tokens_max()
  // Pages of the sequence: position p lives in pages[p / kPageTokens]. Must
  // cover `position`; must stay valid until the step is over.
  std::span<const int32_t> pages;
  bool logits = false;  // whether this column's logits will be read
  // Of nested weights the view that this column takes, 8 bits or 4; others have
  // one. Columns of 8 bits stand before those of 4.
  uint8_t bits = 8;
};

// What one kind of work has taken so far, of one thread.
struct StageTime {
  std::string name;
  double seconds = 0;
};

class Forward {
 public:
  virtual ~Forward() = default;

  virtual int vocabulary() const = 0;
  virtual int context_tokens_max() const = 0;
  virtual int layers() const = 0;
  virtual int columns_max() const = 0;  // of one step
  virtual int pages() const = 0;        // KV pages that exist

  // Bytes one step reads whatever its width, and bytes of KV per context
  // token: the inputs of the cost model, exact.
  virtual int64_t weight_bytes() const = 0;
  virtual int64_t kv_bytes_per_token() const = 0;
  // Whether Column::bits says anything, and what a step reads in which all
  // columns have 4; with any other it is weight_bytes().
  virtual bool nested() const { return false; }
  virtual int64_t coarse_weight_bytes() const { return weight_bytes(); }
  int64_t WeightBytes(bool coarse) const {
    return coarse ? coarse_weight_bytes() : weight_bytes();
  }

  // Copies the KV of one page into another; never during a step. A sequence
  // that shares part of a page with another goes on in its own copy.
  virtual void CopyPage(int32_t from, int32_t to) = 0;

  // Where the time of all steps went; empty if it was not asked for at load.
  virtual std::vector<StageTime> Profile() const { return {}; }

  // Begins a step. REQUIRES: no step under way; 1..columns_max() columns.
  virtual void Begin(std::span<const Column> columns) = 0;
  // Runs up to `layers` more layers; true once the step is over. The engine
  // may step another model between two calls.
  virtual bool Advance(int layers) = 0;
  // Passes over the next `layers` without computing them, for who measures what
  // the others cost: the step's logits, and the KV it leaves, mean nothing.
  // REQUIRES: a step under way, at least one of its layers left after that.
  virtual void Skip(int layers) = 0;
  // After the step: logits of the i-th column that asked, [vocabulary]. Valid
  // until the next Begin.
  virtual std::span<const float> Logits(int i) const = 0;

  void Step(std::span<const Column> columns) {
    Begin(columns);
    while (!Advance(layers() + 1)) {
    }
  }
};

}  // namespace aio::model
