// SPDX-License-Identifier: Apache-2.0
//
// One request being answered by an upstream: messages of the wire into calls of
// its sink.
//
// Thread safety: Begin once; the rest runs on its exchange's strand.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "openai/answer.h"
#include "upstream/shared.h"

namespace aio::upstream {

class OpenAiBackend::Serving
    : public std::enable_shared_from_this<OpenAiBackend::Serving> {
 public:
  Serving(std::shared_ptr<Shared> shared,
          std::shared_ptr<const core::Request> request, core::Plan plan,
          std::shared_ptr<core::Sink> sink);

  // An error is returned, and then the sink hears nothing.
  Result<void> Begin();

 private:
  Result<bool> OnMessage(std::string_view message);
  Result<bool> OnEmbeddings(std::string_view message);
  void OnFirst(const openai::Answer& answer);
  Result<void> OnEnd(const Ended& ended);
  Result<core::Done> Completed();

  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<const core::Request> request_;
  const core::Plan plan_;
  const bool embeds_;
  std::shared_ptr<core::Sink> sink_;
  std::vector<std::optional<core::FinishReason>> finished_;  // [choice]
  std::optional<core::Usage> usage_;
  core::Done raw_;  // as it was sent
  int pieces_ = 0;
  bool started_ = false;
  bool done_ = false;
};

}  // namespace aio::upstream
