#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The GPU machine's two commands on a CPU: what is carried is collected, frf-train built from it and nothing else, two epochs
# trained, what comes back scored here, and a second call on the same machine goes on from it. Builds frf-train anew (minutes),
# so only with FRF_GPU_DRY_RUN=1. Exit code 77: skipped.
set -euo pipefail
[ "${FRF_GPU_DRY_RUN:-}" = 1 ] || { echo "builds frf-train anew: set FRF_GPU_DRY_RUN=1 to run it; skipped"; exit 77; }
frf=$(readlink -f "$1")
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

FRF=$frf "$source/scripts/gpu-carry.sh" "$work/carry" synth:8
for call in 1 2; do
  start=()
  [ "$call" = 2 ] && start=(--start "$work/out1")
  BUILD=$work/build OMP_WAIT_POLICY=passive "$source/scripts/gpu-train.sh" --carry "$work/carry" --out "$work/out$call" --minutes 60 --device cpu \
    "${start[@]}" -- --split train --no-val --net frfnet-slim --epochs 2 --crop 64x96 --batch 2
  for file in best.ckpt config.json log.jsonl train.log; do
    [ -s "$work/out$call/$file" ] || { echo "FAILED: call $call brought no $file back"; exit 1; }
  done
  [ "$(stat -c %s "$work/out$call/best.ckpt")" -lt $((16 << 20)) ] || { echo "FAILED: best.ckpt is over 16 MiB"; exit 1; }
  "$frf" eval "$work/out$call" --data synth:2 --split test
done
[ -f "$work/build/run.1/config.json" ] || { echo "FAILED: the second call did not move the first one's run aside"; exit 1; }
grep -q '"epoch":2' "$work/out2/log.jsonl" || { echo "FAILED: the second call did not train"; exit 1; }
# Itself, that is: what libtorch brings along (Debian's: protobuf, onnx, libjpeg) is its own affair.
if readelf -d "$work/build/bin/frf-train" | grep NEEDED | grep -E 'libpng|libjpeg|libonnx|libprotobuf|libfmt|libspdlog|libxxhash'; then
  echo "FAILED: frf-train wants what is not carried"; exit 1
fi
echo "passed"
