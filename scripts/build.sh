#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Configures once and builds: `build.sh --build DIR --jobs N (--target NAME | --all)`. A folder that was configured with
# more (by `make test`) is left as it is for `make demo`, so neither command rebuilds what the other built.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build jobs=2 target="" all=0
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    --target) target=$2; shift 2 ;;
    --all) all=1; shift ;;
    *) echo "build.sh: unknown option $1" >&2; exit 2 ;;
  esac
done

configured() { grep -q "^$1:BOOL=ON" "$build/CMakeCache.txt" 2>/dev/null; }
if [ "$all" = 1 ]; then
  if [ ! -f "$build/build.ninja" ] || ! configured FRF_TRAIN || ! configured FRF_TESTS; then
    cmake -S . -B "$build" -G Ninja -DFRF_TRAIN=ON -DFRF_TESTS=ON
  fi
  cmake --build "$build" -j "$jobs"
else
  if [ ! -f "$build/build.ninja" ]; then
    cmake -S . -B "$build" -G Ninja -DFRF_TRAIN=OFF -DFRF_TESTS=OFF
  fi
  # frf-train only works beside an frf of the same commit: where it was built, it is kept so.
  configured FRF_TRAIN && [ "$target" = frf ] && [ -x "$build/bin/frf-train" ] && target="frf frf-train"
  # shellcheck disable=SC2086
  cmake --build "$build" -j "$jobs" --target $target
fi
