// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <utility>

#include "base/affinity.h"
#include "config/calibration.h"
#include "config/quality_table.h"
#include "config/section.h"
#include "config/text_file.h"
#include "config/validate.h"

namespace aio::config {

std::optional<KvType> KvTypeNamed(std::string_view name) {
  if (name == "f32") return KvType::kF32;
  if (name == "f16") return KvType::kF16;
  if (name == "q8") return KvType::kQ8;
  return std::nullopt;
}

namespace {

Server ReadServer(Section s) {
  Server server;
  s.String("listen", &server.listen);
  s.Path("api_keys", &server.api_keys);
  s.Bytes("body_bytes_max", &server.body_bytes_max);
  s.Bytes("header_bytes_max", &server.header_bytes_max);
  s.Count("connections_max", 1, &server.connections_max);
  s.Count("requests_max", 1, &server.requests_max);
  s.Count("choices_max", 1, &server.choices_max);
  s.Count("stop_max", 1, &server.stop_max);
  s.Bytes("write_buffer_bytes_max", &server.write_buffer_bytes_max);
  s.Time("header_timeout", &server.header_timeout);
  s.Time("body_timeout", &server.body_timeout);
  s.Time("idle_timeout", &server.idle_timeout);
  s.Time("write_timeout", &server.write_timeout);
  s.Time("request_timeout", &server.request_timeout);
  s.Time("drain_timeout", &server.drain_timeout);
  s.Time("keep_alive_interval", &server.keep_alive_interval);
  s.Finish();
  return server;
}

void ReadKv(Section* s, KvType* out) {
  std::string name = "f16";
  s->String("kv", &name);
  const auto type = KvTypeNamed(name);
  if (!type) return s->Fail("kv", "'" + name + "' is none of f16, f32, q8");
  *out = *type;
}

// A word stands for itself; what is no word is a path.
void ReadCache(Section* s, const char* key, std::string* out) {
  s->String(key, out);
  if (*out != "auto" && *out != "off") s->Path(key, out);
}

void ReadPin(Section* s, std::string* out) {
  s->String("pin", out);
  if (*out == "auto" || *out == "off") return;
  const auto cpus = ParseCpuList(*out);
  if (!cpus) s->Fail("pin", cpus.error().message + ", nor auto or off");
}

Device ReadDevice(Section s) {
  Device device;
  s.String("kind", &device.kind);
  s.Number("price", 1e-6, 1e6, &device.price);
  s.CountOrAuto("threads", &device.threads);
  ReadPin(&s, &device.pin);
  s.BytesOrAuto("memory_limit", &device.memory_limit);
  ReadKv(&s, &device.kv_type);
  s.Count("columns_max", 1, &device.columns_max);
  s.Count("sequences_max", 1, &device.sequences_max);
  s.Count("queue_max", 1, &device.queue_max);
  s.Bool("prefix_cache", &device.prefix_cache);
  s.Bool("step_table", &device.step_table);
  ReadCache(&s, "step_cache", &device.step_cache);
  ReadCache(&s, "tile_cache", &device.tile_cache);
  s.Finish();
  return device;
}

void ReadView(Section* s, std::optional<core::View>* out) {
  std::string name;
  s->String("view", &name);
  *out = core::ViewNamed(name);
  if (!*out && !name.empty()) {
    s->Fail("view", "'" + name + "' is none of 4, 8, auto");
  }
}

void ReadThinking(Section* s, bool upstream, core::ThinkingSwitch* out) {
  std::string name = "none";
  s->String("thinking", &name);
  const auto how = core::ThinkingSwitchNamed(name);
  if (!how) {
    s->Fail("thinking", "'" + name + "' is none of none, template, word");
  } else if (*how != core::ThinkingSwitch::kNone && !upstream) {
    s->Fail("thinking", "is of upstreams; a file shows how it is told");
  } else {
    *out = *how;
  }
}

void ReadFeatures(Section s, core::Features* out) {
  const std::vector<std::string> names(core::kFeatureNames.begin(),
                                       core::kFeatureNames.end());
  for (const std::string& name : names) {
    const core::Features bit = core::Bit(*core::FeatureNamed(name));
    bool has = (*out & bit) != 0;
    s.Bool(name, &has);
    *out = has ? *out | bit : *out & ~bit;
  }
  s.Finish();
}

void ReadUpstream(Section* s, Upstream* out) {
  s->String("profile", &out->profile);
  s->String("shape", &out->shape);
  s->String("npu", &out->npu);
  s->Count("capture_sizes", 1, &out->capture_sizes);
  ReadFeatures(s->Map("features"), &out->features);
  s->Count("requests_max", 1, &out->requests_max);
  s->Count("replicas_max", 1, &out->replicas_max);
  s->String("health", &out->health);
  if (out->health != "off" && !out->health.starts_with("/")) {
    s->Fail("health", "'" + out->health + "' is neither off nor a path");
  }
  s->Time("health_every", &out->health_every);
  s->String("metrics", &out->metrics);
  if (out->metrics != "off" && !out->metrics.starts_with("/")) {
    s->Fail("metrics", "'" + out->metrics + "' is neither off nor a path");
  }
  s->Bool("prefix_cache", &out->prefix_cache);
  s->Path("tls_ca", &out->tls_ca);
  s->Time("connect_timeout", &out->connect_timeout);
  s->Time("first_byte_timeout", &out->first_byte_timeout);
  s->Time("idle_timeout", &out->idle_timeout);
  s->Time("total_timeout", &out->total_timeout);
}

Process ReadProcess(Section s) {
  Process process;
  s.StringOrStrings("command", &process.command);
  s.Count("port", 1, &process.port);
  s.String("ready", &process.ready);
  s.Time("ready_timeout", &process.ready_timeout);
  s.Time("stop", &process.stop);
  s.Bytes("memory", &process.memory);
  if (!process.command.empty() &&
      (process.port < 1 || process.port > 65535)) {
    s.Fail("port", "a process needs a port from 1 to 65535");
  }
  if (!process.ready.starts_with("/")) s.Fail("ready", "is no path");
  s.Finish();
  return process;
}

Variant ReadVariant(Section s) {
  Variant variant;
  s.StringOrStrings("upstream", &variant.upstream);
  variant.process = ReadProcess(s.Map("process"));
  if (!variant.process.command.empty() && variant.upstream.empty()) {
    variant.upstream = {"http://127.0.0.1:" +
                        std::to_string(variant.process.port) + "/v1"};
  }
  if (variant.upstream.empty()) {
    s.Path("model", &variant.model);
  } else {
    s.String("model", &variant.model);  // a name, not a file
    ReadUpstream(&s, &variant.remote);
  }
  s.String("device", &variant.device);
  s.String("api_key_env", &variant.api_key_env);
  s.CountOrAuto("context_max", &variant.context_max);
  s.BytesOrAuto("kv_memory", &variant.kv_memory);
  s.Bool("speculation", &variant.speculation);
  s.String("draft", &variant.draft);
  ReadView(&s, &variant.view);
  ReadThinking(&s, !variant.upstream.empty(), &variant.thinking);
  s.Finish();
  return variant;
}

Probe ReadProbe(Section s) {
  Probe probe;
  s.Path("text", &probe.text);
  s.String("model", &probe.model);
  s.Count("tokens_max", 1, &probe.tokens_max);
  s.Time("deadline", &probe.deadline);
  s.Number("deadline_share", 0, 100, &probe.deadline_share);
  s.String("suffix", &probe.suffix);
  s.Number("temperature", 0.01, 100, &probe.temperature);
  s.Bool("prior", &probe.prior);
  for (auto& [label, token] : s.Strings("labels")) {
    probe.labels.emplace(std::move(label), std::move(token));
  }
  s.Finish();
  return probe;
}

Policy ReadPolicy(Section s) {
  Policy policy;
  s.String("kind", &policy.kind);
  s.String("shadow", &policy.shadow);
  s.String("small", &policy.small);
  s.String("large", &policy.large);
  s.Number("entropy_max", 0, 10, &policy.entropy_max);
  s.Number("quality_floor", 0, 1, &policy.quality_floor);
  s.String("objective", &policy.objective);
  s.Count("context_tokens_max", 1, &policy.context_tokens_max);
  s.Number("guard_share", 0, 1, &policy.guard_share);
  s.Number("guard_agreement_min", 0, 1, &policy.guard_agreement_min);
  s.Number("escalation_margin", 0, 1, &policy.escalation_margin);
  s.Count("escalation_tokens", 1, &policy.escalation_tokens);
  s.Path("quality_table", &policy.quality_table);
  s.Path("calibration", &policy.calibration);
  s.Finish();
  return policy;
}

Log ReadLog(Section s) {
  Log log;
  s.String("level", &log.level);
  s.Bool("prompts", &log.prompts);
  s.Path("decisions", &log.decisions);
  s.Finish();
  return log;
}

Config ReadConfig(Reading* reading, const YAML::Node& root) {
  Config config;
  Section top(reading, root, "");
  config.server = ReadServer(top.Map("server"));
  for (auto& [name, section] : top.Maps("devices")) {
    config.devices.emplace(name, ReadDevice(section));
  }
  for (auto& [name, section] : top.Maps("variants")) {
    config.variants.emplace_back(name, ReadVariant(section));
  }
  config.probe = ReadProbe(top.Map("probe"));
  config.policy = ReadPolicy(top.Map("policy"));
  config.log = ReadLog(top.Map("log"));
  top.Finish();
  return config;
}

// The length of the first key of `path`: the longest key of `map` that it
// begins with, since a variant's name may have dots in it, else up to the dot.
size_t FirstKey(const YAML::Node& map, const std::string& path) {
  size_t length = 0;
  if (map.IsMap()) {
    for (const auto& pair : map) {
      if (!pair.first.IsScalar()) continue;
      const std::string& key = pair.first.Scalar();
      const bool whole = path.starts_with(key) &&
                         (path.size() == key.size() || path[key.size()] == '.');
      if (whole) length = std::max(length, key.size());
    }
  }
  return length > 0 ? length : std::min(path.find('.'), path.size());
}

Result<void> Apply(const Override& override, YAML::Node* root) {
  if (!root->IsDefined() || root->IsNull()) {
    *root = YAML::Node(YAML::NodeType::Map);
  }
  YAML::Node node = *root;
  std::string rest = override.path;
  const Error wrong{ErrorCode::kInvalidArgument,
                    "--set: '" + override.path + "' is no path to a key",
                    override.path};
  while (true) {
    if (!node.IsMap()) return wrong;
    const size_t length = FirstKey(node, rest);
    if (length == 0) return wrong;
    const std::string key = rest.substr(0, length);
    if (length == rest.size()) {
      node[key] = YAML::Load(override.value);
      return {};
    }
    rest.erase(0, length + 1);
    const YAML::Node& map = node;  // const, or looking makes the key
    const YAML::Node found = map[key];
    if (!found.IsDefined() || found.IsNull()) {
      node[key] = YAML::Node(YAML::NodeType::Map);
    }
    const YAML::Node next = node[key];
    node.reset(next);
  }
}

Error About(const std::string& key, Error error) {
  return {error.code, key + ": " + error.message, key};
}

// Whether the file, or what is set over it, has that key.
bool Says(const YAML::Node& root, const char* section, const char* key) {
  const YAML::Node part = root[section];
  if (!part.IsDefined() || !part.IsMap()) return false;
  const YAML::Node value = part[key];
  return value.IsDefined() && !value.IsNull();
}

// Of `config`'s probe, as far as `root` leaves it open.
Result<void> ApplyProbeFit(const YAML::Node& root, const std::string& file,
                           Config* config) {
  Probe& probe = config->probe;
  if (probe.model.empty()) return {};
  ASSIGN_OR_RETURN(const ProbeFit fit, LoadProbeFit(file));
  if (fit.variant != probe.model || fit.suffix != probe.suffix) {
    return Error{ErrorCode::kInvalidArgument,
                 file + ": was fitted to what '" + fit.variant +
                     "' says after '" + fit.suffix + "', but the probe asks '" +
                     probe.model + "' with '" + probe.suffix +
                     "': calibrate anew",
                 ""};
  }
  if (!Says(root, "probe", "temperature")) probe.temperature = fit.temperature;
  if (!Says(root, "probe", "prior")) probe.prior = fit.prior;
  return {};
}

Result<void> ApplyTextFit(const std::string& file, Probe* probe) {
  if (probe->text.empty()) return {};
  ASSIGN_OR_RETURN(const TextFit fit, LoadTextFit(file));
  probe->text_meant = fit.meant;
  probe->text_fingerprint = fit.fingerprint;
  return {};
}

Result<void> ReadTables(const YAML::Node& root, Config* config) {
  Policy& policy = config->policy;
  std::vector<std::string> variants;
  for (const auto& [name, variant] : config->variants) variants.push_back(name);
  std::string quality = policy.quality_table;
  const char* key = "policy.quality_table";
  if (const std::filesystem::path folder = policy.calibration;
      !folder.empty()) {
    constexpr const char* kKey = "policy.calibration";
    if (quality.empty()) {
      quality = (folder / kQualityFile).string();
      key = kKey;
    }
    auto lengths = LoadLengths((folder / kLengthsFile).string(), variants);
    if (!lengths) return About(kKey, lengths.error());
    policy.lengths = *std::move(lengths);
    const auto applied =
        ApplyProbeFit(root, (folder / kProbeFile).string(), config);
    if (!applied) return About(kKey, applied.error());
    const auto text =
        ApplyTextFit((folder / kTextFile).string(), &config->probe);
    if (!text) return About(kKey, text.error());
  }
  if (quality.empty()) return {};
  auto table = LoadQualityTable(quality, variants);
  if (!table) return About(key, table.error());
  policy.quality = *std::move(table);
  return {};
}

Result<Config> ParseAs(const std::string& source, std::string_view yaml,
                       const std::string& folder,
                       const std::vector<Override>& overrides) {
  if (yaml.size() > kFileBytesMax) {
    return Error{ErrorCode::kInvalidArgument,
                 source + ": larger than 1 MiB, this is no configuration", ""};
  }
  Reading reading{source, folder, overrides, std::nullopt};
  // yaml-cpp throws on syntax, on depth over 500 and on wrong node types.
  try {
    YAML::Node root = YAML::Load(std::string(yaml));
    for (const Override& override : overrides) {
      RETURN_IF_ERROR(Apply(override, &root));
    }
    Config config = ReadConfig(&reading, root);
    if (!reading.error) Validate(root, &reading, &config);
    if (reading.error) return *reading.error;
    RETURN_IF_ERROR(ReadTables(root, &config));
    return config;
  } catch (const std::exception& e) {
    return YamlError(source, e);
  }
}

}  // namespace

Result<Config> Load(const std::string& file,
                    const std::vector<Override>& overrides) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file));
  return ParseAs(file, text, std::filesystem::path(file).parent_path().string(),
                 overrides);
}

Result<Config> Parse(std::string_view yaml, const std::string& folder,
                     const std::vector<Override>& overrides) {
  return ParseAs("config", yaml, folder, overrides);
}

}  // namespace aio::config
