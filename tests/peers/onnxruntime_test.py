# SPDX-License-Identifier: Apache-2.0
"""Files that `frf export` writes from the shipped weights, in ONNX Runtime and on frf's plain executor, on pictures: 12 of CamVid, 8 drawn.

usage: onnxruntime_test.py PATH_OF_FRF PATH_OF_FRF_ONNX_DUMP drawn|camvid
exit code 77: ONNX Runtime is not installed, or CamVid is not there (../shared/camvid, FRF_CAMVID): skipped

With height and width free and fixed, at 360x480, 512x1024 and an odd size: at least 99.95 % of a picture's labels agree, and
scores lie within 1e-4 of the largest one when both sides use the plain executor's FFM masks.
"""
import os
import subprocess
import sys
import tempfile

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
try:
    import PIL.Image  # noqa: F401  (check_onnx reads pictures with it)
    import check_onnx
except ImportError as error:
    print(f"{error.name} is not installed (make peers): skipped")
    sys.exit(77)

SIZES = [(360, 480), (512, 1024), (357, 483)]
COUNT = {"drawn": 8, "camvid": 12}
WEIGHTS = {"drawn": "frfnet-slim-synth", "camvid": "frfnet-camvid"}


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def drawn_pictures(frf, folder):
    """Scenes that were never trained on."""
    run(frf, "synth", "-o", folder, "--count", "2", "--test-count", str(COUNT["drawn"]))
    return check_onnx.pictures([os.path.join(folder, "test")])


def camvid_pictures():
    """Every fifth validation image: neighbours are frames of one drive."""
    folder = os.environ.get("FRF_CAMVID") or os.path.join(ROOT, "..", "shared", "camvid")
    if not os.path.isdir(os.path.join(folder, "val")):
        print("CamVid is not at ../shared/camvid nor at FRF_CAMVID: skipped")
        sys.exit(77)
    return check_onnx.pictures([os.path.join(folder, "val")])[::5]


def main():
    frf, dump, kind = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        images = (camvid_pictures() if kind == "camvid" else drawn_pictures(frf, os.path.join(work, "tree")))[:COUNT[kind]]
        assert len(images) == COUNT[kind], f"{len(images)} pictures, {COUNT[kind]} are wanted"
        checker = check_onnx.Checker(dump)
        # Real pictures by the free file and the fixed ones, all; drawn ones by one or the other, in half of the time.
        free, fixed = (images, images) if kind == "camvid" else (images[::2], images[1::2])
        path = os.path.join(work, "free.onnx")
        run(frf, "export", WEIGHTS[kind], "-o", path)
        checker.check(path, SIZES, free, "free")
        for height, width in SIZES:
            path = os.path.join(work, f"{height}x{width}.onnx")
            run(frf, "export", WEIGHTS[kind], "-o", path, "--size", f"{height}x{width}")
            checker.check(path, [], fixed, "fixed")
        wanted = len(SIZES) * (len(free) + len(fixed))
        print(f"{checker.compared} comparisons; worst: labels {checker.worst_labels:.6f}, scores {checker.worst_scores:.1e}; {checker.failures} failed")
        assert checker.compared == wanted, f"{wanted} comparisons are wanted"
        assert checker.masks_seen == wanted, "the FFM masks were not found in every file: scores were compared without them"
        return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
