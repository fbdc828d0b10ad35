# Two commands: `make serve` and `make test`. The build itself is CMake's.
PRESET ?= release
BUILD := build/$(PRESET)

.PHONY: serve test build fuzz clean

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

# Thirty seconds of each libFuzzer target.
fuzz:
	@tools/bootstrap fuzz
	@cmake --preset fuzz --log-level=WARNING >/dev/null
	@cmake --build build/fuzz
	@tools/fuzz 30

clean:
	rm -rf build
