// SPDX-License-Identifier: Apache-2.0
//
// The object graph: the only place where the layers meet. Loads what the config
// names, plans each device's memory, starts the engines, makes the probes and
// the policy, and hands out an orchestrator. `serve` puts a server in front of
// it, `generate`, `chat` and `route` call it directly: one path for all.
//
// Thread safety: Build and the destructor on one thread; the parts say theirs.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/asio_executor.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "cli/decision_file.h"
#include "cli/load_device.h"
#include "config/config.h"
#include "core/backend.h"
#include "engine/local_backend.h"
#include "orchestrator/orchestrator.h"
#include "policy/policies.h"
#include "probe/model_probe.h"
#include "upstream/process.h"
#include "upstream/upstream.h"

namespace aio::cli {

// Progress for people: one line an event.
using Say = std::function<void(const std::string&)>;

// The models of one device of the config, and the threads that compute them;
// none: no local variant is there.
struct DeviceModels {
  std::unique_ptr<ThreadPool> pool;
  LoadedDevice loaded;
};
Result<DeviceModels> LoadModels(const std::string& name,
                                const config::Config& config, const Say& say);

// What its steps take, as far as they were measured at load.
std::optional<cost::StepCost> StepCostOf(const engine::Model& model);

class Graph {
 public:
  // `on_step`: of every engine (engine::Options). `guarded`: whether
  // policy.guard_share counts, as where users are served; a measurement is not
  // to have runs of its own beside it.
  using OnStep = std::function<void(const engine::StepRecord&)>;
  static Result<std::unique_ptr<Graph>> Build(const config::Config& config,
                                              const Say& say,
                                              OnStep on_step = {},
                                              bool guarded = false);
  // Ends whatever still runs.
  ~Graph();

  orchestrator::Orchestrator& orchestrator() { return *orchestrator_; }
  // Another orchestrator over the same backends and probes, with a policy of
  // its own (as policy.kind names it), no decision log and a seed for its
  // random choices: who compares policies makes one for each. It goes before
  // the graph.
  Result<std::unique_ptr<orchestrator::Orchestrator>> WithPolicy(
      const std::string& kind, uint64_t seed) const;
  // variant -> build, file and instruction set of each local one; known after
  // WarmUp.
  const std::map<std::string, std::string>& fingerprints() const {
    return fingerprints_;
  }
  // What the steps of local variants take.
  const orchestrator::Costs& costs() const { return parts_.costs; }
  Metrics& metrics() { return metrics_; }
  boost::asio::io_context& io() { return io_; }
  // Where work of milliseconds goes that must not hold up io().
  boost::asio::any_io_executor workers() { return workers_.get_executor(); }

  // One token from every local variant, so that the first user does not pay for
  // cold pages, and the model probe's labels and prior; runs io() until done.
  // Starts the processes first, one after the other, and waits for names.
  Result<void> WarmUp();

  // Ends the processes; runs io() until they have.
  void StopProcesses();

 private:
  Graph();

  Result<void> AddDevice(const std::string& name, const config::Config& config,
                         const OnStep& on_step, const Say& say);
  void AddCosts(const LoadedDevice& loaded);
  Result<void> AddUpstreams(const config::Config& config);
  Result<void> AddUpstream(const std::string& name,
                           const config::Variant& settings);
  void AddLearnedCost(const core::Variant& variant, int sequences_max,
                      const cost::StepCost& guess);
  void OrderVariants(const config::Config& config);
  Result<void> AddOrchestrator(const config::Config& config, bool guarded);
  Result<void> AddProbes(const config::Config& config,
                         orchestrator::Parts* parts);
  Result<void> StartUpstreams();
  Result<void> PrepareProbe();
  Result<void> AddDecisionLog(const config::Config& config,
                              orchestrator::Parts* parts);

  Metrics metrics_;
  boost::asio::io_context io_;
  boost::asio::thread_pool workers_;  // renders and tokenizes
  AsioExecutor strand_;               // the orchestrator's, on io_
  AsioExecutor worker_;               // on workers_
  std::vector<std::unique_ptr<ThreadPool>> pools_;  // one per device
  std::vector<std::unique_ptr<upstream::Upstream>> upstreams_;
  std::vector<std::shared_ptr<upstream::Process>> processes_;
  std::shared_ptr<upstream::PromptHashes> hashes_;  // of all upstreams
  std::vector<core::Variant> variants_;
  std::shared_ptr<probe::ModelProbe> model_probe_;  // null: none
  std::unique_ptr<DecisionFile> decision_file_;     // null: none
  // Known ones, by variant and replica.
  std::map<std::pair<std::string, std::string>, orchestrator::VariantCost>
      costs_;
  policy::Options rule_;
  orchestrator::Parts parts_;  // of every orchestrator of this graph
  orchestrator::Options options_;
  std::map<std::string, std::string> fingerprints_;
  std::unique_ptr<orchestrator::Orchestrator> orchestrator_;
};

// Runs one request to its end on graph.io(), deltas as they come. For the
// subcommands that answer without a server.
struct Answer {
  core::Served served;
  core::Done done;
  std::string text;  // of choice 0
  Duration to_first_token{};
  Duration total{};
};
Result<Answer> RunOne(Graph* graph,
                      std::shared_ptr<const core::Request> request,
                      const std::function<void(const core::Delta&)>& on_delta);
// The answer of Orchestrator::Route, waited for in the same way.
Result<orchestrator::Explanation> RouteOne(
    Graph* graph, std::shared_ptr<const core::Request> request);

// The nearest config: `path` if given, else ./aio.yaml. kNotFound says what to
// do.
Result<config::Config> FindConfig(const std::string& path,
                                  const std::vector<std::string>& sets);

// What the config says of the policy, and of the model probe.
policy::Options PolicyOptions(const config::Policy& config,
                              const std::vector<core::Variant>& variants);
probe::ModelProbe::Options ProbeOptions(const config::Probe& config);

// The small and the large variant of that rule, for who compares what routes
// between them: kInvalidArgument where they are one.
Result<policy::Ends> EndsToCompare(const policy::Options& rule);

// A config of one local variant named after nothing but the file, for
// `generate --model F` and `chat --model F`.
config::Config ConfigOfModel(const std::string& file);

}  // namespace aio::cli
