#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build, uses it as others would, and moves it: run_install.sh CMAKE BUILD LIBDIR [KEEP]
#
# Every public header compiles alone (C++17 and C++20; frf.h as C99 too); the library exports what the headers declare and
# nothing else; what README.md and docs link to is there; it can be let go and loaded again; both examples build against the installed tree, by find_package and by pkg-config; the tree and the programs
# are moved, and still the programs find library and weights and give `frf segment`'s mask, byte for byte.
# KEEP: a folder for the tree, stripped, and a line on what it weighs; else all is removed at the end.
set -euo pipefail
cmake=$1 build=$2 libdir=$3 keep=${4:-}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "run_install.sh: $*" >&2; exit 1; }
step() { echo "== $*"; }
: "${CC:=cc}" "${CXX:=c++}"
# Neither the build folder's weights nor those of the source tree may help.
unset FRF_WEIGHTS LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

step "install"
first=$work/first
for component in frf frf_development; do
  "$cmake" --install "$build" --prefix "$first" --component $component --strip >"$work/log" || { cat "$work/log" >&2; exit 1; }
done
for file in bin/frf "$libdir"/libfrf.so include/frf/{frf,session,image,image_io,error}.h share/frf/weights/{README.md,frfnet-slim-synth.onnx} share/frf/docs/pictures/{weak-camvid.png,input-size.svg} \
    "$libdir"/cmake/frf/{frfConfig,frfConfigVersion,frfTargets}.cmake "$libdir"/pkgconfig/frf.pc share/frf/LICENSE; do
  [ -e "$first/$file" ] || fail "$file was not installed"
done
[ "$(cd "$first/include" && find . -type f | sort)" = "$(cd "$source/include" && find . -type f | sort)" ] || fail "the headers are not include/'s"
if grep -rlF -e "$first" -e "$source" -e "$build" "$first" >"$work/found"; then fail "paths of this machine in $(cat "$work/found")"; fi

step "links of the installed pages"
# Outside blocks of code, where `](` is C++.
while read -r page; do
  while read -r link; do
    [ -e "$(dirname "$page")/${link%%#*}" ] || fail "${page#"$first/"} links to $link, which was not installed"
  done < <(awk '/^```/ { code = !code } !code' "$page" | grep -oP '\]\(\K[^)\s]+' | grep -vE '^(https?:|#)' || true)
done < <(find "$first/share/frf" -name '*.md')

step "headers, each alone"
for header in "$first"/include/frf/*.h; do
  name=frf/$(basename "$header")
  for standard in c++17 c++20; do
    echo "#include \"$name\"" | $CXX -std=$standard -Wall -Wextra -pedantic -Werror -fsyntax-only -I "$first/include" -x c++ - || fail "$name as $standard"
  done
done
echo '#include "frf/frf.h"' | $CC -std=c99 -Wall -Wextra -pedantic -Werror -Wstrict-prototypes -fsyntax-only -I "$first/include" -x c - || fail "frf.h as C99"

step "exports"
nm -D --defined-only --demangle "$first/$libdir/libfrf.so" | sed 's/^[0-9a-f]* . //' | sort >"$work/exports"
grep -oE '^[a-z][a-z_ *]*\bfrf_[a-z_]+\(' "$first/include/frf/frf.h" | grep -oE 'frf_[a-z_]+\($' | tr -d '(' | sort >"$work/declared"
[ "$(wc -l <"$work/declared")" -ge 20 ] || fail "found only $(wc -l <"$work/declared") functions in frf.h"
grep -E '^frf_' "$work/exports" | diff "$work/declared" - || fail "frf.h declares (<) and libfrf.so exports (>) different functions"
others=$(grep -vE '^frf_|^frf::(Session|LoadedModel|Error)::[^:]*$|^frf::(Session|LoadedModel)::[A-Za-z_~=]+(\[abi:cxx11\])?\(.*|^frf::(ReadImage|DecodeImage|WritePng|WriteLabels)\(|^(typeinfo|typeinfo name|vtable) for frf::Error$' "$work/exports" || true)
[ -z "$others" ] || fail "libfrf.so exports what no public header declares:"$'\n'"$others"
if grep -q '::Impl::' "$work/exports"; then fail "libfrf.so exports an implementation"; fi

step "loaded, let go and loaded again"
$CC -std=c99 -Wall -Wextra -pedantic -Werror -I "$first/include" "$source/tests/install/reload.c" -o "$work/reload" -ldl || fail "reload.c"
"$work/reload" "$first/$libdir/libfrf.so" "$first/share/frf/weights/frfnet-slim-synth.onnx" || fail "libfrf.so cannot be loaded again behind dlclose"

step "examples, by find_package and by pkg-config"
"$cmake" -S "$source/examples/segment_cpp" -B "$work/cpp" -DCMAKE_PREFIX_PATH="$first" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" \
  >"$work/log" 2>&1 && "$cmake" --build "$work/cpp" >>"$work/log" 2>&1 || { cat "$work/log" >&2; fail "segment_cpp does not build"; }
cp -r "$source/examples/segment_c" "$work/c"
PKG_CONFIG_PATH=$first/$libdir/pkgconfig make -s -C "$work/c" CC="$CC" CFLAGS="-O2 -Wall -Wextra -pedantic -Werror" || fail "segment_c does not build"
# The C++ one by pkg-config too, as its documentation says.
export PKG_CONFIG_PATH=$first/$libdir/pkgconfig
$CXX -std=c++20 "$source/examples/segment_cpp/main.cpp" -o "$work/segment_pc" $(pkg-config --cflags --libs frf) || fail "segment_cpp by pkg-config"
[ "$(pkg-config --modversion frf)" = "$("$first/bin/frf" --version | cut -d' ' -f2)" ] || fail "frf.pc and frf are of different versions"

step "moved"
moved="$work/some where/else"
mkdir -p "$work/some where"
mv "$first" "$moved"
# A name that only this tree has: nothing of the build's or the source's weights can answer to it.
cp "$moved/share/frf/weights/frfnet-slim-synth.onnx" "$moved/share/frf/weights/only-here.onnx"
cd "$work"
"$moved/bin/frf" synth -o scenes --count 1 --seed 5 >/dev/null
picture=$(find scenes -name '*.png' | grep -v -i -e annot -e label | head -n 1)
[ -n "$picture" ] || fail "frf synth drew no picture"
"$moved/bin/frf" segment "$picture" -o wanted -m only-here --write mask --threads 2 >/dev/null
wanted=$(find wanted -name '*_mask.png')
export LD_LIBRARY_PATH="$moved/$libdir"
for program in "$work/cpp/segment_cpp" "$work/c/segment_c" "$work/segment_pc"; do
  name=$(basename "$program")
  "$program" "$picture" "$name.png" "$name-overlay.png" only-here >"$work/log" || fail "$name failed"
  cmp "$wanted" "$name.png" || fail "$name's mask is not frf segment's"
  [ -s "$name-overlay.png" ] || fail "$name wrote no overlay"
  if "$program" "$picture" a.png b.png no-such-weights 2>"$work/error"; then fail "$name took weights that are not there"; fi
  grep -q "no-such-weights.*only-here" "$work/error" || fail "$name's error does not name what there is: $(cat "$work/error")"
done
grep -q road "$work/log" || fail "segment_cpp printed no shares: $(cat "$work/log")"
ldd "$work/c/segment_c" | grep -F libfrf | grep -qF "$moved" || fail "segment_c runs on another libfrf"
PKG_CONFIG_PATH="$moved/$libdir/pkgconfig" pkg-config --libs frf | grep -q "some.*where" || fail "frf.pc did not move with its tree"
"$cmake" -S "$source/examples/segment_cpp" -B "$work/cpp2" -DCMAKE_PREFIX_PATH="$moved" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "find_package in the moved tree"; }

step "video"
# Without its library frf has no video and says so; with it (where it was built) the moved tree labels a clip.
if ldd "$moved/bin/frf" "$moved/$libdir/libfrf.so" | grep -E 'libav|libsw'; then fail "frf or libfrf.so links FFmpeg"; fi
{ printf 'YUV4MPEG2 W64 H64 F25:1 Ip A1:1 C420jpeg\nFRAME\n'; head -c 6144 /dev/zero; } >clip.y4m
if "$moved/bin/frf" segment clip.y4m -o out.mp4 -m only-here 2>"$work/error"; then fail "frf took a video without its library"; fi
grep -q "clip.y4m: this build of frf has no video" "$work/error" || fail "frf without video said: $(cat "$work/error")"
if [ -e "$build/lib/frf/libfrf-video.so" ]; then
  "$cmake" --install "$build" --prefix "$moved" --component frf_video --strip >"$work/log" || { cat "$work/log" >&2; exit 1; }
  "$moved/bin/frf" segment clip.y4m -o out.mp4 -m only-here >/dev/null || fail "the moved frf labels no video"
  [ -s out.mp4 ] || fail "the moved frf wrote no video"
fi

step "size"
# What ldd finds is named in docs/deploy.md, but for what every Debian system has.
for name in $(ldd "$moved/bin/frf" "$moved/$libdir/libfrf.so" | grep -oE '^\s+[^ /]+\.so[^ ]*' | grep -vE '^\s+(libfrf|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|libz|linux-vdso)\.' | sort -u); do
  grep -qF "\`$name\`" "$source/docs/deploy.md" || fail "$name is needed, and docs/deploy.md (Sizes) does not name it"
done
needs=$(ldd "$moved/bin/frf" "$moved/$libdir/libfrf.so" | grep -oE '/[^ ]*/lib(dnnl|OpenCL|onnx_proto|protobuf|fmt|png16|jpeg|gomp)\.so[^ ]*' | sort -u)
rm "$moved/share/frf/weights/only-here.onnx"
du -bcL "$moved/bin/frf" "$moved/$libdir"/libfrf.so.*.*.* $needs | sed "s|$moved/||"
total=$(du -bcL "$moved/bin/frf" "$moved/$libdir"/libfrf.so.*.*.* $needs | tail -n 1 | cut -f1)
[ "$total" -lt 60000000 ] || fail "program and libraries take $total bytes, 60 MB are the goal"
if [ -n "$keep" ]; then mkdir -p "$keep" && cp -r "$moved/." "$keep/"; fi
echo "installed, moved, linked and run: the masks are equal; program and libraries take $((total / 1000000)) MB"
