#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the suite of a build folder; the last lines are ctest's own summary.
set -euo pipefail
build=${1:-build}
exec ctest --test-dir "$build" --output-on-failure -j 2 --timeout 900
