#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build_test.sh CMAKE: what building asks of the system and of git. scripts/setup.sh with programs that play dpkg-query, id, sudo
# and apt-get; cmake/Version.cmake in a source tree without git, inside another project's checkout, and in its own.
set -euo pipefail
cmake=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" >&2; exit 1; }
play() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$work/bin/$1"; chmod +x "$work/bin/$1"; }

mkdir "$work/bin"
play dpkg-query '[ -z "${MISSING:-}" ] || exit 1; echo installed'
play id 'echo 1000'
# As the real one it hands on what stands before the command, and nothing of its caller's environment.
play sudo 'exec env -i PATH="$PATH" NOTES="$NOTES" "$@"'
play apt-get 'echo "${DEBIAN_FRONTEND:-asks} $1" >>"$NOTES"'
export NOTES=$work/notes PATH=$work/bin:$PATH
unset DEBIAN_FRONTEND
MISSING=1 "$source/scripts/setup.sh" demo >"$work/said" || fail "setup.sh did not install"
[ "$(cat "$NOTES")" = $'noninteractive update\nnoninteractive install' ] || fail "setup.sh by sudo: $(cat "$NOTES")"
rm "$NOTES"
"$source/scripts/setup.sh" demo >"$work/said"
[ ! -e "$NOTES" ] && [ ! -s "$work/said" ] || fail "setup.sh did something twice"

commit() {
  "$cmake" -DSOURCE="$1" -DOUT="$work/version" -DVERSION=1.2.3 -P "$source/cmake/Version.cmake"
  sed -n 's/^#define FRF_COMMIT "\(.*\)"$/\1/p' "$work/version"
}
command -v git >/dev/null || { echo "no git: the commit was not looked at"; exit 0; }
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
git() { command git -c user.name=a -c user.email=a@b -c init.defaultBranch=main "$@"; }
tree="$work/out er/fr f"
mkdir -p "$tree/src"
touch "$tree/CMakeLists.txt"
[ "$(GIT_CEILING_DIRECTORIES=$work commit "$tree")" = unknown ] || fail "a tree without git has a commit"
git -C "$work/out er" init -q
git -C "$work/out er" commit -q --allow-empty -m theirs
[ "$(commit "$tree")" = unknown ] || fail "another project's commit is taken for this one's"
git -C "$tree" init -q
git -C "$tree" add CMakeLists.txt
git -C "$tree" commit -q -m ours
wanted=$(git -C "$tree" rev-parse --short=12 HEAD)
[ "$(commit "$tree")" = "$wanted" ] || fail "the commit is $(commit "$tree"), not $wanted"
echo change >"$tree/CMakeLists.txt"
[ "$(commit "$tree")" = "$wanted+" ] || fail "a changed tree's commit is $(commit "$tree")"
echo "passed"
