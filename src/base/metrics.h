// SPDX-License-Identifier: Apache-2.0
//
// Counters, gauges and histograms, exported in Prometheus' text format. One
// object is made in cli/ and handed down; there is no global registry. Label
// values must come from a bounded set (variant names, codes), never from a
// request.
//
// Thread safety: any thread. Cost: a labelled lookup takes a lock and a hash;
// keep the returned pointer on hot paths (it stays valid).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace aio {

using Labels = std::map<std::string, std::string>;

class Metrics {
 public:
  Metrics();
  ~Metrics();

  // Each returns the series of that name and labels, made at first use. A name
  // keeps the help of its first use. Names end in their unit (_total, _seconds,
  // _bytes).
  prometheus::Counter* Counter(const std::string& name, const std::string& help,
                               const Labels& labels = {});
  prometheus::Gauge* Gauge(const std::string& name, const std::string& help,
                           const Labels& labels = {});
  // Bucket bounds in seconds, 1 ms to 100 s, three a decade.
  prometheus::Histogram* Seconds(const std::string& name,
                                 const std::string& help,
                                 const Labels& labels = {});

  // Bucket bounds around 1: what was measured over what was said.
  prometheus::Histogram* Ratio(const std::string& name, const std::string& help,
                               const Labels& labels = {});

  // Bucket bounds from 0 to 1, in tenths.
  prometheus::Histogram* Share(const std::string& name, const std::string& help,
                               const Labels& labels = {});

  void Add(const std::string& name, const std::string& help, double value,
           const Labels& labels = {});
  void Set(const std::string& name, const std::string& help, double value,
           const Labels& labels = {});
  void Observe(const std::string& name, const std::string& help, double seconds,
               const Labels& labels = {});

  // The whole registry, text format 0.0.4.
  std::string Export() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace aio
