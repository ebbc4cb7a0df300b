#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ncnn in 8 bits beside frf's int8 file: the labels that change against each one's own float32, and the speed, taking turns.

    make peers
    .venv-peers/bin/python scripts/ncnn_int8.py build/bin/frf frfnet-camvid frfnet-camvid-int8 FOLDER_OF_IMAGES

ncnn does not read QuantizeLinear, and its own quantiser, ncnn2table and ncnn2int8, comes in no wheel and no Debian package. So
this does what those do (their sources: github.com/Tencent/ncnn, tools/quantize) to what pnnx makes of the float file: weights by
an output channel's largest, in 8 bits, or in 6 where the kernel is 3x3 with stride 1, which ncnn's Winograd wants; activations by
the largest value over the images of the first half (ncnn2table's default cuts outliers, which changes no speed); int8 from
convolution to convolution where nothing else reads between. Labels are compared on the second half. ncnn's time ends at full-size
scores, frf's at labels: argmax would be on top of ncnn's.
"""
import argparse
import glob
import importlib.util
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frf", help="the program")
    parser.add_argument("model", help="float32: ONNX file or name of shipped weights")
    parser.add_argument("int8", help="the same after frf quantize")
    parser.add_argument("images", help="folder of PNG and JPEG files")
    parser.add_argument("--size", default="512x1024", help="HEIGHTxWIDTH of the input [%(default)s]")
    parser.add_argument("--count", type=int, default=40, help="images, evenly from the folder; half to calibrate, half to compare [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="turns of frf and ncnn [%(default)s]")
    parser.add_argument("--runs", type=int, default=20, help="frames a turn [%(default)s]")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both [%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = parse()  # first, so that --help needs nothing but Python

try:
    import ncnn
    import numpy as np
    import onnx
    from PIL import Image
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"ncnn_int8: Python's {error.name} is missing here; `make peers` makes .venv-peers, which has it: .venv-peers/bin/python scripts/ncnn_int8.py")

INT8_TAG = 0x000D4B38  # before weights in 8 bits; 0 before floats
TERM, OUTPUTS, WEIGHTS, BIAS = "8", "0", "6", "5"  # keys of a Convolution


class Layer:
    def __init__(self, line):
        words = line.split()
        self.type, self.name, bottoms, tops = words[0], words[1], int(words[2]), int(words[3])
        self.bottoms, self.tops = words[4:4 + bottoms], words[4 + bottoms:4 + bottoms + tops]
        self.params = dict(word.split("=", 1) for word in words[4 + bottoms + tops:])
        self.weights = self.bias = self.raw = None

    def line(self):
        blobs = " ".join(self.bottoms + self.tops)
        return f"{self.type} {self.name} {len(self.bottoms)} {len(self.tops)} {blobs} " + " ".join(f"{k}={v}" for k, v in self.params.items())


def read(param, weights):
    lines = pathlib.Path(param).read_text().splitlines()
    data, at = pathlib.Path(weights).read_bytes(), 0

    def floats(count):
        nonlocal at
        at += 4 * count
        return np.frombuffer(data, np.float32, count, at - 4 * count)

    layers = [Layer(line) for line in lines[2:] if line.split()]
    for layer in layers:
        p = layer.params
        if layer.type == "Convolution":
            if struct.unpack_from("<I", data, at)[0] != 0:
                sys.exit(f"{layer.name}: weights that are no floats")
            at += 4
            layer.weights = floats(int(p[WEIGHTS])).reshape(int(p[OUTPUTS]), -1)
            layer.bias = floats(int(p[OUTPUTS])) if p.get(BIAS) == "1" else None
        elif layer.type == "MemoryData":
            layer.raw = floats(int(np.prod([max(1, int(p.get(key, 0))) for key in ("0", "1", "11", "2")])))
    if at != len(data):
        sys.exit(f"{weights}: {len(data)} bytes, {at} understood: a layer with weights that this script does not know")
    return lines[:2], layers


def quantize(layers, largest):
    """`largest`: by a convolution's name, of what it reads. Fills in what write() stores."""
    for layer in layers:
        if layer.type != "Convolution":
            continue
        p = layer.params
        winograd = p.get("1") == "3" and p.get("11", "3") == "3" and p.get("3", "1") == "1" and p.get("2", "1") == "1"
        layer.scales = (31 if winograd else 127) / np.maximum(np.abs(layer.weights).max(1), 1e-12)
        layer.words = np.clip(np.round(layer.weights * layer.scales[:, None]), -127, 127).astype(np.int8)
        layer.source_scale = 127 / max(largest[layer.name], 1e-12)
        layer.top_scale = None
    by_bottom = {}
    for layer in layers:
        for blob in layer.bottoms:
            by_bottom.setdefault(blob, []).append(layer)
    for layer in layers:
        if layer.type != "Convolution":
            continue
        readers = by_bottom.get(layer.tops[0], [])
        if len(readers) == 1 and readers[0].type == "Split":
            readers = [reader for top in readers[0].tops for reader in by_bottom.get(top, [])]
        if readers and all(reader.type == "Convolution" for reader in readers):
            layer.top_scale = readers[0].source_scale
        layer.params[TERM] = "2" if layer.top_scale is None else "102"


def write(head, layers, param, weights):
    pathlib.Path(param).write_text("\n".join(head + [layer.line() for layer in layers]) + "\n")
    with open(weights, "wb") as out:
        for layer in layers:
            if layer.type == "Convolution":
                data = layer.words.tobytes()
                out.write(struct.pack("<I", INT8_TAG) + data + b"\0" * (-len(data) % 4))
                if layer.bias is not None:
                    out.write(layer.bias.tobytes())
                out.write(layer.scales.astype(np.float32).tobytes() + np.float32(layer.source_scale).tobytes())
                if layer.top_scale is not None:
                    out.write(np.float32(layer.top_scale).tobytes())
            elif layer.raw is not None:
                out.write(layer.raw.tobytes())


pools = []  # a net does not keep its own alive


def load(param, weights, int8, threads):
    net = ncnn.Net()
    net.opt.num_threads = threads
    pools.extend([ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()])  # as ncnn's own benchmark has them
    net.opt.blob_allocator, net.opt.workspace_allocator = pools[-2:]
    for option in dir(net.opt):
        if option.startswith(("use_fp16", "use_bf16", "use_vulkan")):
            setattr(net.opt, option, False)
    net.opt.use_int8_inference = int8
    if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
        sys.exit(f"ncnn cannot load {param}")
    return net


def extract(net, image, *blobs):
    extractor = net.create_extractor()
    if len(blobs) > 1:
        extractor.set_light_mode(False)  # else what lies between is gone
    extractor.input(net.input_names()[0], ncnn.Mat(image))
    results = []
    for blob in blobs or [net.output_names()[0]]:
        code, result = extractor.extract(blob)
        if code != 0:
            sys.exit(f"ncnn's extract of {blob} failed with {code}")
        results.append(np.array(result))
    return results


def main(a):
    height, width = map(int, a.size.split("x"))
    names = sorted(glob.glob(os.path.join(a.images, "*.png")) + glob.glob(os.path.join(a.images, "*.jpg")))
    if len(names) < a.count:
        sys.exit(f"{a.images}: {len(names)} images, {a.count} are wanted (--count)")
    names = names[::len(names) // a.count][:a.count]

    def run(*words):
        return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout

    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for name, file in ((a.model, "float.onnx"), (a.int8, "int8.onnx")):
            run(a.frf, "export", name, "-o", work / file, "--size", a.size)
        meta = {entry.key: entry.value for entry in onnx.load(work / "float.onnx").metadata_props}
        mean, std = (np.array(json.loads(meta[f"frf.input.{key}"]), np.float32) for key in ("mean", "std"))

        def picture(name):
            image = np.asarray(Image.open(name).convert("RGB").resize((width, height), Image.BILINEAR), np.float32)
            return np.ascontiguousarray(((image - mean) / std).transpose(2, 0, 1))

        found = importlib.util.find_spec("pnnx").submodule_search_locations[0]
        pnnx = next(p for p in glob.glob(f"{found}/**/pnnx", recursive=True) if os.path.isfile(p) and os.access(p, os.X_OK))
        run(pnnx, work / "float.onnx", f"inputshape=[1,3,{height},{width}]", "fp16=0")
        head, layers = read(work / "float.ncnn.param", work / "float.ncnn.bin")
        plain = load(work / "float.ncnn.param", work / "float.ncnn.bin", False, a.threads)
        bottoms = {layer.name: layer.bottoms[0] for layer in layers if layer.type == "Convolution"}
        blobs, largest = sorted(set(bottoms.values())), {}
        for name in names[::2]:
            for blob, values in zip(blobs, extract(plain, picture(name), *blobs)):
                largest[blob] = max(largest.get(blob, 0.0), float(np.abs(values).max()))
        quantize(layers, {name: largest[blob] for name, blob in bottoms.items()})
        write(head, layers, work / "int8.param", work / "int8.bin")
        fused = sum(layer.params.get(TERM) == "102" for layer in layers)
        print(f"ncnn {ncnn.__version__}: {len(bottoms)} convolutions in 8 bits, {fused} of them give 8 bits on; {len(names[::2])} images to calibrate")
        net = load(work / "int8.param", work / "int8.bin", True, a.threads)

        (work / "in").mkdir()
        changed = []
        for i, name in enumerate(names[1::2]):
            image = picture(name)
            Image.open(name).convert("RGB").resize((width, height), Image.BILINEAR).save(work / "in" / f"{i}.png")
            changed.append(float((extract(net, image)[0].argmax(0) != extract(plain, image)[0].argmax(0)).mean()))
        ours = []
        for file in ("float", "int8"):
            run(a.frf, "segment", work / "in", "-o", work / file, "-m", work / f"{file}.onnx", "--write", "mask")
        for path in sorted((work / "int8").glob("*.png")):
            ours.append(float((np.asarray(Image.open(path)) != np.asarray(Image.open(work / "float" / path.name))).mean()))
        print(f"labels that 8 bits change, {len(ours)} images: frf {100 * statistics.mean(ours):.2f} %, ncnn {100 * statistics.mean(changed):.2f} %")

        image = picture(names[0])
        extract(net, image)
        times = {"frf": [], "ncnn": []}
        for _ in range(a.rounds):
            report = json.loads(run(a.frf, "bench", work / "int8.onnx", "--runs", a.runs, "--threads", a.threads, "--json"))
            times["frf"].append(report["ms"]["median"])
            each = []
            for _ in range(a.runs):
                start = time.perf_counter()
                extractor = net.create_extractor()
                extractor.input(net.input_names()[0], ncnn.Mat(image))
                extractor.extract(net.output_names()[0])
                each.append(1000 * (time.perf_counter() - start))
            times["ncnn"].append(statistics.median(each))
        for engine, turns in times.items():
            print(f"{engine} int8, {a.size}, {a.threads} threads: {statistics.median(turns):.1f} ms (medians of {a.runs} frames: " +
                  ", ".join(f"{turn:.1f}" for turn in turns) + ")")
        print(f"ncnn takes {statistics.median(n / f for n, f in zip(times['ncnn'], times['frf'])):.2f} times as long")


if __name__ == "__main__":
    main(ARGUMENTS)
