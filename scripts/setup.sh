#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that a target needs: `setup.sh demo` for frf alone, `setup.sh test` for everything.
# `setup.sh peers` for what scripts/peers.sh needs. Packages that are there are left alone; without apt it prints the list, and
# the build says what it misses.
set -euo pipefail

demo_packages=(
  cmake ninja-build g++ git pkg-config ccache
  libdnnl-dev libonnx-dev libprotobuf-dev protobuf-compiler
  libpng-dev libjpeg62-turbo-dev zlib1g-dev libxxhash-dev
  libcli11-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
)
test_packages=(
  "${demo_packages[@]}"
  libtorch-dev libgloo-dev libgtest-dev libgmock-dev libbenchmark-dev libonnx-testdata
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libavdevice-dev
  python3 python3-torch python3-numpy python3-venv
)

case "${1:-}" in
  demo) packages=("${demo_packages[@]}") ;;
  test) packages=("${test_packages[@]}") ;;
  peers) packages=(python3 python3-venv) ;;
  list) printf '%s\n' "${test_packages[@]}"; exit 0 ;;
  *) echo "usage: scripts/setup.sh demo|test|peers|list" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "This is not a Debian system; these packages (by their Debian 12 names) are needed:" >&2
  printf '  %s\n' "${packages[@]}" >&2
  echo "Continuing: the build says what it misses." >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Not root and sudo is absent. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo DEBIAN_FRONTEND=noninteractive)  # sudo hands on no environment, and a question would be asked into the log
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
# The package index may be absent or old: update first, and say what apt said when it fails.
# A repository of somebody else's that is broken need not matter: install decides.
"${sudo[@]}" apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; echo "apt-get update failed; trying to install all the same" >&2; }
install || { tail -n 30 "$log" >&2; echo "apt-get install failed; the packages: ${missing[*]}" >&2; exit 1; }
