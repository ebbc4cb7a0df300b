# SPDX-License-Identifier: Apache-2.0
"""scripts/proxies.py reads a run's log as frf-train does: a line that a kill or a full disk damaged costs that line. And with a
program that plays frf-train: Ctrl-C waits until it has saved, and a run that was killed before its first checkpoint goes on."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # leaves nothing in scripts/
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"))
from proxies import finished, spread  # noqa: E402

SCRIPT = pathlib.Path(sys.path[0]) / "proxies.py"
# Notes its words and trains until Ctrl-C, after which saving takes a second; with --resume it is done at once.
TRAIN = """#!/usr/bin/env bash
echo "$@" >>words
run=$3
mkdir -p "$run"
case " $* " in *" --resume "*)
  echo '{"type":"validation","final":true,"miou":0.25,"iou":{}}' >"$run/log.jsonl"; exit 0 ;; esac
touch "$run/config.json"
trap 'sleep 1; touch "$run/saved"; exit 1' INT
# Told from within the loop: a signal while the shell makes the list, which is a process too, can be lost.
for i in $(seq 600); do sleep 0.1; [ -e training ] || touch training; done
"""

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

# Pairs 2 and 4 points apart: variances 2 and 8 square points, pooled 5.
assert "differ by 2.24 points (standard deviation, pooled over 2 arms)" in spread({"a": [0.40, 0.42], "b": [0.44, 0.40], "c": [0.5]})
assert "One seed each" in spread({"a": [0.40], "b": [0.44]})
print("what seeds alone do is said")


def proxies(*words):
    return subprocess.Popen([sys.executable, "-B", SCRIPT, *words], cwd=folder, start_new_session=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def output_of(process, code):
    said = process.communicate(timeout=120)[0]
    assert process.returncode == code, said
    assert "Traceback" not in said, said
    return said


with tempfile.TemporaryDirectory() as folder:
    for name, text in (("train", TRAIN), ("info", '#!/bin/sh\necho \'{"params":1,"macs":1}\'\n')):
        pathlib.Path(folder, name).write_text(text)
        pathlib.Path(folder, name).chmod(0o755)
    words = ["reading", "--runs", "runs", "--frf", "./info", "--frf-train", "./train"]
    run = ["run", *words, "--data", "d", "--list", "l", "--val-list", "v", "--only", "base", "--seeds", "0"]
    process = proxies(*run)
    while not pathlib.Path(folder, "training").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert "stopped; run the same command again" in output_of(process, 1)
    assert pathlib.Path(folder, "runs/base-s0/saved").exists(), "Ctrl-C did not wait until the run was saved"

    results = pathlib.Path(folder, "runs/results.jsonl")
    results.write_text('{"run":"base-s1","mi')  # cut off
    assert "| base | 25.0 % |" in output_of(proxies(*run), 0)
    assert pathlib.Path(folder, "words").read_text().splitlines()[-1] == "train -o runs/base-s0 --resume"
    lines = results.read_text().splitlines()
    assert len(lines) == 2 and lines[1].startswith('{"run": "base-s0", "miou": 0.25'), lines

    # An arm alone, without the base that others are compared with.
    other = pathlib.Path(folder, "runs/reading-head=none-s0")
    other.mkdir()
    (other / "config.json").write_text('{"recipe":{"phases":[{"epochs":40}]}}')
    alone = ["run", *words, "--data", "d", "--list", "l", "--val-list", "v", "--only", "head=none", "--seeds", "0", "--results", "alone.jsonl"]
    shutil.move(pathlib.Path(folder, "runs/base-s0"), pathlib.Path(folder, "base-s0"))
    said = output_of(proxies(*alone), 0)
    assert "| head=none | 25.0 % | 25.0 |  | 0.000 M |" in said and "| base | not run |" in said, said
    shutil.move(pathlib.Path(folder, "base-s0"), pathlib.Path(folder, "runs/base-s0"))

    # A dry run's folder is no run of the whole length, nor the other way round; it stays.
    short = pathlib.Path(folder, "runs/base-s2")
    shutil.copytree(pathlib.Path(folder, "runs/base-s0"), short)
    (short / "config.json").write_text('{"recipe":{"phases":[{"epochs":1},{"epochs":1}]}}')
    for do in (run[:-1] + ["2"], ["table", *words]):
        assert "runs/base-s2: holds a run of 2 epochs, 40 are wanted" in output_of(proxies(*do), 1)
    assert len(results.read_text().splitlines()) == 2 and (short / "log.jsonl").exists()
    assert "reading-head=none-s0: holds a run of 40 epochs, 2 are wanted" in output_of(proxies("table", *words, "--epochs", "2"), 1)
    shutil.rmtree(short)

    for wrong in (["--jobs", "0"], ["--seeds", "0,x"], ["--frf-train", "./none"]):
        assert wrong[1] in output_of(proxies(*run, *wrong), 2)
print("runs are stopped and gone on with")

# `| head`, which has read enough before the list is there.
ours, theirs = os.pipe()
os.close(ours)
done = subprocess.run([sys.executable, "-B", SCRIPT, "list", "recipe"], stdout=theirs, stderr=subprocess.PIPE, text=True)
os.close(theirs)
assert done.returncode == 1 and done.stderr == "", done
print("a closed pipe is no fault")
