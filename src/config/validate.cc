// SPDX-License-Identifier: Apache-2.0
#include "config/validate.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/nearest.h"
#include "config/units.h"
#include "core/intent.h"

namespace aio::config {
namespace {

constexpr std::string_view kStatic = "static:";

class Validator {
 public:
  Validator(const YAML::Node& root, Reading* reading, Config* config)
      : root_(root), reading_(reading), config_(config) {
    for (const auto& [name, variant] : config->variants) {
      variant_names_.push_back(name);
    }
  }

  void Run() {
    CheckServer();
    CheckDevices();
    CheckVariants();
    CheckProbe();
    CheckPolicy();
    CheckLog();
  }

 private:
  // The error's line is that of the deepest node on the way that exists.
  void Fail(const std::vector<std::string>& keys, const std::string& message) {
    YAML::Node node = root_;
    std::string path;
    for (const std::string& key : keys) {
      path += (path.empty() ? "" : ".") + key;
      if (!node.IsDefined() || !node.IsMap()) continue;
      const YAML::Node& map = node;
      const YAML::Node next = map[key];
      if (next.IsDefined()) node.reset(next);
    }
    reading_->Fail(node, path, message);
  }

  void CheckServer() {
    const auto endpoint = ParseEndpoint(config_->server.listen);
    if (!endpoint) Fail({"server", "listen"}, endpoint.error().message);
  }

  void CheckDevices() {
    if (config_->devices.empty()) config_->devices["cpu0"] = Device();
    for (const auto& [name, device] : config_->devices) {
      if (device.kind != "cpu") {
        Fail({"devices", name, "kind"},
             "'" + device.kind + "' is not supported yet, only cpu");
      }
    }
  }

  // Names go into URLs, headers, metrics and file names.
  static bool IsName(const std::string& name) {
    const auto good = [](unsigned char c) {
      return std::isalnum(c) != 0 ||
             std::string_view("._-@:/+").find(c) != std::string_view::npos;
    };
    return !name.empty() && name.size() <= 64 && name != "auto" &&
           std::all_of(name.begin(), name.end(), good);
  }

  void CheckVariants() {
    if (config_->variants.empty()) {
      Fail({"variants"}, "at least one variant is needed");
    }
    for (auto& [name, variant] : config_->variants) {
      if (!IsName(name)) {
        Fail({"variants", name},
             "a name has 1 to 64 letters, digits or ._-@:/+ and is not 'auto'");
      }
      if (variant.upstream.empty()) {
        CheckLocal(name, &variant);
      } else {
        CheckRemote(name, variant);
      }
    }
  }

  void CheckLocal(const std::string& name, Variant* variant) {
    if (variant->model.empty()) {
      Fail({"variants", name}, "needs 'model' (a GGUF file) or 'upstream'");
    }
    if (!variant->api_key_env.empty()) {
      Fail({"variants", name, "api_key_env"}, "is for upstreams only");
    }
    std::vector<std::string> devices;
    for (const auto& [device, unused] : config_->devices) {
      devices.push_back(device);
    }
    if (variant->device.empty() && devices.size() == 1) {
      variant->device = devices[0];
    } else if (variant->device.empty()) {
      Fail({"variants", name}, "needs 'device': there are several");
    } else if (!config_->devices.contains(variant->device)) {
      Fail({"variants", name, "device"},
           "unknown device '" + variant->device + "'" +
               DidYouMean(variant->device, devices));
    }
  }

  void CheckRemote(const std::string& name, const Variant& variant) {
    for (const std::string& url : variant.upstream) {
      if (!url.starts_with("http://") && !url.starts_with("https://")) {
        Fail({"variants", name, "upstream"},
             "'" + url + "' is not http://HOST:PORT/v1");
      }
      if (std::ranges::count(variant.upstream, url) > 1) {
        Fail({"variants", name, "upstream"}, "'" + url + "' is there twice");
      }
    }
    if (!variant.process.command.empty()) {
      TakeMemory(name, variant);
    } else if (!variant.device.empty()) {
      Fail({"variants", name, "device"}, "an upstream has no device of ours");
    }
    if (!variant.draft.empty()) {
      Fail({"variants", name, "draft"}, "an upstream has drafts of its own");
    }
    if (variant.view) {
      Fail({"variants", name, "view"}, "an upstream has its own weights");
    }
    if (variant.kv_memory != 0) {
      Fail({"variants", name, "kv_memory"}, "an upstream has its own memory");
    }
  }

  // What a process takes of a device is not there for our own models.
  void TakeMemory(const std::string& name, const Variant& variant) {
    if (variant.upstream.size() != 1) {
      Fail({"variants", name, "upstream"}, "a process is one replica");
    }
    if (variant.process.memory == 0) return;
    const bool only = variant.device.empty() && config_->devices.size() == 1;
    const auto device = only ? config_->devices.begin()
                             : config_->devices.find(variant.device);
    if (device == config_->devices.end()) {
      Fail({"variants", name, "device"},
           "process.memory is of a device: name which");
      return;
    }
    device->second.memory_taken += variant.process.memory;
  }

  void CheckName(const std::vector<std::string>& keys,
                 const std::string& name) {
    if (name.empty()) return;
    const bool known = std::find(variant_names_.begin(), variant_names_.end(),
                                 name) != variant_names_.end();
    if (known) return;
    Fail(keys,
         "unknown variant '" + name + "'" + DidYouMean(name, variant_names_));
  }

  void CheckProbe() {
    CheckName({"probe", "model"}, config_->probe.model);
    const std::vector<std::string> labels(core::kLabelNames.begin(),
                                          core::kLabelNames.end());
    for (const auto& [label, token] : config_->probe.labels) {
      if (!core::LabelNamed(label)) {
        Fail({"probe", "labels", label},
             "unknown label" + DidYouMean(label, labels));
      }
      if (token.empty()) Fail({"probe", "labels", label}, "must not be empty");
    }
  }

  void CheckKind(const std::string& key, const std::string& kind) {
    if (kind.starts_with(kStatic)) {
      const std::string name = kind.substr(kStatic.size());
      if (name.empty()) Fail({"policy", key}, "static: names no variant");
      CheckName({"policy", key}, name);
    } else if (kind != "marginal" && kind != "paper" && kind != "random") {
      Fail({"policy", key},
           "unknown policy '" + kind + "'" +
               DidYouMean(kind, {"marginal", "paper", "random", "static:"}) +
               " (marginal, paper, random, static:<variant>)");
    }
  }

  void CheckPolicy() {
    const Policy& policy = config_->policy;
    CheckName({"policy", "small"}, policy.small);
    CheckName({"policy", "large"}, policy.large);
    CheckKind("kind", policy.kind);
    if (!policy.shadow.empty()) CheckKind("shadow", policy.shadow);
    const std::vector<std::string> objectives = {"latency", "throughput",
                                                 "tradeoff"};
    if (std::ranges::find(objectives, policy.objective) == objectives.end()) {
      Fail({"policy", "objective"},
           "unknown objective '" + policy.objective + "'" +
               DidYouMean(policy.objective, objectives) +
               " (latency, throughput, tradeoff)");
    }
  }

  void CheckLog() {
    const auto level = ParseLogLevel(config_->log.level);
    if (!level) Fail({"log", "level"}, level.error().message);
  }

  const YAML::Node& root_;
  Reading* reading_;
  Config* config_;
  std::vector<std::string> variant_names_;
};

}  // namespace

void Validate(const YAML::Node& root, Reading* reading, Config* config) {
  Validator(root, reading, config).Run();
}

}  // namespace aio::config
