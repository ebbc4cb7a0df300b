#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Collects in one folder what gpu-train.sh needs on a machine without a network: header-only libraries and static libpng,
# libjpeg and zlib out of Debian's packages, the data set in one file (JPEG, so that it stays small), its lists.
#
#   scripts/gpu-carry.sh FOLDER DATA [LIST ...]        scripts/gpu-carry.sh carry camvid:/data/camvid dev-train.txt dev-test.txt
#
# QUALITY=90 is that of the JPEGs; 0 keeps PNG. FRF names the program (default: build/bin/frf in the checkout). Relative paths
# are seen from the folder of the call.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1 data=$2
shift 2
frf=${FRF:-$(dirname "$0")/../build/bin/frf}
[ -x "$frf" ] || { echo "$frf: no such program; make demo builds it, or name another by FRF=" >&2; exit 2; }

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages=(libfmt-dev libspdlog-dev nlohmann-json3-dev libcli11-dev libxxhash-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev)
(cd "$work" && apt-get -q download "${packages[@]}" >/dev/null)
rm -rf "$folder/deps"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/tree"; done
# What compiling and linking want; shared libraries are left out, so that static ones are taken.
mkdir -p "$folder/deps"
for part in include lib share/cmake share/pkgconfig; do
  [ -d "$work/tree/usr/$part" ] && { mkdir -p "$folder/deps/$(dirname "$part")"; cp -r "$work/tree/usr/$part" "$folder/deps/$(dirname "$part")/"; }
done
for headers in "$folder"/deps/include/*-linux-gnu; do [ -d "$headers" ] && { cp -r "$headers"/. "$folder/deps/include/"; rm -r "$headers"; }; done
find "$folder/deps" \( -name '*.so*' -o -name 'libturbojpeg*' -o -name 'libspdlog*.a' -o -name 'libfmt.a' -o -name 'libxxhash.a' -o -name '*shared*.cmake' \) -delete
"$frf" data pack "$data" -o "$folder/data.pack" --jpeg "${QUALITY:-90}"
for list in "$@"; do cp "$list" "$folder/"; done
echo "$folder: $(du -sm "$folder/deps" | cut -f1) MB of libraries, $(du -m "$folder/data.pack" | cut -f1) MB of data"
