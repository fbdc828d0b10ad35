// SPDX-License-Identifier: Apache-2.0
#include "model/tile_cache.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/regular_file.h"
#include "tensor/tiles.h"

namespace aio::model {
namespace {

using Words = std::vector<uint64_t>;

constexpr uint64_t kMagic = 0x0A73656C69746F61;  // "aotiles\n"
constexpr uint64_t kFormat = 1;
// Words of the header.
constexpr size_t kFormatAt = 1, kModelAt = 3, kTableAt = 8;
constexpr size_t kEntryWords = 6, kEntryChecksum = 5;
constexpr size_t kHeaderGrain = 4096;

// Every bit of the data and its order count; 8 bytes a cycle. `bytes` is a
// multiple of 64.
uint64_t Checksum(const void* data, int64_t bytes, uint64_t seed) {
  constexpr int64_t kLanes = 8;
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;
  std::array<uint64_t, kLanes> lanes;
  lanes.fill(Mix(seed));
  const auto* p = static_cast<const std::byte*>(data);
  for (int64_t at = 0; at < bytes; at += kLanes * 8) {
    std::array<uint64_t, kLanes> words;
    std::memcpy(words.data(), p + at, sizeof(words));
    for (size_t i = 0; i < kLanes; ++i) {
      lanes[i] = std::rotl((lanes[i] ^ words[i]) * kOdd, 29);
    }
  }
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum = Mix(sum ^ lane);
  return sum;
}

// What the checksum of a matrix adds up: the order in which threads come to
// them does not matter.
uint64_t ChecksumOf(const TiledMatrix& m, Range tiles) {
  uint64_t sum = 0;
  for (int64_t t = tiles.begin; t < tiles.end; ++t) {
    const auto seed = static_cast<uint64_t>(t);
    sum += Checksum(m.Tile(t), m.tile_bytes, seed);
    if (m.nest == Nest::kNone) continue;
    sum += Checksum(m.FineTile(t), m.fine_tile_bytes, ~seed);
  }
  return sum;
}

uint64_t HashOf(std::string_view name) {
  uint64_t h = Mix(name.size());
  for (const char c : name) h = Mix(h ^ static_cast<unsigned char>(c));
  return h;
}

uint64_t TypeWord(DType type, Nest nest) {
  return static_cast<uint64_t>(type) | static_cast<uint64_t>(nest) << 32;
}
uint64_t TypeWord(const WeightMatrix& m, Nest nest) {
  WeightMatrix as = m;
  as.nest = nest;
  return TypeWord(TiledShape(as).type, nest);
}

size_t TypeAt(size_t matrix) { return kTableAt + kEntryWords * matrix + 1; }
size_t ChecksumAt(size_t matrix) {
  return kTableAt + kEntryWords * matrix + kEntryChecksum;
}

uint64_t HeaderChecksum(const Words& header) {
  uint64_t h = 0;
  for (size_t i = 0; i + 1 < header.size(); ++i) h = Mix(h ^ header[i]);
  return h;
}

// The header of these weights, without checksums.
Words HeaderOf(Weights* weights) {
  const gguf::File& file = weights->file;
  const std::vector<Linear*> linears = LinearsOf(weights);
  Words words = {kMagic,
                 kFormat,
                 kTileLayout,
                 static_cast<uint64_t>(file.file_bytes()),
                 static_cast<uint64_t>(file.modified_ns()),
                 file.SampleHash(),
                 linears.size(),
                 static_cast<uint64_t>(PackedBytes(*weights))};
  constexpr size_t kGrain = kHeaderGrain / sizeof(uint64_t);
  const size_t used = kTableAt + kEntryWords * linears.size() + 1;
  const size_t size = (used + kGrain - 1) / kGrain * kGrain;
  uint64_t offset = size * sizeof(uint64_t);
  for (const Linear* linear : linears) {
    const TiledMatrix shape = TiledShape(linear->matrix);
    words.insert(words.end(),
                 {HashOf(linear->name), TypeWord(shape.type, shape.nest),
                  static_cast<uint64_t>(shape.rows),
                  static_cast<uint64_t>(shape.depth), offset, 0});
    offset += static_cast<uint64_t>(shape.bytes());
  }
  words.resize(size);
  return words;
}

// A file that is open for reading.
class Source {
 public:
  static Result<Source> Open(const std::string& path) {
    ASSIGN_OR_RETURN(const int fd, OpenRegularFile(path));
    return Source(path, fd);
  }
  Source(Source&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~Source() {
    if (fd_ >= 0) close(fd_);
  }

  // From any thread.
  Result<void> Read(int64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t got = pread(fd_, out.data(), out.size(), offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ReadError(path_, errno);
      if (got == 0) return Damaged("it ends too early");
      offset += got;
      out = out.subspan(static_cast<size_t>(got));
    }
    return {};
  }
  bool EndsAt(int64_t size) const { return lseek(fd_, 0, SEEK_END) == size; }

  Error Damaged(const std::string& what) const {
    return {ErrorCode::kCorrupt, path_ + ": " + what, ""};
  }
  Error Other(const std::string& what) const {
    return {ErrorCode::kInvalidArgument, path_ + ": " + what, ""};
  }

 private:
  Source(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

// The header of the file, which is `expected` but for its checksums.
Result<Words> ReadHeader(const Source& source, const Words& expected,
                         const std::vector<Linear*>& linears) {
  Words words(expected.size());
  RETURN_IF_ERROR(source.Read(0, std::as_writable_bytes(std::span(words))));
  const auto differs = [&](size_t begin, size_t end) {
    return !std::equal(words.begin() + static_cast<ptrdiff_t>(begin),
                       words.begin() + static_cast<ptrdiff_t>(end),
                       expected.begin() + static_cast<ptrdiff_t>(begin));
  };
  if (differs(0, kFormatAt)) return source.Other("it holds no tiles");
  if (differs(kFormatAt, kModelAt)) {
    return source.Other("it is from another version");
  }
  if (differs(kModelAt, kTableAt)) {
    return source.Other("it belongs to another model, or an older state of it");
  }
  if (words.back() != HeaderChecksum(words)) {
    return source.Damaged("its table is damaged");
  }
  Words known = words;
  for (size_t i = 0; i < words[kTableAt - 2]; ++i) {
    known[ChecksumAt(i)] = 0;
    // Whether kK serves was found when it was written.
    const WeightMatrix& m = linears[i]->matrix;
    if (KindIsOpen(m) && words[TypeAt(i)] == TypeWord(m, Nest::k8)) {
      known[TypeAt(i)] = TypeWord(m, Nest::kK);
    }
  }
  known.back() = 0;
  if (known != expected) return source.Damaged("its table is of other tensors");
  return words;
}

// A thread's share of one matrix, some tiles at a time: its checksum.
Result<uint64_t> ReadShare(const Source& source, const TiledMatrix& m,
                           int64_t offset, Range tiles) {
  constexpr int64_t kCachedBytes = 512 << 10;
  const int64_t step = std::max<int64_t>(1, kCachedBytes / m.tile_bytes);
  uint64_t sum = 0;
  for (int64_t t = tiles.begin; t < tiles.end; t += step) {
    const Range part = {t, std::min(t + step, tiles.end)};
    // The view is of memory that PlaceTiles made.
    RETURN_IF_ERROR(
        source.Read(offset + t * m.tile_bytes,
                    {const_cast<std::byte*>(m.Tile(t)),
                     static_cast<size_t>(part.size() * m.tile_bytes)}));
    if (m.nest != Nest::kNone) {
      RETURN_IF_ERROR(
          source.Read(offset + m.high_bytes() + t * m.fine_tile_bytes,
                      {const_cast<std::byte*>(m.FineTile(t)),
                       static_cast<size_t>(part.size() * m.fine_tile_bytes)}));
    }
    sum += ChecksumOf(m, part);
  }
  return sum;
}

// All of one matrix, compared with its checksum.
Result<void> ReadMatrix(const Source& source, const Linear& linear,
                        const uint64_t* entry, ThreadPool* pool) {
  const auto offset = static_cast<int64_t>(entry[kEntryChecksum - 1]);
  std::vector<Result<uint64_t>> sums(static_cast<size_t>(pool->threads()),
                                     uint64_t{0});
  pool->Run([&](int thread) {
    sums[static_cast<size_t>(thread)] =
        ReadShare(source, linear.tiles, offset,
                  Share(linear.tiles.tiles(), thread, pool->threads()));
  });
  uint64_t sum = 0;
  for (const Result<uint64_t>& each : sums) {
    if (!each) return each.error();
    sum += *each;
  }
  if (sum != entry[kEntryChecksum]) {
    return source.Damaged("tensor " + linear.name + " is damaged");
  }
  return {};
}

}  // namespace

Result<AlignedBuffer<std::byte>> ReadTiles(const std::string& path,
                                           Weights* weights, ThreadPool* pool,
                                           const PackProgress& progress) {
  ASSIGN_OR_RETURN(const Source source, Source::Open(path));
  const std::vector<Linear*> linears = LinearsOf(weights);
  ASSIGN_OR_RETURN(const Words header,
                   ReadHeader(source, HeaderOf(weights), linears));
  const int64_t total = PackedBytes(*weights);
  if (!source.EndsAt(static_cast<int64_t>(header.size() * sizeof(uint64_t)) +
                     total)) {
    return source.Damaged("it has another size than its table says");
  }
  AlignedBuffer<std::byte> buffer = PlaceTiles(weights);
  int64_t done = 0;
  for (size_t i = 0; i < linears.size(); ++i) {
    if (header[TypeAt(i)] == TypeWord(linears[i]->matrix, Nest::k8)) {
      SetKind(Nest::k8, &linears[i]->tiles);
    }
    const uint64_t* entry = &header[kTableAt + kEntryWords * i];
    RETURN_IF_ERROR(ReadMatrix(source, *linears[i], entry, pool));
    done += linears[i]->tiles.bytes();
    if (progress) progress(done, total);
  }
  return buffer;
}

Result<void> WriteTiles(const std::string& path, Weights* weights,
                        ThreadPool* pool) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const std::vector<Linear*> linears = LinearsOf(weights);
  Words header = HeaderOf(weights);
  for (size_t i = 0; i < linears.size(); ++i) {
    const TiledMatrix& m = linears[i]->tiles;
    std::atomic<uint64_t> sum = 0;
    pool->Run([&](int thread) {
      sum += ChecksumOf(m, Share(m.tiles(), thread, pool->threads()));
    });
    header[ChecksumAt(i)] = sum;
  }
  header.back() = HeaderChecksum(header);
  RETURN_IF_ERROR(file.Append(std::as_bytes(std::span(header))));
  for (const Linear* linear : linears) {
    RETURN_IF_ERROR(file.Append(
        {linear->tiles.data, static_cast<size_t>(linear->tiles.bytes())}));
  }
  return file.Commit();
}

Result<AlignedBuffer<std::byte>> LoadTiles(Weights* weights, ThreadPool* pool,
                                           const TileOptions& options) {
  TileReport unused;
  TileReport& report = options.report != nullptr ? *options.report : unused;
  report = {};
  report.bytes = PackedBytes(*weights);
  if (options.cache.empty()) {
    return PackWeights(weights, pool, options.progress);
  }
  AtomicFile::RemoveLeftovers(options.cache);
  auto kept = ReadTiles(options.cache, weights, pool, options.progress);
  report.from_cache = kept.has_value();
  if (kept) return kept;
  if (kept.error().code != ErrorCode::kNotFound) {
    report.warnings.push_back("packing anew: " + kept.error().message);
  }
  ASSIGN_OR_RETURN(AlignedBuffer<std::byte> packed,
                   PackWeights(weights, pool, options.progress));
  const auto written = WriteTiles(options.cache, weights, pool);
  report.kept = written.has_value();
  if (!written) {
    report.warnings.push_back("tiles are not kept: " + written.error().message);
  }
  return packed;
}

}  // namespace aio::model
