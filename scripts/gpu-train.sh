#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One command on a GPU machine: builds frf-train with the libtorch of its Python's PyTorch, trains for as long as is left,
# scores, and brings back small files. The next command goes on from them (--init with new warm-up, so that eight megabytes
# are all that must travel).
#
#   scripts/gpu-train.sh --carry FOLDER --out FOLDER [--minutes 9] [--device cuda] [--start FOLDER] [-- TRAIN OPTIONS]
#
#   --carry    what scripts/gpu-carry.sh collected
#   --out      gets best.ckpt (averaged weights, half precision), config.json, log.jsonl, report.html, train.log
#   --start    an earlier call's --out: training starts from its weights
#   --minutes  for everything, the build included; training is told to stop a minute before
#   TRAIN OPTIONS  as of `frf train`; default: the recipe `best` on all images of the pack
#
# Afterwards, where frf is: `frf eval OUT`, `frf export OUT -o model.onnx` (OUT is a run folder).
set -euo pipefail
cd "$(dirname "$0")/.."

carry="" out="" start="" minutes=9 device=cuda
while [ $# -gt 0 ]; do
  case "$1" in
    --carry) carry=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --start) start=$2; shift 2 ;;
    --minutes) minutes=$2; shift 2 ;;
    --device) device=$2; shift 2 ;;
    --) shift; break ;;
    *) echo "gpu-train.sh: unknown option $1" >&2; exit 2 ;;
  esac
done
[ -n "$carry" ] && [ -n "$out" ] || { echo "gpu-train.sh: --carry and --out are wanted" >&2; exit 2; }
[ -d "$carry/deps" ] && [ -f "$carry/data.pack" ] || { echo "$carry: no deps/ or data.pack; scripts/gpu-carry.sh makes them" >&2; exit 2; }
begin=$(date +%s)
left() { echo $((minutes * 60 - ($(date +%s) - begin))); }
carry=$(cd "$carry" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)

build=${BUILD:-build-gpu}
if [ ! -x "$build/bin/frf-train" ]; then
  torch=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)')
  generator=(); command -v ninja >/dev/null && generator=(-G Ninja)
  cmake -S . -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFRF_TRAIN_ONLY=ON -DFRF_TESTS=OFF -DCMAKE_PREFIX_PATH="$carry/deps;$torch" >"$out/build.log" 2>&1 &&
    cmake --build "$build" -j "$(nproc)" --target frf-train >>"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log" >&2; exit 1; }
fi
echo "built after $(($(date +%s) - begin)) s"

run=$build/run
if [ ! -f "$run/config.json" ]; then
  words=(--data "pack:$carry/data.pack" --device "$device" "$@")
  [ -n "$start" ] && words+=(--init "$start/best.ckpt")
else
  words=(--resume --device "$device")  # the same machine is still there
fi
status=0
timeout --signal=TERM "$(($(left) - 60))" "$build/bin/frf-train" train -o "$run" "${words[@]}" >"$out/train.log" 2>&1 || status=$?
tail -n 3 "$out/train.log"
# 1: stopped by the clock, and saved; 124 comes from timeout itself.
[ "$status" -eq 0 ] || [ "$status" -eq 1 ] || [ "$status" -eq 124 ] || exit "$status"
[ -f "$run/last.ckpt" ] || { echo "training left no checkpoint:" >&2; tail -n 20 "$out/train.log" >&2; exit 1; }
"$build/bin/frf-train" weights "$run" -o "$out/best.ckpt" --half
cp "$run/config.json" "$run/log.jsonl" "$out/"
[ -f "$run/report.html" ] && cp "$run/report.html" "$out/"
rm -f "$out/build.log"
ls -l "$out"
