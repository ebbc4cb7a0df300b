# SPDX-License-Identifier: Apache-2.0
# The two commands of the README, and what developers use. Everything else is CMake (see CMakePresets.json).
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: demo test peers setup-demo setup-test setup-peers format clean

# Installs what frf alone needs, builds it (without libtorch), labels a street.
demo: setup-demo
	@scripts/build.sh --build "$(BUILD)" --jobs $(JOBS) --target frf
	@"$(BUILD)/bin/frf" demo -o "$(BUILD)/demo"

# Installs the rest, builds everything, runs the suite.
test: setup-test
	@scripts/build.sh --build "$(BUILD)" --jobs $(JOBS) --all
	@scripts/test.sh "$(BUILD)"

# Programs to compare with, in a virtual environment (see scripts/peers.sh); tests use it where it is.
peers: setup-peers
	@scripts/peers.sh

setup-demo:
	@scripts/setup.sh demo
setup-test:
	@scripts/setup.sh test
setup-peers:
	@scripts/setup.sh peers

format:
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

clean:
	rm -rf "$(BUILD)"
