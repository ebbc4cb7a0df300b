# SPDX-License-Identifier: Apache-2.0
# The two commands of the README, and what developers use. Everything else is CMake (see CMakePresets.json).
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: demo test setup-demo setup-test format lint clean

# Installs what frf alone needs, builds it (without libtorch), labels a street.
demo: setup-demo
	@scripts/build.sh --build $(BUILD) --jobs $(JOBS) --target frf
	@$(BUILD)/bin/frf demo -o $(BUILD)/demo

# Installs the rest, builds everything, runs the suite.
test: setup-test
	@scripts/build.sh --build $(BUILD) --jobs $(JOBS) --all
	@scripts/test.sh $(BUILD)

setup-demo:
	@scripts/setup.sh demo
setup-test:
	@scripts/setup.sh test

format:
	git ls-files '*.cpp' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
