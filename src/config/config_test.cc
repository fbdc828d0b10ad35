// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/units.h"

namespace aio::config {
namespace {

constexpr char kLeast[] = "variants:\n  small: { model: m/s.gguf }\n";

Config Good(const std::string& yaml, std::vector<Override> overrides = {}) {
  auto config = Parse(yaml, "/etc/aio", overrides);
  EXPECT_TRUE(config) << (config ? "" : config.error().message);
  return config ? *std::move(config) : Config();
}
// The message of the error.
std::string Bad(const std::string& yaml, std::vector<Override> overrides = {}) {
  auto config = Parse(yaml, "/etc/aio", overrides);
  EXPECT_FALSE(config) << yaml;
  return config ? "" : config.error().message;
}

TEST(ConfigTest, NeedsOnlyAVariant) {
  const Config config = Good(kLeast);
  EXPECT_EQ(config.server.listen, "127.0.0.1:8080");
  EXPECT_EQ(config.server.body_bytes_max, 8 << 20);
  EXPECT_EQ(config.server.keep_alive_interval, std::chrono::seconds(10));
  ASSERT_EQ(config.devices.size(), 1u);
  EXPECT_EQ(config.devices.begin()->first, "cpu0");
  ASSERT_EQ(config.variants.size(), 1u);
  EXPECT_EQ(config.variants[0].first, "small");
  EXPECT_EQ(config.variants[0].second.model, "/etc/aio/m/s.gguf");
  EXPECT_EQ(config.variants[0].second.device, "cpu0");
  EXPECT_EQ(config.policy.kind, "marginal");
  EXPECT_FALSE(config.log.prompts);
  EXPECT_EQ(Bad(""), "config: variants: at least one variant is needed");
}

TEST(ConfigTest, ReadsEveryKey) {
  const Config config = Good(R"(
server:
  listen: "[::1]:0"
  api_keys: keys.txt
  body_bytes_max: 1MiB
  header_bytes_max: 4096
  connections_max: 7
  requests_max: 6
  choices_max: 5
  stop_max: 4
  write_buffer_bytes_max: 64KiB
  header_timeout: 500ms
  body_timeout: 1s
  idle_timeout: 1.5m
  write_timeout: 2s
  request_timeout: 1h
  drain_timeout: 3s
  keep_alive_interval: 100ms
devices:
  cpu0: { kind: cpu, price: 2.5, threads: 4, memory_limit: 16GiB, kv: f32, pin: "0-3,8",
          columns_max: 64, sequences_max: 3, queue_max: 9,
          prefix_cache: false, step_table: false, step_cache: /var/steps,
          tile_cache: /var/tiles }
  cpu1: { threads: auto, pin: auto, memory_limit: auto, step_cache: off,
          tile_cache: auto }
  cpu2: { kv: q8 }
variants:
  z: { model: /abs/z.gguf, device: cpu1, context_max: 512, kv_memory: 1GiB,
       speculation: false, draft: y }
  a: { upstream: "http://npu:8000/v1", model: org/model, api_key_env: KEY,
       thinking: word }
  y: { model: y.gguf, device: cpu1 }
  y@4: { model: y.gguf, device: cpu1, view: 4 }
  y@auto: { model: y.gguf, device: cpu1, view: auto }
probe: { text: p.ftz, model: z, tokens_max: 99, deadline: 1s, suffix: "C:",
         deadline_share: 0.75, temperature: 1.7, prior: false,
         labels: { code: " code", math: " math" } }
policy: { kind: "static:a", shadow: paper, small: z, large: a, entropy_max: 0.3,
          context_tokens_max: 100, quality_floor: 0.9, objective: latency,
          guard_share: 0.02, guard_agreement_min: 0.7,
          escalation_margin: 0.12, escalation_tokens: 24 }
log: { level: debug, prompts: true, decisions: out/d.jsonl }
)");
  EXPECT_EQ(config.server.listen, "[::1]:0");
  EXPECT_EQ(config.server.api_keys, "/etc/aio/keys.txt");
  EXPECT_EQ(config.server.header_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(config.server.idle_timeout, std::chrono::seconds(90));
  EXPECT_EQ(config.server.write_buffer_bytes_max, 64 << 10);
  EXPECT_EQ(config.devices.at("cpu0").price, 2.5);
  EXPECT_EQ(config.devices.at("cpu1").price, 1);
  EXPECT_EQ(config.devices.at("cpu0").threads, 4);
  EXPECT_EQ(config.devices.at("cpu0").memory_limit, int64_t{16} << 30);
  EXPECT_EQ(config.devices.at("cpu0").kv_type, KvType::kF32);
  EXPECT_FALSE(config.devices.at("cpu0").prefix_cache);
  EXPECT_TRUE(config.devices.at("cpu1").prefix_cache);
  EXPECT_FALSE(config.devices.at("cpu0").step_table);
  EXPECT_EQ(config.devices.at("cpu0").step_cache, "/var/steps");
  EXPECT_TRUE(config.devices.at("cpu1").step_table);
  EXPECT_EQ(config.devices.at("cpu1").step_cache, "off");
  EXPECT_EQ(config.devices.at("cpu2").step_cache, "auto");
  EXPECT_EQ(config.devices.at("cpu0").tile_cache, "/var/tiles");
  EXPECT_EQ(config.devices.at("cpu1").tile_cache, "auto");
  EXPECT_EQ(config.devices.at("cpu2").tile_cache, "off");
  EXPECT_EQ(config.devices.at("cpu1").threads, 0);
  EXPECT_EQ(config.devices.at("cpu0").pin, "0-3,8");
  EXPECT_EQ(config.devices.at("cpu1").pin, "auto");
  EXPECT_EQ(config.devices.at("cpu2").pin, "off");
  EXPECT_EQ(config.devices.at("cpu1").kv_type, KvType::kF16);
  EXPECT_EQ(config.devices.at("cpu2").kv_type, KvType::kQ8);
  ASSERT_EQ(config.variants.size(), 5u);
  EXPECT_FALSE(config.variants[2].second.view.has_value());
  EXPECT_EQ(config.variants[3].second.view, core::View::k4);
  EXPECT_EQ(config.variants[4].second.view, core::View::kAuto);
  EXPECT_EQ(config.variants[0].first, "z");  // file order
  EXPECT_EQ(config.variants[0].second.kv_memory, int64_t{1} << 30);
  EXPECT_FALSE(config.variants[0].second.speculation);
  EXPECT_EQ(config.variants[0].second.draft, "y");
  EXPECT_TRUE(config.variants[1].second.speculation);
  EXPECT_EQ(config.variants[1].second.model, "org/model");  // a name
  EXPECT_EQ(config.variants[1].second.thinking, core::ThinkingSwitch::kWord);
  EXPECT_EQ(config.variants[0].second.thinking, core::ThinkingSwitch::kNone);
  EXPECT_EQ(config.probe.labels.at("code"), " code");
  EXPECT_EQ(config.probe.deadline, std::chrono::seconds(1));
  EXPECT_EQ(config.probe.deadline_share, 0.75);
  EXPECT_DOUBLE_EQ(config.probe.temperature, 1.7);
  EXPECT_FALSE(config.probe.prior);
  EXPECT_EQ(config.policy.kind, "static:a");
  EXPECT_DOUBLE_EQ(config.policy.entropy_max, 0.3);
  EXPECT_DOUBLE_EQ(config.policy.quality_floor, 0.9);
  EXPECT_EQ(config.policy.objective, "latency");
  EXPECT_EQ(config.policy.shadow, "paper");
  EXPECT_DOUBLE_EQ(config.policy.guard_share, 0.02);
  EXPECT_DOUBLE_EQ(config.policy.guard_agreement_min, 0.7);
  EXPECT_DOUBLE_EQ(config.policy.escalation_margin, 0.12);
  EXPECT_EQ(config.policy.escalation_tokens, 24);
  EXPECT_EQ(config.log.decisions, "/etc/aio/out/d.jsonl");
}

TEST(ConfigTest, NamesTheLineAndTheNearestKnownKey) {
  EXPECT_EQ(Bad(std::string(kLeast) + "server:\n  lisen: x\n"),
            "config:4: server.lisen: unknown key, did you mean 'listen'?");
  EXPECT_EQ(Bad(std::string(kLeast) + "polcy: {}\n"),
            "config:3: polcy: unknown key, did you mean 'policy'?");
  EXPECT_EQ(Bad("variants:\n  a: { modle: x }\n"),
            "config:2: variants.a.modle: unknown key, did you mean 'model'?");
}

TEST(ConfigTest, NamesTheLineOfAWrongValue) {
  EXPECT_EQ(Bad(std::string(kLeast) + "server:\n  header_timeout: 10\n"),
            "config:4: server.header_timeout: '10' is not a time above zero "
            "such as 500ms, 10s, 5m or 2h");
  EXPECT_EQ(Bad(std::string(kLeast) + "devices: { d: { price: 0 } }"),
            "config:3: devices.d.price: '0' is not a number between 1e-06 and "
            "1e+06");
  for (const char* line : {"server: { listen: nowhere }",
                           "server: { listen: '::1:80' }",
                           "server: { listen: 'a:99999' }",
                           "server: { connections_max: 0 }",
                           "server: { connections_max: many }",
                           "server: { body_bytes_max: -1 }",
                           "server: { write_timeout: 0s }",
                           "server: { listen: [a] }",
                           "server: 3",
                           "devices: { d: { kind: npu } }",
                           "devices: { d: { threads: 0 } }",
                           "devices: { d: { kv: q9 } }",
                           "devices: { d: { price: 0 } }",
                           "devices: { d: { price: -2 } }",
                           "devices: { d: { price: .inf } }",
                           "devices: { d: { price: inf } }",
                           "devices: { d: { price: nan } }",
                           "devices: { d: { price: dear } }",
                           "devices: { d: { pin: on } }",
                           "devices: { d: { pin: 3-1 } }",
                           "devices: { d: { memory_limit: lots } }",
                           "probe: { model: smal }",
                           "probe: { labels: { coding: x } }",
                           "probe: { deadline: 0s }",
                           "probe: { deadline_share: -0.5 }",
                           "probe: { temperature: 0 }",
                           "probe: { temperature: -1 }",
                           "probe: { temperature: .nan }",
                           "probe: { temperature: warm }",
                           "probe: { prior: maybe }",
                           "policy: { kind: magic }",
                           "policy: { kind: 'static:' }",
                           "policy: { kind: 'static:smal' }",
                           "policy: { small: larg }",
                           "policy: { entropy_max: -1 }",
                           "policy: { escalation_margin: 1.5 }",
                           "policy: { escalation_tokens: 0 }",
                           "log: { level: loud }",
                           "log: { prompts: maybe }"}) {
    EXPECT_TRUE(Bad(std::string(kLeast) + line).starts_with("config:3: "))
        << line << " -> " << Bad(std::string(kLeast) + line);
  }
  EXPECT_NE(Bad(std::string(kLeast) + "policy: { kind: 'static:smal' }")
                .find("did you mean 'small'?"),
            std::string::npos);
}

TEST(ConfigTest, WantsAModelFileOrAnUpstreamPerVariant) {
  EXPECT_NE(Bad("variants: { a: {} }").find("variants.a"), std::string::npos);
  Bad("variants: { a: { upstream: 'npu:8000' } }");
  Bad("variants: { a: { upstream: 'http://x', device: cpu0 } }");
  Bad("variants: { a: { upstream: 'http://x', kv_memory: 1GiB } }");
  Bad("variants: { a: { upstream: 'http://x', draft: a } }");
  Bad("variants: { a: { upstream: 'http://x', view: 4 } }");
  EXPECT_EQ(Bad("variants: { a: { model: m, view: 5 } }"),
            "config:1: variants.a.view: '5' is none of 4, 8, auto");
  Bad("variants: { a: { model: m, api_key_env: K } }");
  Bad("variants: { a: { model: m, device: gpu } }");
  Bad("devices: { a: {}, b: {} }\nvariants: { a: { model: m } }");
}

TEST(ConfigTest, RefusesNamesThatWouldBreakUrlsOrRouting) {
  Bad("variants: { auto: { model: m } }");
  Bad("variants: { 'a b': { model: m } }");
  Bad("variants: { '': { model: m } }");
  Good("variants: { 'org/qwen2.5-7B@4': { model: m } }");
}

TEST(ConfigTest, RefusesAKeyGivenTwice) {
  EXPECT_EQ(Bad("variants:\n  a: { model: m }\n  a: { model: n }\n"),
            "config:3: variants.a: the key occurs twice");
  Bad(std::string(kLeast) + kLeast);
}

TEST(ConfigTest, TakesOverridesAsIfTheyStoodInTheFile) {
  const Config config = Good("variants: { qwen2.5: { model: a } }",
                             {{"server.listen", "127.0.0.1:0"},
                              {"variants.qwen2.5.model", "b"},
                              {"server", "{ stop_max: 3 }"},
                              {"server.choices_max", "2"},
                              {"variants.more.model", "c"}});
  EXPECT_EQ(config.server.stop_max, 3);
  EXPECT_EQ(config.server.choices_max, 2);
  EXPECT_EQ(config.server.listen, "127.0.0.1:8080");  // replaced by `server`
  ASSERT_EQ(config.variants.size(), 2u);
  EXPECT_EQ(config.variants[0].second.model, "/etc/aio/b");
  EXPECT_EQ(config.variants[1].second.model, "/etc/aio/c");
}

TEST(ConfigTest, BlamesTheOverrideForItsOwnErrors) {
  EXPECT_EQ(Bad(kLeast, {{"server.lisen", "x"}}),
            "--set: server.lisen: unknown key, did you mean 'listen'?");
  EXPECT_TRUE(Bad(kLeast, {{"server.stop_max", "x"}}).starts_with("--set: "));
  EXPECT_TRUE(Bad(kLeast, {{"", "x"}}).starts_with("--set: "));
  EXPECT_TRUE(Bad(kLeast, {{"server..listen", "x"}}).starts_with("--set: "));
  Bad(kLeast, {{"server.listen.port", "1"}, {"server.listen", "a: ["}});
  EXPECT_TRUE(Bad("server: { listen: 'a:1' }", {{"server.listen.port", "1"}})
                  .starts_with("--set: "));
}

TEST(ConfigTest, SurvivesHostileYaml) {
  Bad("a: [");
  Bad("\t");
  Bad("- x");
  Bad("just text");
  Bad("? [a]\n: b");
  Bad(std::string(100000, '['));
  Bad(std::string(2 << 20, ' '));
  Bad(std::string("a: \0b", 5));
  Bad("&a [*a]");
  // Nine levels of nine aliases: a billion nodes, were they expanded.
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'j'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) {
      bomb += std::string(i ? "," : "") + "*" + static_cast<char>(c - 1);
    }
    bomb += "]\n";
  }
  Bad(bomb);
}

TEST(ConfigTest, SharesSettingsThroughAnchors) {
  const Config config = Good("variants:\n  a: &v { model: m }\n  b: *v\n");
  EXPECT_EQ(config.variants[1].second.model, "/etc/aio/m");
}

TEST(ConfigTest, SaysWhichFileIsMissing) {
  const auto config = Load("/nonexistent/aio.yaml", {});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(config.error().message, "cannot open '/nonexistent/aio.yaml'");
}

TEST(UnitsTest, ReadsTimesAndSizes) {
  EXPECT_EQ(*ParseDuration("1.5s"), std::chrono::milliseconds(1500));
  EXPECT_EQ(*ParseDuration("2 h"), std::chrono::hours(2));
  EXPECT_EQ(*ParseDuration("1ns"), Duration(1));
  for (const char* text :
       {"", "s", "10", "-1s", "0s", "nan s", "1e300h", "1s2", "1 second"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
  EXPECT_EQ(*ParseBytes("1.5GiB"), int64_t{3} << 29);
  EXPECT_EQ(*ParseBytes("10MB"), 10000000);
  EXPECT_EQ(*ParseBytes("7"), 7);
  for (const char* text : {"", "0", "-1", "1e30", "1XB", "inf", "0x10"}) {
    EXPECT_FALSE(ParseBytes(text)) << text;
  }
}

TEST(UnitsTest, ReadsAddresses) {
  const auto v6 = ParseEndpoint("[::1]:8080");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 8080);
  EXPECT_EQ(ParseEndpoint("localhost:0")->host, "localhost");
  for (const char* text : {"", ":80", "a", "a:", "a:b", "a:70000", "::1:80",
                           "[a]:80", "[]:80", "a:-1", "a:80 "}) {
    EXPECT_FALSE(ParseEndpoint(text)) << text;
  }
}

TEST(ConfigTest, ReadsTheQualityTableThatItNames) {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("aio-config-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
  };
  const std::string file = (folder / "aio.yaml").string();
  write("aio.yaml",
        "variants:\n  small: { model: m/s.gguf }\n"
        "policy: { kind: random, quality_table: q.json }\n");
  write("q.json",
        R"({"format": 1, "variants": {"small": {"code": {"quality": 0.5}}}})");
  const auto config = Load(file, {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->policy.quality.at("small")[0]->value, 0.5);
  write("q.json", R"({"format": 1, "variants": {"smal": {}}})");
  const auto wrong = Load(file, {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message,
            "policy.quality_table: " + (folder / "q.json").string() +
                ":1: variants.smal: the configuration has no variant of this "
                "name, did you mean 'small'?");
  std::filesystem::remove(folder / "q.json");
  EXPECT_FALSE(Load(file, {}));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace aio::config
