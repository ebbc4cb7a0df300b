#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/accuracy_time.py with a program in frf's place: score and time of a row are of the same `frf eval`, the median over rounds."""
import os
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/accuracy_time.py"
# Each call takes 1 ms longer than the one before.
FAKE = f"""#!{sys.executable}
import json, pathlib, sys
assert sys.argv[1] == "eval", sys.argv
calls = pathlib.Path(__file__).with_name("calls")
calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
size = sys.argv[sys.argv.index("--size") + 1]
print(json.dumps({{"miou": 0.5 if size == "96x128" else 0.75, "ms": len(calls.read_text()), "data": "some data",
                  "machine": {{"cpu": "a CPU", "isa": "avx2"}}, "threads": 2, "commit": "abc"}}))
"""

with tempfile.TemporaryDirectory() as folder:
    frf = os.path.join(folder, "frf")
    pathlib.Path(frf).write_text(FAKE)
    os.chmod(frf, 0o755)
    svg = os.path.join(folder, "x.svg")
    call = [sys.executable, str(SCRIPT), frf, "a.onnx", "b", "--data", "synth:1", "--sizes", "96x128,192x256", "-o", svg]
    out = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout
    # Calls 1, 5 and 9 are the first row's first column.
    for line in ("| input | a, mean IoU, ms | b, mean IoU, ms |", "| 96x128 | 50.00 %, 5.0 | 50.00 %, 7.0 |",
                 "| 192x256 | 75.00 %, 6.0 | 75.00 %, 8.0 |", "some data; a CPU (avx2), 2 threads, commit abc"):
        assert line in out.splitlines(), out
    assert "192x256" in pathlib.Path(svg).read_text()
    refused = subprocess.run([*call[:3], "a/x.onnx", "b/x.onnx", *call[5:]], stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 1 and "models of one name" in refused.stderr, refused.stderr
print("ok")
