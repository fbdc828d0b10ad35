// SPDX-License-Identifier: Apache-2.0
#include "eval/mixed.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/median.h"

namespace aio::eval {
namespace {

int64_t Tokens(const Pass& pass) {
  int64_t tokens = 0;
  for (const Record& r : pass.records) tokens += r.usage.completion_tokens;
  return tokens;
}

double TokensPerSecond(const Pass& pass) {
  return pass.seconds > 0 ? static_cast<double>(Tokens(pass)) / pass.seconds
                          : 0;
}

double RequestSeconds(const Pass& pass) {
  return pass.records.empty() ? 0 : pass.seconds / pass.records.size();
}

// f(pass) of every round.
std::vector<double> Each(const MixedContender& contender,
                         const std::function<double(const Pass&)>& f) {
  std::vector<double> values;
  for (const Pass& pass : contender.passes) values.push_back(f(pass));
  return values;
}

// [request] the median over rounds of the time it took.
std::vector<double> SecondsByRequest(const MixedContender& contender) {
  std::vector<double> out;
  for (size_t i = 0; i < contender.passes.front().records.size(); ++i) {
    const std::vector<double> seconds = Each(
        contender, [&](const Pass& pass) { return pass.records[i].seconds; });
    out.push_back(Median(seconds));
  }
  return out;
}

int DistinctTasks(const Pass& pass) {
  std::set<std::string> ids;
  for (const Record& r : pass.records) ids.insert(r.task);
  return static_cast<int>(ids.size());
}

void FillProbe(const MixedContender& contender, MixedRow* row) {
  double probe = 0;
  double seconds = 0;
  size_t requests = 0;
  for (const Pass& pass : contender.passes) {
    for (const Record& r : pass.records) {
      probe += r.probe_seconds;
      seconds += r.seconds;
      ++requests;
    }
  }
  if (requests > 0) row->probe_seconds = probe / static_cast<double>(requests);
  if (seconds > 0) row->probe_share = probe / seconds;
}

MixedRow RowOf(const MixedNames& names, const MixedContender& contender,
               const MixedContender& baseline) {
  MixedRow row;
  row.name = contender.name;
  const Pass& first = contender.passes.front();
  int small = 0;
  for (const Pass& pass : contender.passes) {
    row.requests += static_cast<int>(pass.records.size());
    for (const Record& r : pass.records) {
      row.right += r.right;
      small += r.served == names.small;
      row.sensed += !r.sensed.empty();
      row.sensed_right += r.sensed == core::Name(r.intent);
    }
    if (!contender.adaptive) break;  // the others are the same
  }
  row.small_share = static_cast<double>(small) / row.requests;
  // A task that comes twice is answered alike twice: it tells nothing new.
  row.accuracy = WilsonOfShare95(row.accuracy_share(), DistinctTasks(first));
  row.tokens_per_second = Median(Each(contender, TokensPerSecond));
  row.request_seconds = Median(Each(contender, RequestSeconds));
  const std::vector<double> own = Each(contender, TokensPerSecond);
  const std::vector<double> other = Each(baseline, TokensPerSecond);
  std::vector<double> ratios;
  for (size_t i = 0; i < own.size(); ++i) {
    ratios.push_back(other[i] > 0 ? own[i] / other[i] : 0);
  }
  row.ratio = CompareRatios(ratios, names.seed);
  int64_t weights = 0;
  int64_t tokens = 0;
  for (const Pass& pass : contender.passes) {
    weights += pass.weight_bytes;
    tokens += Tokens(pass);
  }
  if (tokens > 0) {
    row.weight_bytes_per_token =
        static_cast<double>(weights) / static_cast<double>(tokens);
  }
  FillProbe(contender, &row);
  return row;
}

const MixedContender& Named(const std::vector<MixedContender>& contenders,
                            const std::string& name) {
  const auto it =
      std::find_if(contenders.begin(), contenders.end(),
                   [&](const MixedContender& c) { return c.name == name; });
  CHECK(it != contenders.end());
  return *it;
}

// The time of the whole list: of its requests, where each has a time of its
// own, so that every ratio of a ceiling is of the same numbers.
double ListSeconds(const MixedContender& contender, int parallel) {
  if (parallel > 1) return Median(Each(contender, RequestSeconds));
  double sum = 0;
  for (const double seconds : SecondsByRequest(contender)) sum += seconds;
  return sum;
}

// All on large over the same with the `count` requests on small that gain most
// by it.
double BestChoice(const MixedContender& small, const MixedContender& large,
                  size_t count) {
  const std::vector<double> s = SecondsByRequest(small);
  const std::vector<double> l = SecondsByRequest(large);
  std::vector<double> gains;
  double all = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    gains.push_back(l[i] - s[i]);
    all += l[i];
  }
  std::sort(gains.rbegin(), gains.rend());
  double best = all;
  for (size_t i = 0; i < count && i < gains.size(); ++i) best -= gains[i];
  return best > 0 ? all / best : 0;
}

Ceiling CeilingOf(const MixedNames& names,
                  const std::vector<MixedContender>& contenders,
                  const MixedRow& router) {
  const MixedContender& all_small = Named(contenders, names.all_small);
  const MixedContender& all_large = Named(contenders, names.baseline);
  const double small = ListSeconds(all_small, names.parallel);
  const double large = ListSeconds(all_large, names.parallel);
  const double routed =
      ListSeconds(Named(contenders, names.router), names.parallel);
  Ceiling c;
  c.share = router.small_share;
  if (small <= 0 || large <= 0 || routed <= 0) return c;
  c.all_small = large / small;
  c.same_share = large / (c.share * small + (1 - c.share) * large);
  c.router = large / routed;
  if (names.parallel > 1) return c;
  const auto count = static_cast<size_t>(
      std::lround(c.share * all_small.passes.front().records.size()));
  c.best_choice = BestChoice(all_small, all_large, count);
  return c;
}

}  // namespace

double MixedRow::accuracy_share() const {
  return requests == 0 ? 0 : static_cast<double>(right) / requests;
}

Result<void> CheckRounds(const MixedContender& contender) {
  // Of each request, what each variant has said and in which round first.
  std::map<std::pair<size_t, std::string>, std::string> said;
  for (size_t round = 0; round < contender.passes.size(); ++round) {
    const std::vector<Record>& first = contender.passes.front().records;
    const std::vector<Record>& here = contender.passes[round].records;
    const std::string where =
        contender.name + ", round " + std::to_string(round + 1) + ", task '";
    for (size_t i = 0; i < here.size(); ++i) {
      if (!here[i].error.empty()) {
        return Error{ErrorCode::kUnavailable,
                     where + here[i].task + "' failed: " + here[i].error, ""};
      }
      const bool moved = here[i].served != first[i].served;
      const auto known =
          said.try_emplace({i, here[i].served}, here[i].answer).first;
      if (known->second == here[i].answer && (!moved || contender.adaptive)) {
        continue;
      }
      return Error{
          ErrorCode::kInternal,
          where + here[i].task + "' (request " + std::to_string(i + 1) + ") " +
              (moved && !contender.adaptive
                   ? "went to " + here[i].served +
                         " and in the first round to " + first[i].served
                   : "got another answer than in an earlier round") +
              ": the rounds did not measure the same work",
          ""};
    }
  }
  return {};
}

MixedReport SummarizeMixed(const MixedNames& names,
                           const std::vector<MixedContender>& contenders) {
  MixedReport report;
  report.name = names.workload;
  report.baseline = names.baseline;
  const Pass& first = contenders.front().passes.front();
  for (const Record& r : first.records) {
    ++report.mix[std::string(core::Name(r.intent))];
  }
  report.distinct = DistinctTasks(first);
  const MixedContender& baseline = Named(contenders, names.baseline);
  for (const MixedContender& c : contenders) {
    report.rows.push_back(RowOf(names, c, baseline));
  }
  const auto router =
      std::find_if(report.rows.begin(), report.rows.end(),
                   [&](const MixedRow& r) { return r.name == names.router; });
  CHECK(router != report.rows.end());
  report.ceiling = CeilingOf(names, contenders, *router);
  return report;
}

}  // namespace aio::eval
