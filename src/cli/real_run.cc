// SPDX-License-Identifier: Apache-2.0
#include "cli/real_run.h"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <utility>

#include "base/asio_executor.h"

namespace aio::cli {

sim::WorkloadOptions Spelled(sim::WorkloadOptions workload, uint64_t seed,
                             int vocabulary) {
  workload.spelled = true;
  workload.seed = seed;
  // The second quarter of a vocabulary: no bytes, nothing special.
  workload.token_least = vocabulary / 4;
  workload.token_count = vocabulary / 4;
  return workload;
}

Result<RealRun> RunReal(Graph* graph, RealOptions options) {
  boost::asio::io_context& io = graph->io();
  AsioExecutor executor(io.get_executor());
  ASSIGN_OR_RETURN(const auto orchestrator,
                   graph->WithPolicy(options.policy, options.seed));
  sim::Clients::Options clients_options;
  clients_options.workload = std::move(options.workload);
  clients_options.variants = std::move(options.variants);
  clients_options.quality = std::move(options.quality);
  clients_options.threads = true;
  clients_options.progress = std::move(options.progress);
  const std::string name = clients_options.workload.name;
  sim::Clients clients(std::move(clients_options), &executor,
                       orchestrator.get());
  io.restart();
  const auto guard = boost::asio::make_work_guard(io);
  executor.Post([&] { clients.Start([&io] { io.stop(); }); });
  io.run();
  RealRun run;
  run.seconds = clients.seconds();
  run.variants = clients.Rows();
  run.all = std::move(run.variants.back());
  run.variants.pop_back();
  if (run.all.failed == 0) return run;
  return Error{ErrorCode::kInternal,
               fmt::format("{} requests of {} failed", run.all.failed, name),
               ""};
}

}  // namespace aio::cli
