#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/gpu-carry.sh, gpu-train.sh and kill_resume.sh with programs that play frf, frf-train, cmake, timeout, apt-get and dpkg: what
# they make of exit codes, of a run that is there already, of little time and of relative paths. The real ones: gpu_dry_run.sh.
# shellcheck disable=SC2016  # $ is for the players
set -euo pipefail
scripts=$(cd "$(dirname "$0")/../../scripts" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/build/bin" "$work/far/carry/deps" "$work/far/early"
touch "$work/far/carry/data.pack" "$work/far/early/best.ckpt" "$work/far/list.txt"
cd "$work/far"

fail() { echo "FAILED: $1" >&2; cat "$work/said" >&2; exit 1; }
said() { grep -qF -- "$1" "$work/said" || fail "$2: '$1' was not said"; }
# check WHAT CODE COMMAND...: the exit code; what is printed stays in said.
check() {
  local what=$1 wanted=$2 code=0
  shift 2
  "$@" >"$work/said" 2>&1 || code=$?
  [ "$code" -eq "$wanted" ] || fail "$what: exit code $code, $wanted was wanted"
}
play() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"; chmod +x "$1"; }

# frf-train notes its words, trains at once and ends with $CODE; timeout notes its limit and, with $CLOCK, says 124 whatever the
# program said.
play "$work/build/bin/frf-train" '
echo "$@" >>"$NOTES"
[ "$1" = train ] || { echo weights >"$4"; exit 0; }
[ "${CODE:-0}" -ne 2 ] || { echo "refused"; exit 2; }
mkdir -p "$3"; touch "$3/config.json" "$3/log.jsonl"; [ -n "${NOTHING:-}" ] || touch "$3/last.ckpt"
echo "trained"; exit "${CODE:-0}"'
play "$work/bin/timeout" 'echo "limit $2" >>"$NOTES"; shift 2; "$@" || code=$?; [ -z "${CLOCK:-}" ] || exit 124; exit "${code:-0}"'
play "$work/bin/cmake" 'echo "cmake $*" >>"$NOTES"; [ -z "${BROKEN:-}" ] || { echo "does not compile"; exit 1; }'
play "$work/bin/apt-get" 'touch a.deb'
play "$work/bin/dpkg" 'mkdir -p "$3/usr/include" "$3/usr/lib"; touch "$3/usr/include/a.h"'
play "$work/frf" 'echo "$@" >>"$NOTES"; touch "$5"'
export PATH=$work/bin:$PATH NOTES=$work/notes BUILD=../build

gpu_train() { rm -rf out "$NOTES"; "$scripts/gpu-train.sh" --carry carry --out out "$@"; }
noted() { grep -qE -- "$1" "$NOTES" || { cat "$NOTES" >&2; fail "$2: '$1' was not noted"; }; }
new_run="^train -o ../build/run --data pack:$work/far/carry/data.pack --device cuda"

check "a new run" 0 gpu_train --minutes 9 -- --list list.txt
noted "$new_run --list list.txt$" "a new run"
noted '^limit 4[78][0-9]$' "a new run"
# The program that is there may be of an older checkout.
noted '^cmake --build ../build -j [0-9]+ --target frf-train$' "a new run"
[ -s out/best.ckpt ] && [ -f out/config.json ] && [ -f out/log.jsonl ] || fail "a new run: files are not here"
BROKEN=1 check "a checkout that does not compile" 1 gpu_train
said "does not compile" "a checkout that does not compile"

check "a run that is there" 0 gpu_train -- --workers 3
said "going on with the run that is here" "a run that is there"
noted "$new_run --workers 3 --resume$" "a run that is there"
CODE=2 check "refused options" 2 gpu_train -- --net other
[ ! -e out/best.ckpt ] || fail "refused options: old weights were brought back"

for number in 1 2; do
  check "--start" 0 gpu_train --start early -- --epochs 3
  noted "$new_run --epochs 3 --init early/best.ckpt$" "--start"
  [ -f "../build/run.$number/config.json" ] || fail "--start: the run that was there is not run.$number"
done
touch ../build/run/best.ckpt
check "--start from the run itself" 0 gpu_train --start ../build/run
noted "$new_run --init ../build/run.3/best.ckpt$" "--start from the run itself"
check "--start without weights" 2 gpu_train --start carry

CODE=1 CLOCK=1 check "stopped by the clock" 0 gpu_train
said "stopped by the clock" "stopped by the clock"
for code in 1 139; do
  CODE=$code check "failed training" "$code" gpu_train
  said "training failed with exit code $code" "failed training"
  [ -s out/best.ckpt ] && [ -f out/log.jsonl ] || fail "failed training: files are not here"
done
rm -r ../build/run
CODE=1 NOTHING=1 check "training without a checkpoint" 1 gpu_train
said "left no checkpoint" "training without a checkpoint"
check "no time" 1 gpu_train --minutes 1
said "60 of which are for bringing files back" "no time"
! grep -q '^train' "$NOTES" || fail "no time: training was started"
check "half minutes" 2 gpu_train --minutes 9.5
check "a missing value" 2 "$scripts/gpu-train.sh" --carry

check "usage" 2 "$(realpath --relative-to=. "$scripts/gpu-carry.sh")"
said "scripts/gpu-carry.sh FOLDER DATA [LIST ...]" "usage"
! grep -qE 'set -euo|sed:' "$work/said" || fail "usage: more than that"
rm -f "$NOTES"
FRF=../frf check "carry" 0 "$scripts/gpu-carry.sh" new/folder camvid:here list.txt
noted "^data pack camvid:here -o $work/far/new/folder/data.pack" "carry"
[ -f new/folder/list.txt ] && [ -f new/folder/deps/include/a.h ] || fail "carry: files are not here"

check "no hash" 1 "$scripts/kill_resume.sh" "$work/build/bin/frf-train" 1
said "no weights_hash" "no hash"
check "help" 0 "$scripts/kill_resume.sh" --help
said "scripts/kill_resume.sh [FRF_TRAIN] [KILLS] [WORKERS ...]" "help"
for kills in 0 many; do
  check "no kills" 2 "$scripts/kill_resume.sh" "$work/build/bin/frf-train" "$kills"
  said "KILLS '$kills': a whole number" "no kills"
done
echo "passed"
