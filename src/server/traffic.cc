// SPDX-License-Identifier: Apache-2.0
#include "server/traffic.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace aio::server {

Traffic::Traffic(Metrics* metrics)
    : metrics_(metrics),
      connections_(metrics->Gauge("aio_http_connections", "Open connections")),
      in_flight_(metrics->Gauge("aio_http_requests_in_flight",
                                "Requests read and not yet answered")),
      refused_(metrics->Counter("aio_http_connections_refused_total",
                                "Connections past server.connections_max")),
      slow_(metrics->Counter("aio_http_slow_clients_total",
                             "Requests cancelled because the client did not "
                             "read its answer")),
      disconnects_(
          metrics->Counter("aio_http_disconnects_total",
                           "Requests cancelled because the client went away")),
      first_token_(metrics->Seconds(
          "aio_http_first_token_seconds",
          "From the end of the request's header to its first text")) {}

void Traffic::Opened() { connections_->Increment(); }
void Traffic::Closed() { connections_->Decrement(); }
void Traffic::Refused() { refused_->Increment(); }
void Traffic::Begun() { in_flight_->Increment(); }

void Traffic::Ended(std::string_view route, int status, Duration total) {
  in_flight_->Decrement();
  const std::string name(route);
  metrics_->Add(
      "aio_http_requests_total", "Requests by route and status class", 1,
      {{"route", name}, {"status", std::to_string(status / 100) + "xx"}});
  metrics_->Observe("aio_http_request_seconds",
                    "From the end of the request's header to its end",
                    Seconds(total), {{"route", name}});
}

void Traffic::FirstToken(Duration since_header) {
  first_token_->Observe(Seconds(since_header));
}
void Traffic::SlowClient() { slow_->Increment(); }
void Traffic::Disconnect() { disconnects_->Increment(); }

void Traffic::Limited(const std::string& key, std::string_view limit) {
  metrics_->Add("aio_limited_total",
                "Requests refused because their API key had no more of it", 1,
                {{"key", key}, {"limit", std::string(limit)}});
}

void Traffic::KeyTokens(const std::string& key, int64_t tokens) {
  metrics_->Add("aio_key_tokens_total",
                "Tokens of prompts and answers by API key",
                static_cast<double>(tokens), {{"key", key}});
}

void Traffic::Timeout(std::string_view kind) {
  metrics_->Add("aio_http_timeouts_total",
                "Time limits that ended a request or a connection", 1,
                {{"kind", std::string(kind)}});
}

}  // namespace aio::server
