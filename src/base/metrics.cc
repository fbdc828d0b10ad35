// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace aio {

// kMerge: the same name asked for twice is the same family, not an exception.
Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>(
          prometheus::Registry::InsertBehavior::Merge)) {}

Metrics::~Metrics() = default;

prometheus::Counter* Metrics::Counter(const std::string& name,
                                      const std::string& help,
                                      const Labels& labels) {
  return &prometheus::BuildCounter()
              .Name(name)
              .Help(help)
              .Register(*registry_)
              .Add(labels);
}

prometheus::Gauge* Metrics::Gauge(const std::string& name,
                                  const std::string& help,
                                  const Labels& labels) {
  return &prometheus::BuildGauge()
              .Name(name)
              .Help(help)
              .Register(*registry_)
              .Add(labels);
}

prometheus::Histogram* Metrics::Seconds(const std::string& name,
                                        const std::string& help,
                                        const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries kBounds = {
      0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
      0.5,   1,     2,     5,    10,   20,   50,  100};
  return &prometheus::BuildHistogram()
              .Name(name)
              .Help(help)
              .Register(*registry_)
              .Add(labels, kBounds);
}

prometheus::Histogram* Metrics::Ratio(const std::string& name,
                                      const std::string& help,
                                      const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries kBounds = {
      0.25, 0.5, 0.67, 0.8,  0.85, 0.9, 0.95, 1,
      1.05, 1.1, 1.15, 1.25, 1.5,  2,   4};
  return &prometheus::BuildHistogram()
              .Name(name)
              .Help(help)
              .Register(*registry_)
              .Add(labels, kBounds);
}

prometheus::Histogram* Metrics::Share(const std::string& name,
                                      const std::string& help,
                                      const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries kBounds = {
      0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
  return &prometheus::BuildHistogram()
              .Name(name)
              .Help(help)
              .Register(*registry_)
              .Add(labels, kBounds);
}

void Metrics::Add(const std::string& name, const std::string& help,
                  double value, const Labels& labels) {
  Counter(name, help, labels)->Increment(value);
}

void Metrics::Set(const std::string& name, const std::string& help,
                  double value, const Labels& labels) {
  Gauge(name, help, labels)->Set(value);
}

void Metrics::Observe(const std::string& name, const std::string& help,
                      double seconds, const Labels& labels) {
  Seconds(name, help, labels)->Observe(seconds);
}

std::string Metrics::Export() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace aio
