# SPDX-License-Identifier: Apache-2.0
"""scripts/proxies.py reads a run's log as frf-train does: a line that a kill or a full disk damaged costs that line."""
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True  # leaves nothing in scripts/
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"))
from proxies import finished  # noqa: E402

LINES = [
    b'{"type":"start","commit":"abc"}',
    b'{"type":"epoch","seconds":30}',
    b'{"type":"epoch","sec',  # cut off
    b'\0\0\0\0{"type":"epoch","seconds":7}',  # blocks that were never written
    b'{"type":"epoch","\xff":1}',  # not UTF-8
    b'[1]',
    b'{"type":"epoch","seconds":12}',
    b'{"type":"validation","final":true,"miou":0.5,"iou":{"sky":0.75,"car":null}}',
]
WANTED = {"run": "a-s0", "miou": 0.5, "iou": {"sky": 0.75, "car": None}, "seconds": 42, "commit": "abc"}

with tempfile.TemporaryDirectory() as folder:
    run = pathlib.Path(folder, "a-s0")
    run.mkdir()
    assert finished(run) is None, "a run without a log is not finished"
    (run / "log.jsonl").write_bytes(b"\n".join(LINES[:-1]) + b"\n")
    assert finished(run) is None, "a run without its last score is not finished"
    (run / "log.jsonl").write_bytes(b"\n".join(LINES) + b"\n")
    assert finished(run) == WANTED, finished(run)
print("damaged lines cost themselves only")
