// SPDX-License-Identifier: Apache-2.0
//
// How right prices were: what was said of a request's times when it was
// decided, against what they were, over a decision log.
//
// Thread safety: none.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <vector>

#include "cost/price.h"

namespace aio::cli {

class Forecasts {
 public:
  // A request that ended well after one attempt; `outcome` as the log has it.
  // Throws what Boost throws if it is none. Else, or without a price: nothing.
  void Add(const cost::Price& said, const boost::json::object& outcome);

  bool empty() const { return ratios_.empty(); }
  std::string Table() const;
  boost::json::object ToJson() const;

 private:
  // What came over what was said.
  struct Ratios {
    std::vector<double> ttft, token;
  };
  std::map<std::string, Ratios> ratios_;  // by variant; "all" of them
};

}  // namespace aio::cli
