#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds ONNX files that frf wrote against ONNX's checker and ONNX Runtime.

  check_onnx.py --tool build/bin/frf_onnx_dump MODEL.onnx ...     files; free ones at every --size
  check_onnx.py --tool build/bin/frf_onnx_dump MODEL.onnx --images DIR    the same on pictures (files, or folders of PNG and JPEG)
  check_onnx.py --tool build/bin/frf_onnx_dump --nets             every network and option, with random weights

The tool (built from tests/onnx) runs the same file on frf's plain executor. Subtle: FFM thresholds a difference, so one
element within rounding of the threshold moves the scores around it. Scores are therefore compared with the plain
executor's masks fed to ONNX Runtime as inputs; labels are compared end to end.
Needs onnx, onnxruntime and numpy; --images also Pillow.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="ONNX files that frf wrote")
    parser.add_argument("--tool", required=True, help="frf_onnx_dump")
    parser.add_argument("--nets", nargs="?", const=".", metavar="TEXT", help="every network and option whose line holds TEXT")
    parser.add_argument("--size", action="append", metavar="HxW", help="default: 360x480, 512x1024, 357x483")
    parser.add_argument("--images", nargs="*", metavar="PATH", help="pictures to compare on; default: one random image")
    parser.add_argument("--files", default="fixed,free,half,labels", help="which of the tool's files to check with --nets")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = parse()  # first, so that --help needs nothing but Python

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"check_onnx: Python's {error.name} is missing here; `make peers` makes .venv-peers, which has it: .venv-peers/bin/python scripts/check_onnx.py")

LABELS_EQUAL = 0.9995
SCORES_CLOSE = 1e-4  # of the largest score


def metadata(model):
    return {entry.key: entry.value for entry in model.metadata_props}


def image_input(model):
    """Name, element type, height and width (0 where free) of the model's first input."""
    value = model.graph.input[0]
    dims = value.type.tensor_type.shape.dim
    return value.name, value.type.tensor_type.elem_type, dims[2].dim_value, dims[3].dim_value


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_mask_inputs(model):
    """A copy whose FFM masks are graph inputs, and their names."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    masks = []
    for node in list(copy.graph.node):
        for output in node.output:
            if output.endswith((".ffm.t1", ".ffm.t2")):
                masks.append(output)
                copy.graph.node.remove(node)
                copy.graph.input.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [None] * 4))
    return copy, masks


def random_input(kind, height, width, seed):
    """A smooth image with noise: uint8, or float32 as after normalisation."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(6.28 * random.uniform(3, 12) * y / height + c) * np.cos(6.28 * random.uniform(3, 12) * x / width) for c in range(3)]
    image = np.stack(planes) * 1.5 + random.normal(0, 0.3, (3, height, width))
    if kind == onnx.TensorProto.UINT8:
        return np.clip(image * 50 + 120, 0, 255).astype(np.uint8)[None]
    return image.astype(np.float32)[None]


def file_input(model, kind, path, height, width):
    """An image file at the wanted size, normalised as the file's metadata says unless the graph does it."""
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height), Image.BILINEAR)).transpose(2, 0, 1)[None]
    if kind == onnx.TensorProto.UINT8:
        return np.ascontiguousarray(pixels)
    keys = metadata(model)
    if "frf.input.mean" not in keys or "frf.input.std" not in keys:
        sys.exit(f"check_onnx.py: {os.path.basename(path)} cannot be normalised: the model has no frf.input.mean and frf.input.std; stamp it with frf export --meta")
    mean, std = (np.array(json.loads(keys[key]), np.float32).reshape(1, 3, 1, 1) for key in ("frf.input.mean", "frf.input.std"))
    return np.ascontiguousarray((pixels.astype(np.float32) - mean) / std)


def pictures(paths):
    """Files as they are, folders as the PNG and JPEG files in them; nothing at all is an error, not a random image."""
    found = []
    for path in paths:
        inside = sorted(os.listdir(path)) if os.path.isdir(path) else [""]
        found += [os.path.join(path, name) if name else path for name in inside if not name or name.lower().endswith((".png", ".jpg", ".jpeg"))]
    for path in found:
        if not os.path.isfile(path):
            sys.exit(f"check_onnx.py: --images: {path}: no such file")
    if not found:
        sys.exit("check_onnx.py: --images: no PNG or JPEG file among " + (", ".join(paths) or "nothing"))
    return found


def run_plain(tool, path, image):
    """Outputs of frf's plain executor, masks t1 and t2 among them."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(os.path.join(folder, "in.npy"), image)
        subprocess.run([tool, "run", path, os.path.join(folder, "in.npy"), os.path.join(folder, "out")], check=True)
        out = os.path.join(folder, "out")
        return {name[:-4]: np.load(os.path.join(out, name)) for name in os.listdir(out)}


class Checker:
    def __init__(self, tool):
        self.tool = tool
        self.failures = self.compared = self.masks_seen = 0
        self.worst_labels, self.worst_scores = 1.0, 0.0

    def report(self, good, text):
        self.failures += not good
        print(("ok    " if good else "FAIL  ") + text, flush=True)

    def compare(self, model, path, sessions, image, what):
        name = image_input(model)[0]
        plain = run_plain(self.tool, path, image)
        labels_file = "labels" in plain
        whole, fed, masks = sessions
        self.compared += 1
        self.masks_seen += bool(masks)
        end_to_end = whole.run(None, {name: image})[0]
        if labels_file:
            equal = float(np.mean(plain["labels"] == end_to_end))
            self.worst_labels = min(self.worst_labels, equal)
            self.report(equal >= LABELS_EQUAL, f"{what}: labels equal {equal:.6f}")
            return
        scores = plain[model.graph.output[0].name]
        equal = float(np.mean(scores.argmax(1) == end_to_end.argmax(1)))
        feeds = {name: image, **{mask: plain[mask[-2:]] for mask in masks}}
        seen = fed.run(None, feeds)[0] if masks else end_to_end
        difference = float(np.abs(seen - scores).max() / np.abs(scores).max())
        fired = " ".join(f"{mask[-2:]} {plain[mask[-2:]].mean():.3f}" for mask in masks)
        good = equal >= LABELS_EQUAL and difference <= SCORES_CLOSE and np.isfinite(scores).all()
        self.worst_labels, self.worst_scores = min(self.worst_labels, equal), max(self.worst_scores, difference)
        spread = len(np.unique(scores.argmax(1)))
        self.report(good, f"{what}: labels equal {equal:.6f}, scores within {difference:.1e}, {spread} classes seen, masks {fired or '-'}")

    def check(self, path, sizes, images, what):
        model = onnx.load(path)
        try:
            onnx.checker.check_model(model, full_check=True)
            self.report(True, f"{what}: onnx.checker, opset {model.opset_import[0].version}, IR {model.ir_version}")
        except onnx.checker.ValidationError as error:
            self.report(False, f"{what}: onnx.checker: {error}")
            return
        _, kind, height, width = image_input(model)
        with_masks, masks = with_mask_inputs(model)
        sessions = session(model), session(with_masks) if masks else None, masks
        for size in [(height, width)] if height else sizes:
            if images:
                for image in images:
                    pixels = file_input(model, kind, image, *size)
                    self.compare(model, path, sessions, pixels, f"{what} {size[0]}x{size[1]} {os.path.basename(image)}")
            else:
                self.compare(model, path, sessions, random_input(kind, *size, seed=1), f"{what} {size[0]}x{size[1]}")

    def check_net(self, net, options, sizes, files):
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([self.tool, "write", net, options, f"{size[0]}x{size[1]}", folder], check=True)
                for name in files:
                    what = f"{net} {options} {name}"
                    self.check(os.path.join(folder, name + ".onnx"), [size], [], what)


def main(args):
    sizes = [tuple(int(n) for n in size.split("x")) for size in args.size or ["360x480", "512x1024", "357x483"]]
    images = pictures(args.images) if args.images is not None else []
    checker = Checker(args.tool)
    for path in args.models:
        checker.check(path, sizes, images, os.path.basename(path))
    if args.nets is not None:
        lines = subprocess.run([args.tool, "list"], check=True, capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            if args.nets == "." or args.nets in line:
                net, options = line.split(" ", 1)
                checker.check_net(net, options, sizes, args.files.split(","))
    print(f"worst: labels {checker.worst_labels:.6f}, scores {checker.worst_scores:.1e}; {checker.failures} failed")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main(ARGUMENTS))
