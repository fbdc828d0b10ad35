# Two commands: `make serve` and `make test`. The build itself is CMake's.
PRESET ?= release
BUILD := build/$(PRESET)

.PHONY: serve test test-arm build fuzz clean

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

clean:
	rm -rf build
