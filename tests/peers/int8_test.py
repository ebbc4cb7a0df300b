# SPDX-License-Identifier: Apache-2.0
"""The shipped int8 file means the same to others: labels of 20 pictures by frf, ONNX Runtime and OpenVINO.

usage: int8_test.py PATH_OF_FRF drawn|camvid
exit code 77: ONNX Runtime or OpenVINO is not installed, or CamVid is not there (../shared/camvid, FRF_CAMVID): skipped

ONNX Runtime without optimisations evaluates the file to the letter, in floats: 99.5 % of labels are wanted. With its defaults, and
OpenVINO's, both run on integers and may round elsewhere: 99 %. Each in the mean of the pictures.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
try:
    import numpy as np
    import onnxruntime
    import openvino
    import PIL.Image
except ImportError as error:
    print(f"{error.name} is not installed (make peers): skipped")
    sys.exit(77)

COUNT = 20
MEAN, STD = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)


def run(*words, **more):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **more)


def pictures(frf, kind, work):
    if kind == "drawn":
        folder = os.path.join(work, "tree")
        run(frf, "synth", "-o", folder, "--count", "2", "--test-count", str(COUNT))
        folder = os.path.join(folder, "test")
    else:
        folder = os.path.join(os.environ.get("FRF_CAMVID") or os.path.join(ROOT, "..", "shared", "camvid"), "val")
        if not os.path.isdir(folder):
            print("CamVid is not at ../shared/camvid nor at FRF_CAMVID: skipped")
            sys.exit(77)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".png"))
    return [os.path.join(folder, name) for name in names][:: 5 if kind == "camvid" else 1][:COUNT]


def frf_labels(frf, model, files, folder, isa=""):
    environment = dict(os.environ, **({"FRF_FORCE_ISA": isa} if isa else {}))
    run(frf, "segment", *files, "-o", folder, "-m", model, env=environment)
    found = []
    for file in files:
        stem = os.path.splitext(os.path.basename(file))[0]
        mask = [name for name in os.listdir(folder) if name.startswith(stem) and "mask" in name or name == stem + ".png"]
        found.append(np.asarray(PIL.Image.open(os.path.join(folder, sorted(mask)[0]))))
    return found


def tensor(file):
    picture = np.asarray(PIL.Image.open(file).convert("RGB"), np.float32)
    return np.ascontiguousarray(((picture - MEAN) / STD).transpose(2, 0, 1)[None])


def runtime(path, optimised):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {session.get_inputs()[0].name: image})[0]


def vino(path):
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 2})
    return lambda image: compiled(image)[0]


def main():
    frf, kind = sys.argv[1:]
    weights = "frfnet-slim-synth-int8" if kind == "drawn" else "frfnet-camvid-int8"
    failures = 0
    with tempfile.TemporaryDirectory() as work:
        files = pictures(frf, kind, work)
        assert len(files) == COUNT, f"{len(files)} pictures, {COUNT} are wanted"
        model = os.path.join(work, "fixed.onnx")
        run(frf, "export", weights, "-o", model, "--size", "360x480")
        ours = frf_labels(frf, model, files, os.path.join(work, "ours"))
        without = frf_labels(frf, model, files, os.path.join(work, "baseline"), "baseline")
        others = [("frf without a dot product", None, 0.995), ("ONNX Runtime, no optimisations", runtime(model, False), 0.995),
                  ("ONNX Runtime", runtime(model, True), 0.99), ("OpenVINO", vino(model), 0.99)]
        for name, infer, wanted in others:
            shares = []
            for i, file in enumerate(files):
                labels = without[i] if infer is None else infer(tensor(file))[0].argmax(0)
                shares.append(float((labels == ours[i]).mean()))
            good = np.mean(shares) >= wanted
            failures += not good
            print(f"{weights}, {name}: {np.mean(shares):.5f} of labels equal, at least {min(shares):.5f}, {wanted} wanted{'' if good else ': FAILED'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
