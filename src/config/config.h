// SPDX-License-Identifier: Apache-2.0
//
// Everything a person can set, as plain structs with their defaults. The YAML
// file has the same names (and `kv` for kv_type); every key may be left out but
// `variants`. Errors name the key, its line and the nearest known key. What may
// be 0 for "auto" is written `auto` in the file; times and sizes have units.
//
// Thread safety: plain data.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "core/features.h"
#include "core/length.h"
#include "core/quality.h"
#include "core/thinking.h"
#include "core/view.h"

namespace aio::config {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

struct Server {
  std::string listen = "127.0.0.1:8080";
  // A file with one key a line and its limits (docs/keys.md); empty: no keys,
  // and then only a loopback address is listened on.
  std::string api_keys;
  int64_t body_bytes_max = int64_t{8} << 20;
  int64_t header_bytes_max = 16 << 10;
  int connections_max = 1024;
  int requests_max = 256;  // in flight; past it 429
  int choices_max = 8;     // `n`
  int stop_max = 16;       // stop sequences a request may have
  int64_t write_buffer_bytes_max = 1 << 20;  // a reader slower is cancelled
  Duration header_timeout = 10s;  // from the first byte of a request's header
  Duration body_timeout = 30s;
  Duration idle_timeout = 75s;  // a kept-alive connection without a request
  Duration write_timeout = 30s;
  Duration request_timeout = 600s;
  Duration drain_timeout = 30s;        // SIGTERM: running requests may finish
  Duration keep_alive_interval = 10s;  // SSE comments while nothing is ready
};

// Of the KV cache: "f32", "f16" or "q8" (int8 with a scale per token and head).
enum class KvType : uint8_t { kF32, kF16, kQ8 };
std::optional<KvType> KvTypeNamed(std::string_view name);

struct Device {
  std::string kind = "cpu";
  // Of marginal: what a second of it is worth, in seconds that users wait; 2: a
  // request is sent elsewhere as if it kept this device at work twice as long.
  double price = 1;
  int threads = 0;  // 0: auto (cgroup quota and affinity mask)
  // Which processors the threads stay on: "off": the system moves them; "auto":
  // those the process may use, one of each core before second threads of a
  // core; or a list like "0-3,8". Helps where other programs push threads
  // around, and harms where they use the same processors.
  std::string pin = "off";
  int64_t memory_limit = 0;  // bytes; 0: auto (80 % of what the cgroup allows)
  // Of these, what processes take (variants.X.process.memory); no key.
  int64_t memory_taken = 0;
  KvType kv_type = KvType::kF16;
  int columns_max = 512;   // of one step: the prefill chunk
  int sequences_max = 32;  // decoded together
  int queue_max = 256;     // waiting; past it kOverloaded
  // Whether KV outlives its request, for prompts that begin alike. Off: every
  // prompt is computed from its first token.
  bool prefix_cache = true;
  // Whether steps are timed at start, in at most two seconds a model, so that
  // prefill beside decoding is as wide as users do not notice.
  bool step_table = true;
  // The folder that keeps these times between starts. "auto": aio in
  // $XDG_CACHE_HOME, or else in ~/.cache; "off": none.
  std::string step_cache = "auto";
  // Whether what is kept there is measured again. No key of the file: `aio
  // calibrate --anew` sets it.
  bool step_anew = false;
  // Where packed weights are kept between starts, which takes about as much of
  // the disk as the model and saves less than a second a gigabyte. "auto":
  // beside the model, as MODEL.gguf.tiles; "off": nowhere; else a folder.
  std::string tile_cache = "off";
};

// What is known of an upstream, and how long it is waited for.
struct Upstream {
  // What its device is like and what model it serves, as `aio simulate` names
  // them: where prices start from, until answers tell better. Empty: unknown.
  std::string profile;
  std::string shape;
  // Which accelerator it is on, for who shares one; empty: its host's. And how
  // many batch sizes its server captures as graphs; 0: not known (aio doctor).
  std::string npu;
  int capture_sizes = 0;
  // What it takes part in: chat and completions, or embeddings; and whether it
  // does tools, structured answers, logprobs and media right. A server whose
  // speculation spoils tool calls has no tools.
  core::Features features = core::kUpstreamFeatures;
  int requests_max = 256;  // in flight, of one replica
  int replicas_max = 8;    // of one name
  // A GET that costs the server nothing; "off": only requests tell how it is.
  std::string health = "/health";
  Duration health_every = 2s;
  // Where it says how much it has to do, asked for as often; "off": nowhere.
  std::string metrics = "/metrics";
  // Whether it keeps the KV of prompts, so that who goes on is cheaper there.
  bool prefix_cache = true;
  std::string
      tls_ca;  // PEM file that https is checked against; empty: system's
  Duration connect_timeout = 2s;
  Duration first_byte_timeout = 120s;  // of a stream
  Duration idle_timeout = 60s;
  Duration total_timeout = 600s;
};

// An engine that we start on this machine, for one upstream variant.
struct Process {
  std::vector<std::string> command;  // "{port}" stands for it; empty: none
  int port = 0;
  std::string ready = "/health";  // answered 200 once it serves
  Duration ready_timeout = 600s;
  Duration stop = 10s;  // from SIGTERM to SIGKILL
  // What it takes of the memory of the variant's `device`, bytes.
  int64_t memory = 0;
};

// Exactly one of `model` and `upstream` is set.
struct Variant {
  std::string model;   // a GGUF file on `device`, or its name at `upstream`
  std::string device;  // a key of `devices`; may be empty if there is one
  // http://host:port/v1, or https. Several: replicas that serve the same. One
  // whose host is a name with several addresses: one replica each.
  std::vector<std::string> upstream;
  std::string api_key_env;  // environment variable with the upstream's key
  Upstream remote;          // of an upstream
  Process process;          // whose upstream is http://127.0.0.1:PORT/v1
  int context_max = 0;      // tokens; 0: the model's own
  // Whether requests that do not say may be answered with drafts, where the
  // step table shows that it pays. The answer is the same.
  bool speculation = true;
  // Another variant of the same device and tokenizer that drafts for this one;
  // empty: none.
  std::string draft;
  // How an upstream that thinks unless told is told not to: "template" (its
  // server passes enable_thinking on), "word" (" /no_think" ends the message,
  // as openPangu has it) or "none". Files show it themselves.
  core::ThinkingSwitch thinking = core::ThinkingSwitch::kNone;
  // "8", "4" or "auto": what it reads of nested weights. Variants of one device
  // and file share one copy of the weights and its KV pages, if any of them
  // names a view. A Q8_0, F32, F16 or BF16 file is nested as it is loaded.
  std::optional<core::View> view;
  int64_t kv_memory = 0;  // bytes of KV pages; 0: sequences x context, halved
                          // until it fits the device
};

struct Probe {
  std::string text;  // fastText model file; empty: none
  // What it means when it says a label, as policy.calibration has it; absent:
  // what it says. And the model file that this was measured of.
  std::optional<core::Meaning> text_meant;
  std::string text_fingerprint;
  std::string model;  // a variant's name; empty: none
  int tokens_max = 256;
  Duration deadline = 2s;  // of the model's answer
  // The same as a share of the time to the first token that was predicted
  // without asking, where times are predicted; 0: none. At least twice what
  // asking was predicted to take, and never past `deadline` (docs/probe.md).
  double deadline_share = 0.5;
  std::string suffix = "Category:";
  // Of the model probe's answer, fitted by `aio bench probe`; > 1: less sure
  // than the model says.
  double temperature = 1;
  // Whether what the model says of a request without content is divided out; a
  // model that was trained to answer may do better without.
  bool prior = true;
  // label name -> the single token that stands for it; empty: chosen at load.
  std::map<std::string, std::string> labels;
};

struct Policy {
  // marginal | paper | random | static:<variant>
  std::string kind = "marginal";
  std::string shadow;  // decides beside it and changes nothing; empty: none
  std::string small;   // empty: the variant with the fewest bytes per token
  std::string large;   // empty: the one with the most
  double entropy_max = 0.45;  // nats, over code / math / other
  int context_tokens_max = 2048;
  // Of marginal: relative to the best variant for what a request wants.
  double quality_floor = 0.97;
  std::string objective = "tradeoff";  // latency | throughput | tradeoff
  // Of the answers that variants smaller than the large one gave, the share
  // that is compared with it when its device has nothing to do; 0: none.
  double guard_share = 0.005;
  // Below this mean agreement, 0 to 1, an alarm (docs/calibrate.md).
  double guard_agreement_min = 0.3;
  // When the mean token margin of an answer is less, 0 to 1, the large variant
  // takes over; 0: never (docs/escalation.md).
  double escalation_margin = 0;
  // Tokens of a streamed answer that are held to see that, at most.
  int escalation_tokens = 16;
  // A JSON file as `aio eval --quality-table` writes it, read with the config;
  // empty: none, and no expected quality is known.
  std::string quality_table;
  core::QualityTable quality;  // what that file says
  // A folder as `aio calibrate` writes it: the quality table, unless one is
  // named above; how long answers are; and the probe's temperature and prior,
  // unless the file says them. Empty: none.
  std::string calibration;
  core::LengthTable lengths;  // what it says of answers
};

struct Log {
  std::string level = "info";
  bool prompts = false;   // write prompts and answers to the log
  std::string decisions;  // JSONL file; empty: none
};

struct Config {
  Server server;
  std::map<std::string, Device> devices;  // empty in the file: one `cpu0`
  std::vector<std::pair<std::string, Variant>> variants;  // in file order
  Probe probe;
  Policy policy;
  Log log;
};

struct Override {
  std::string path;   // "server.listen"
  std::string value;  // as it would stand in the file
};

// Reads `file`; relative paths in it become relative to its folder. Errors:
// kNotFound if it cannot be opened, kInvalidArgument with file and line.
Result<Config> Load(const std::string& file,
                    const std::vector<Override>& overrides);

// The same from memory; `folder` is what relative paths are relative to.
Result<Config> Parse(std::string_view yaml, const std::string& folder,
                     const std::vector<Override>& overrides);

}  // namespace aio::config
