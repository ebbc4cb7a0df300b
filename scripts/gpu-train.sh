#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One command on a GPU machine: builds frf-train with the libtorch of its Python's PyTorch, trains for as long as is left,
# scores, and brings back small files. The next command goes on from them (--init with new warm-up, so that eight megabytes
# are all that must travel; the network is theirs, and --net-options want --net beside them).
#
#   scripts/gpu-train.sh --carry FOLDER --out FOLDER [--minutes 9] [--device cuda] [--start FOLDER] [-- TRAIN OPTIONS]
#
#   --carry    what scripts/gpu-carry.sh collected
#   --out      gets best.ckpt (averaged weights, half precision), config.json, log.jsonl, report.html, train.log
#   --start    an earlier call's --out: a new run starts from its weights, and a run that is still here is moved aside
#   --minutes  for everything, the build included; training is told to stop a minute before
#   TRAIN OPTIONS  as of `frf train`; default: the recipe `best` on all images of the pack
#
# Without --start, a run that an earlier call left here (BUILD/run; BUILD is build-gpu in the checkout unless the environment
# says otherwise) is gone on with, and options that would change what it trains are refused. Relative paths, those in TRAIN
# OPTIONS too, are seen from the folder of the call. Exit code 0: trained, to the end or until the clock stopped it; 2: wrong
# usage; else training failed, and what it had saved before was brought back.
#
# Afterwards, where frf is: `frf eval OUT`, `frf export OUT -o model.onnx` (OUT is a run folder).
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)

fail() { echo "gpu-train.sh: $2" >&2; exit "$1"; }

carry="" out="" start="" minutes=9 device=cuda
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    --carry | --out | --start | --minutes | --device) [ $# -ge 2 ] || fail 2 "$1 wants a value" ;;&
    --carry) carry=$2 ;;
    --out) out=$2 ;;
    --start) start=$2 ;;
    --minutes) minutes=$2 ;;
    --device) device=$2 ;;
    *) fail 2 "unknown option $1; --help shows them" ;;
  esac
  shift 2
done
[ -n "$carry" ] && [ -n "$out" ] || fail 2 "--carry and --out are wanted; --help says more"
[[ $minutes =~ ^[1-9][0-9]*$ ]] || fail 2 "--minutes '$minutes': a whole number is wanted"
[ -d "$carry/deps" ] && [ -f "$carry/data.pack" ] || fail 2 "$carry: no deps/ or data.pack; scripts/gpu-carry.sh makes them"
[ -z "$start" ] || [ -f "$start/best.ckpt" ] || fail 2 "--start $start: no best.ckpt; an earlier call's --out is wanted"
begin=$(date +%s)
left() { echo $((minutes * 60 - ($(date +%s) - begin))); }
carry=$(cd "$carry" && pwd)
mkdir -p "$out"

build=${BUILD:-$source/build-gpu}
if [ ! -x "$build/bin/frf-train" ]; then
  torch=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null) ||
    fail 1 "$(command -v python3 || echo python3): has no torch, with whose libtorch frf-train is built; put a python3 that has it first in PATH"
  generator=(); command -v ninja >/dev/null && generator=(-G Ninja)
  cmake -S "$source" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFRF_TRAIN_ONLY=ON -DFRF_TESTS=OFF -DCMAKE_PREFIX_PATH="$carry/deps;$torch" >"$out/build.log" 2>&1 ||
    { tail -n 30 "$out/build.log" >&2; exit 1; }
fi
# Where the program is there too: the checkout may be newer.
cmake --build "$build" -j "$(nproc)" --target frf-train >>"$out/build.log" 2>&1 || { tail -n 30 "$out/build.log" >&2; exit 1; }
echo "built after $(($(date +%s) - begin)) s"
# timeout takes 0 for "no limit", and a negative number for a wrong option.
seconds=$(($(left) - 60))
[ "$seconds" -gt 0 ] || fail 1 "$(left) s of --minutes $minutes are left, 60 of which are for bringing files back; what was built stays, so call again, or with more minutes"

run=$build/run
words=(--data "pack:$carry/data.pack" --device "$device" "$@")
if [ -n "$start" ]; then
  if [ -e "$run" ]; then
    number=1
    while [ -e "$run.$number" ]; do number=$((number + 1)); done
    [ ! "$start" -ef "$run" ] || start=$run.$number
    mv "$run" "$run.$number"
    echo "the run that was here is $run.$number now"
  fi
  words+=(--init "$start/best.ckpt")
elif [ -f "$run/config.json" ]; then
  echo "going on with the run that is here, $run; --start FOLDER begins a new one"
  words+=(--resume)
fi
status=0
timeout --signal=TERM "$seconds" "$build/bin/frf-train" train -o "$run" "${words[@]}" >"$out/train.log" 2>&1 || status=$?
tail -n 3 "$out/train.log"
# 124 is timeout's own, whatever the program that it stopped (and that saved) ended with. After wrong usage there is nothing new.
[ "$status" -ne 124 ] || { echo "stopped by the clock"; status=0; }
[ "$status" -ne 2 ] || exit 2
[ -f "$run/last.ckpt" ] || { tail -n 20 "$out/train.log" >&2; fail "$((status > 0 ? status : 1))" "training left no checkpoint (exit code $status)"; }
[ "$status" -eq 0 ] || echo "gpu-train.sh: training failed with exit code $status, see $out/train.log; what it had saved before is brought back" >&2
"$build/bin/frf-train" weights "$run" -o "$out/best.ckpt" --half
cp "$run/config.json" "$run/log.jsonl" "$out/"
[ -f "$run/report.html" ] && cp "$run/report.html" "$out/"
rm -f "$out/build.log"
ls -l "$out"
exit "$status"
