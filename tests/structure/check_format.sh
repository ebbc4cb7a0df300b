#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check_format.sh ROOT: every C++ file as clang-format 14 (Debian 12's) writes it; `make format` mends what is not.
# Exit code 77 (skipped) where that version is not installed: others break lines elsewhere.
set -euo pipefail
cd "$1"
tool=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$tool" ] || ! "$tool" --version | grep -q 'version 14\.'; then
  echo "no clang-format 14: skipped"
  exit 77
fi
if ! git rev-parse --git-dir > /dev/null 2>&1; then
  echo "not a git checkout: skipped"
  exit 77
fi
git ls-files '*.cpp' '*.h' | xargs -P 2 -n 40 "$tool" --dry-run -Werror
echo "all files are as clang-format writes them"
