// SPDX-License-Identifier: Apache-2.0
//
// The replicas that serve one variant: one for each URL; or, of a single URL
// whose host is a name, one for each address that the name has now. Those are
// places: an address that is new takes a free one, and one that is gone leaves
// its own, while what runs there goes on to its end.
//
// Thread safety: any thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "upstream/names.h"
#include "upstream/openai_backend.h"

namespace aio::upstream {

class Upstream {
 public:
  struct Options {
    std::vector<std::string> urls;   // not empty
    int places = 8;                  // of one name's addresses
    std::string variant;             // for metrics
    OpenAiBackend::Options backend;  // all but the url
  };
  struct Place {
    std::string name;  // "host:port", or that and "#2"; empty: the only one
    std::shared_ptr<OpenAiBackend> backend;
  };

  // Errors are those of OpenAiBackend::Make.
  static Result<std::unique_ptr<Upstream>> Make(Options options,
                                                boost::asio::any_io_executor io,
                                                Executor* clock);

  const std::vector<Place>& places() const { return places_; }

 private:
  Upstream() = default;
  Result<void> Add(const Options& options, size_t index,
                   const boost::asio::any_io_executor& io, Executor* clock);

  std::vector<Place> places_;
  std::shared_ptr<Names> names_;  // null: nobody shares a name
};

// Which place each address has: those that are known stay where they are. An
// address without a place is left out.
std::vector<std::optional<Connection::Address>> Placed(
    std::vector<std::optional<Connection::Address>> before,
    const std::vector<Connection::Address>& now);

}  // namespace aio::upstream
