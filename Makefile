# Two commands: `make serve` and `make test`. The build itself is CMake's.
PRESET ?= release
BUILD := build/$(PRESET)

.PHONY: serve test test-arm build fuzz bench-peer clean

serve:
	@tools/bootstrap
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD) --target aio
	@exec $(BUILD)/aio serve --config aio.yaml

build:
	@tools/bootstrap
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD)

test:
	@tools/bootstrap test
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD)
	@cd $(BUILD) && ctest --output-on-failure -j2

# The compute folders' tests for 64-bit ARM, under emulation.
test-arm:
	@tools/bootstrap arm
	@tools/arm_sysroot
	@tools/test_arm

# Thirty seconds of each libFuzzer target.
fuzz:
	@tools/bootstrap fuzz
	@cmake --preset fuzz --log-level=WARNING >/dev/null
	@cmake --build build/fuzz
	@tools/fuzz 30

# Ours against llama.cpp on the same files: FILES="a.gguf b.gguf", or random
# weights in openPangu-1B's shape; PAIRS=n; THREADS=n; ASK=decode-64,...
# (docs/bench.md).
PAIRS ?= 20
BENCH_TYPES := q8_0 q4_0 q4_k_m
PEER := $(BUILD)/tests/peer/npm
FILES ?= $(BENCH_TYPES:%=$(BUILD)/bench/1B-%.gguf)

bench-peer: $(FILES)
	@tools/bootstrap test
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD) --target bench_peer
	@tests/peer/install tests/peer $(PEER)
	@cp bench/peer/their_side.mjs $(PEER)
	@$(BUILD)/bench/bench_peer --node $(PEER)/node \
	  --script $(PEER)/their_side.mjs --pairs $(PAIRS) \
	  $(if $(THREADS),--threads $(THREADS)) $(if $(ASK),--ask $(ASK)) \
	  $(FILES)

$(BUILD)/bench/1B-%.gguf:
	@tools/bootstrap
	@cmake --preset $(PRESET) --log-level=WARNING >/dev/null
	@cmake --build $(BUILD) --target aio
	@$(BUILD)/aio pack --synthetic openPangu-1B --type $* --vocab 32000 -o $@

clean:
	rm -rf build
