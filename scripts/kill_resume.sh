#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kills a training run with SIGKILL at random moments and resumes it, until it is done: the hash of its weights must equal that
# of a run that was left alone. Checkpoints are written after every step, so that many moments lie inside a save.
#
#   scripts/kill_resume.sh [FRF_TRAIN] [KILLS] [WORKERS ...]        default: build/bin/frf-train 20 1 4
set -euo pipefail

case "${1:-}" in -h | --help) sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
program=$(readlink -f "${1:-build/bin/frf-train}")
kills_wanted=${2:-20}
shift $(($# < 2 ? $# : 2))
workers_list=("${@:-1}")
[ $# -eq 0 ] && workers_list=(1 4)
[[ $kills_wanted =~ ^[1-9][0-9]*$ ]] || { echo "KILLS '$kills_wanted': a whole number is wanted" >&2; exit 2; }
[ -x "$program" ] || { echo "$program: no such program; build it, or name it as the first argument" >&2; exit 2; }

folder=$(mktemp -d)
child=
trap '[ -n "$child" ] && kill -9 "$child" 2>/dev/null; rm -rf "$folder"' EXIT

# What is trained: drawn scenes, two sizes, averages, auxiliary heads, Lovasz at the end.
new=(--data synth:8 --scene-size 64x96 --net frfnet-slim --recipe best --crop 64x64 --batch 2 --epochs 4 --val-every 2
     --set batch_norm_batches=2)
how=(--device cpu --checkpoint-every 0 --json)

seconds() { date +%s.%N; }
hash_of() { sed -n 's/.*"weights_hash": "\([0-9a-f]*\)".*/\1/p' "$1"; }

start=$(seconds)
"$program" train -o "$folder/whole" "${new[@]}" "${how[@]}" --workers 1 >"$folder/whole.json" 2>"$folder/whole.log" ||
  { cat "$folder/whole.log" >&2; exit 1; }
whole=$(echo "$(seconds) $start" | awk '{print $1 - $2}')
wanted=$(hash_of "$folder/whole.json")
[ -n "$wanted" ] || { echo "$program train --json printed no weights_hash: nothing to compare" >&2; exit 1; }
echo "left alone: $whole s, weights $wanted"

failed=0
for workers in "${workers_list[@]}"; do
  kills=0 inside=0 rounds=0
  while [ "$kills" -lt "$kills_wanted" ]; do
    run=$folder/run
    rm -rf "$run"
    while :; do
      what=("${new[@]}")
      [ -e "$run/config.json" ] && what=(--resume)
      "$program" train -o "$run" "${what[@]}" "${how[@]}" --workers "$workers" >"$folder/run.json" 2>"$folder/run.log" &
      child=$!
      if [ "$kills" -lt "$kills_wanted" ]; then
        sleep "$(awk -v whole="$whole" -v seed="$RANDOM$RANDOM" 'BEGIN {srand(seed); print rand() * whole * 0.6}')"
        if kill -9 "$child" 2>/dev/null; then
          wait "$child" 2>/dev/null && status=0 || status=$?
          child=
          if [ "$status" -eq 137 ]; then
            kills=$((kills + 1))
            compgen -G "$run/*.tmp*" >/dev/null && inside=$((inside + 1))
            continue
          fi
        fi
      fi
      [ -n "$child" ] && { wait "$child" && status=0 || status=$?; }
      child=
      [ "$status" -eq 0 ] || { echo "the run failed by itself:" >&2; cat "$folder/run.log" >&2; exit 1; }
      break
    done
    rounds=$((rounds + 1))
    seen=$(hash_of "$folder/run.json")
    if [ "$seen" != "$wanted" ]; then
      echo "FAILED: $workers workers, after $kills kills the weights are $seen, wanted $wanted" >&2
      failed=1
    fi
  done
  echo "$workers workers: $kills kills, $inside of them inside a save, over $rounds runs; weights equal: $([ $failed -eq 0 ] && echo yes || echo no)"
done
exit $failed
