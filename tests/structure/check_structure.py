#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the rules that a compiler does not: who may include whom, licence lines, lengths, headers.

    check_structure.py ROOT         prints one line a breach; exit code 1 if there is any
    check_structure.py --self-test  proves that each rule catches what it is for

Only files that git knows are looked at (all files under the folders where there is no git).
"""
import pathlib
import re
import subprocess
import sys
import tempfile

MAX_LINES = 420  # "about 400"
FOLDERS = ("src", "include", "tests", "bench", "cmake", "scripts", "docs", "examples")

# Room -> rooms, or folders of them, whose headers it may include besides its own and the public ones (frf/). The trainer's
# Winograd is written with the engine's products and transforms, headers that are compiled where they are included.
ALLOWED = {
    "base": set(),
    "image": {"base"},
    "metrics": {"base", "image"},
    "data": {"base", "image"},
    "graph": {"base"},
    "nets": {"base", "graph"},
    "onnx": {"base", "graph"},
    "engine": {"base", "image", "graph", "onnx"},
    "train": {"base", "image", "graph", "nets", "data", "metrics", "engine/kernels"},
    "video": {"base", "image"},
    "serve": {"base", "image", "graph", "onnx", "nets", "data", "metrics", "engine"},
    "cli": {"base", "image", "graph", "onnx", "nets", "data", "metrics", "engine", "serve", "video"},
}
TORCH = re.compile(r"^\s*#\s*include\s*[<\"](torch|ATen|c10|c10d|caffe2)/")
FFMPEG = re.compile(r"^\s*#\s*include\s*[<\"]lib(av|sw)[a-z]+/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
USING = re.compile(r"^\s*using\s+namespace\b")
CODE = {".h", ".c", ".cpp", ".py", ".sh", ".cmake"}


def files_of(root):
    """Paths relative to root, of code."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "--", *FOLDERS, "CMakeLists.txt"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.splitlines()
    else:
        names = [str(p.relative_to(root)) for f in FOLDERS for p in pathlib.Path(root, f).rglob("*") if p.is_file()]
    for name in sorted(names):
        path = pathlib.PurePosixPath(name)
        if (path.suffix in CODE or path.name == "CMakeLists.txt") and pathlib.Path(root, name).exists():
            yield path


def room_of(path):
    return path.parts[1] if len(path.parts) > 2 and path.parts[0] == "src" else None


def check_spdx(path, lines):
    first = lines[1] if lines and lines[0].startswith("#!") and len(lines) > 1 else (lines[0] if lines else "")
    if not re.fullmatch(r"(//|#) SPDX-License-Identifier: Apache-2\.0", first):
        yield 1, "must open with the line 'SPDX-License-Identifier: Apache-2.0'"


def check_length(path, lines):
    if path.suffix in (".h", ".cpp") and len(lines) > MAX_LINES:
        yield len(lines), f"has {len(lines)} lines, at most {MAX_LINES}; split it by topic"


def check_header(path, lines):
    if path.suffix != ".h":
        return
    if "#pragma once" not in lines:
        yield 1, "a header must say #pragma once"
    for number, line in enumerate(lines, 1):
        if USING.match(line):
            yield number, "a header must not say 'using namespace'"


def check_includes(path, lines, rooms):
    room = room_of(path)
    public = path.parts[0] == "include"
    for number, line in enumerate(lines, 1):
        if TORCH.match(line) and room != "train" and not str(path).startswith(("cmake/pch_torch", "tests/train/")):
            yield number, "only src/train and its tests may include torch"
        if FFMPEG.match(line) and path.parts[:3] != ("src", "video", "ffmpeg"):
            yield number, "only src/video/ffmpeg may include FFmpeg, so that frf starts without it"
        found = INCLUDE.match(line)
        if not found:
            continue
        target = found.group(1).split("/")[0]
        folder = found.group(1).rsplit("/", 1)[0]
        if public and target in rooms:
            yield number, f"a public header must not include from src/{target}"
        if room is None or target == room or target not in rooms:
            continue
        if room not in ALLOWED:
            yield number, f"src/{room} is not a room of the design"
        elif target not in ALLOWED[room] and folder not in ALLOWED[room]:
            allowed = ", ".join(sorted(ALLOWED[room])) or "no other room"
            yield number, f"src/{room} must not include '{found.group(1)}' (it may include {allowed})"


def breaches(root):
    paths = list(files_of(root))
    rooms = {room_of(p) for p in paths} - {None} | set(ALLOWED)
    for path in paths:
        lines = pathlib.Path(root, path).read_text(encoding="utf-8", errors="replace").splitlines()
        for check in (check_spdx, check_length, check_header):
            for number, what in check(path, lines):
                yield f"{path}:{number}: {what}"
        for number, what in check_includes(path, lines, rooms):
            yield f"{path}:{number}: {what}"


def self_test():
    spdx = "// SPDX-License-Identifier: Apache-2.0\n"
    cases = [  # file, text, part of the breach; empty: none
        ("src/base/a.h", spdx + "#pragma once\n", ""),
        ("src/base/a.h", "#pragma once\n" + spdx, "SPDX"),
        ("src/base/a.cpp", "", "SPDX"),
        ("src/base/a.h", spdx, "#pragma once"),
        ("src/base/a.h", spdx + "#pragma once\n  using namespace std;\n", "using namespace"),
        ("src/base/a.cpp", spdx + "using namespace std;\n", ""),
        ("src/base/a.cpp", spdx + "\n" * MAX_LINES, "split it"),
        ("src/base/a.cpp", spdx + '#include "image/image_io.h"\n', "src/base must not include"),
        ("src/image/a.cpp", spdx + '#include "base/files.h"\n#include "frf/image.h"\n#include "image/codec.h"\n', ""),
        ("src/train/a.cpp", spdx + '#include "engine/plain.h"\n', "src/train must not include"),
        ("src/train/a.cpp", spdx + '#include "onnx/onnx_file.h"\n', "src/train must not include"),
        ("src/train/a.cpp", spdx + "#include <torch/torch.h>\n", ""),
        ("src/cli/a.cpp", spdx + "#include <torch/torch.h>\n", "torch"),
        ("tests/data/a.cpp", spdx + "#include <ATen/ATen.h>\n", "torch"),
        ("tests/train/a.cpp", spdx + "#include <torch/torch.h>\n", ""),
        ("src/engine/a.cpp", spdx + '#include "cli/cli.h"\n', "src/engine must not include"),
        ("src/cli/a.cpp", spdx + "#include <libavcodec/avcodec.h>\n", "FFmpeg"),
        ("src/video/ffmpeg/a.cpp", spdx + "#include <libavcodec/avcodec.h>\n", ""),
        ("src/other/a.cpp", spdx + '#include "base/files.h"\n', "not a room"),
        ("include/frf/a.h", spdx + '#pragma once\n#include "base/json.h"\n', "public header"),
        ("scripts/a.py", "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\n", ""),
        ("scripts/a.sh", "#!/bin/sh\necho\n", "SPDX"),
        ("examples/a/main.c", "int main(void) { return 0; }\n", "SPDX"),
    ]
    for name, text, part in cases:
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True)
            path.write_text(text)
            found = list(breaches(root))
            if bool(found) != bool(part) or not all(part in line and line.startswith(name) for line in found):
                sys.exit(f"self-test of {name} {text!r}: wanted {part!r}, found {found}")
    print(f"{len(cases)} cases of the self-test are right")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = list(breaches(sys.argv[1]))
    print("\n".join(found) if found else "the structure is as designed")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
