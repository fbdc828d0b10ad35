# Two commands: `make serve` and `make test`. The build itself is CMake's.
PRESET ?= release
BUILD := build/$(PRESET)

.PHONY: serve test build bootstrap fuzz clean

serve: build
	exec $(BUILD)/aio serve

test: build
	cd $(BUILD) && ctest --output-on-failure -j2

build: bootstrap
	@cmake --preset $(PRESET) --log-level=WARNING
	@cmake --build $(BUILD)

bootstrap:
	@tools/bootstrap

# Thirty seconds of each libFuzzer target.
fuzz:
	@tools/bootstrap fuzz
	@cmake --preset fuzz --log-level=WARNING
	@cmake --build build/fuzz
	@tools/fuzz 30

clean:
	rm -rf build
