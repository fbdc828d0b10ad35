// SPDX-License-Identifier: Apache-2.0
#include "server/fleet_json.h"

#include "openai/fields.h"
#include "openai/json.h"

namespace aio::server {
namespace {

std::string_view StateOf(const orchestrator::Place& place) {
  if (place.drained) return "drained";
  if (!place.view.present) return "absent";
  if (!place.view.healthy) return "unhealthy";
  return place.view.full ? "full" : "ready";
}

}  // namespace

Result<DrainRequest> ParseDrain(std::string_view body) {
  ASSIGN_OR_RETURN(const auto value, openai::ParseJson(body));
  const auto* object = value.if_object();
  if (object == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "the body must be a JSON object",
                 ""};
  }
  DrainRequest request;
  openai::Fields fields(*object, "");
  fields.String("variant", &request.variant);
  fields.String("replica", &request.replica);
  fields.Bool("drained", &request.drained);
  if (request.variant.empty()) {
    fields.Fail(ErrorCode::kInvalidArgument, "variant", "is required");
  }
  RETURN_IF_ERROR(fields.Finish());
  return request;
}

std::string FleetJson(const std::vector<orchestrator::Place>& places) {
  std::string out = R"({"places":[)";
  for (const orchestrator::Place& place : places) {
    if (out.back() != '[') out.push_back(',');
    out += R"({"variant":)" + openai::JsonString(place.variant) +
           R"(,"replica":)" + openai::JsonString(place.replica) +
           R"(,"state":)" + openai::JsonString(StateOf(place)) +
           R"(,"running":)" + std::to_string(place.view.running) +
           R"(,"queued":)" + std::to_string(place.view.queued) +
           R"(,"others":)" + std::to_string(place.view.others) + "}";
  }
  return out + "]}";
}

}  // namespace aio::server
