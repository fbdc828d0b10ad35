// SPDX-License-Identifier: Apache-2.0
#include "cli/route_predictor.h"

#include <fasttext/fasttext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "base/random.h"
#include "probe/fasttext_args.h"

namespace aio::cli {
namespace {

constexpr const char* kStrong = "__label__strong";
constexpr const char* kWeak = "__label__weak";

// A file that is gone with the object.
class TemporaryFile {
 public:
  static Result<TemporaryFile> Write(const std::string& bytes) {
    std::error_code none;
    std::string path =
        (std::filesystem::temp_directory_path(none) / "aio_route_XXXXXX")
            .string();
    const int fd = mkstemp(path.data());
    if (fd < 0) return Failed(path);
    TemporaryFile file(path);
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) break;
      done += static_cast<size_t>(n);
    }
    const bool closed = close(fd) == 0;
    if (done < bytes.size() || !closed) return Failed(path);
    return file;
  }
  TemporaryFile(TemporaryFile&& other) noexcept
      : path_(std::exchange(other.path_, {})) {}
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  static Error Failed(const std::string& path) {
    return {ErrorCode::kUnavailable,
            path + ": " + std::generic_category().message(errno), ""};
  }

  std::string path_;
};

// Mixed, or the last subject of the files would have the last word.
std::string TrainingText(std::span<const PredictorSample> samples,
                         uint64_t seed) {
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < samples.size(); ++i) {
    order.emplace_back(RandomBits(seed, 0, i), i);
  }
  std::ranges::sort(order);
  std::string text;
  for (const auto& [key, i] : order) {
    text += samples[i].strong ? kStrong : kWeak;
    text += ' ' + samples[i].line + '\n';
  }
  return text;
}

}  // namespace

RoutePredictor::RoutePredictor(std::unique_ptr<fasttext::FastText> model)
    : model_(std::move(model)) {}
RoutePredictor::RoutePredictor(RoutePredictor&&) noexcept = default;
RoutePredictor::~RoutePredictor() = default;

Result<RoutePredictor> RoutePredictor::Fit(
    std::span<const PredictorSample> samples, uint64_t seed) {
  ASSIGN_OR_RETURN(const TemporaryFile file,
                   TemporaryFile::Write(TrainingText(samples, seed)));
  auto model = std::make_unique<fasttext::FastText>();
  try {
    // As the text probe is fitted, so that the comparison is of what they
    // learn.
    model->train(probe::FastTextArgs(file.path(), 10, 5, 0.3));
  } catch (const std::exception& e) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string("too little to learn from: ") + e.what(), ""};
  }
  return RoutePredictor(std::move(model));
}

double RoutePredictor::Score(const std::string& line) const {
  std::vector<std::pair<float, std::string>> found;
  try {
    std::istringstream in(line + "\n");
    model_->predictLine(in, found, 2, 0);
  } catch (const std::exception&) {
    return 0.5;
  }
  for (const auto& [p, name] : found) {
    if (name == kStrong) return std::clamp(double{p}, 0.0, 1.0);
  }
  return 0;  // only the other label was ever seen
}

}  // namespace aio::cli
