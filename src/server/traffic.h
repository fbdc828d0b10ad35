// SPDX-License-Identifier: Apache-2.0
//
// The metrics of the HTTP side. Labels come from fixed sets: routes of the
// table, status classes, names of the file of keys, the kinds named here.
//
// Thread safety: any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "base/metrics.h"

namespace aio::server {

class Traffic {
 public:
  // `metrics` must outlive this.
  explicit Traffic(Metrics* metrics);

  void Opened();
  void Closed();
  void Refused();  // one connection too many
  void Begun();    // a request's header has been read
  void Ended(std::string_view route, int status, Duration total);
  void FirstToken(Duration since_header);
  void SlowClient();  // stopped reading and was cancelled
  void Disconnect();  // went away while its request ran
  // A request past a limit of the key of that name; Limited::limit.
  void Limited(const std::string& key, std::string_view limit);
  void KeyTokens(const std::string& key, int64_t tokens);
  // "idle", "header", "body", "write", "request".
  void Timeout(std::string_view kind);

 private:
  Metrics* metrics_;
  prometheus::Gauge* connections_;
  prometheus::Gauge* in_flight_;
  prometheus::Counter* refused_;
  prometheus::Counter* slow_;
  prometheus::Counter* disconnects_;
  prometheus::Histogram* first_token_;
};

}  // namespace aio::server
