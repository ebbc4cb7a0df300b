#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The engine's tests under clang's thread sanitizer.
#
#   scripts/thread_sanitizer.sh [GTEST FILTER]            default: everything that runs on more than one thread
#
# GCC's OpenMP tells the sanitizer nothing of its barriers, so every parallel loop would be reported. LLVM's does, through
# libarcher; and since its libomp understands GCC's calls too, oneDNN (built by Debian with GCC) is given the same one. What
# oneDNN does with its own memory cannot be seen: it is not instrumented. Wants Debian's clang and libomp-dev.
set -euo pipefail
case "${1:-}" in -h | --help) sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
cd "$(dirname "$0")/.."
filter=${1:-'Session.*:Plan.*:CApi.*:Band.*:Kernels/*EveryIsa.*:Shapes/ByteConvs.*:ByteMaps.*:Quantize.*:Tuning.*:Gemm.*:ByteConv.*:FuseProgram.*:Networks.*'}
llvm=$(llvm-config --libdir 2>/dev/null || ls -d /usr/lib/llvm-*/lib | sort -V | tail -n 1 || true)
for file in libomp.so libarcher.so; do
  [ -e "$llvm/$file" ] || { echo "$llvm/$file is missing: apt-get install clang libomp-dev" >&2; exit 2; }
done
build=build-tsan
cmake --preset tsan >/dev/null
cmake --build --preset tsan --target frf_test_engine -j "$(nproc)"
mkdir -p "$build/omp"
ln -sf "$(readlink -f "$llvm/libomp.so")" "$build/omp/libgomp.so.1"
export LD_LIBRARY_PATH=$PWD/$build/omp OMP_TOOL_LIBRARIES=$llvm/libarcher.so OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=0 exitcode=66 ${TSAN_OPTIONS:-}" FRF_WEIGHTS=$PWD/weights
"$build/bin/frf_test_engine" --gtest_filter="$filter"
