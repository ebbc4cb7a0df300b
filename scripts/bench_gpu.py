#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Frames per second on a CUDA card: `frf bench --device cuda` beside Python's torch.compile (max-autotune) on the same network,
size and number format, in turns within one run.

    python3 scripts/bench_gpu.py build-gpu/bin/frf-train [--sizes 360x480,512x1024,1024x2048] [--rounds 5]

Python's side gets what its experts would give it: batch norm folded, half precision, channels last, CUDA graphs
(max-autotune), the frame copied in as bytes and the labels out as bytes. Prints one JSON document."""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="frf-train, built with CUDA")
    parser.add_argument("--sizes", default="360x480,512x1024,1024x2048", help="HEIGHTxWIDTH, with commas between (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the two (%(default)s)")
    parser.add_argument("--runs", type=int, default=200, help="frames a turn (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = parse()  # first, so that --help needs nothing but Python

try:
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
    from frfnet_torch import ConvBn, FrfNet, draw_weights  # noqa: E402
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"bench_gpu: Python's {error.name} is missing here; a PyTorch with CUDA is needed (pip install torch)")

CLASSES = 19


class Labels(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1))

    def forward(self, rgb):  # H x W x 3 bytes
        image = (rgb.permute(2, 0, 1).unsqueeze(0).float() - self.mean) / self.std
        return self.net(image.half().contiguous(memory_format=torch.channels_last)).argmax(1).to(torch.uint8)[0]


def folded(net):
    """Batch norm into the convolution before it; the network must be in eval mode."""
    for part in list(net.modules()):
        if isinstance(part, ConvBn):
            fused = fuse_conv_bn_eval(part, part.bn)
            part.weight, part.bias, part.bn = fused.weight, fused.bias, torch.nn.Identity()
    return net


class Compiled:
    def __init__(self, height, width):
        net = FrfNet(CLASSES)
        draw_weights(net, 7)
        module = Labels(folded(net.eval())).cuda()
        module.net.half().to(memory_format=torch.channels_last)
        self.host = torch.randint(0, 255, (height, width, 3), dtype=torch.uint8).pin_memory()
        with torch.no_grad():
            module(self.host.cuda())  # makes Msc's tables, which must not lie in a CUDA graph's memory
        self.run = torch.compile(module, mode="max-autotune")

    def __call__(self):
        start = time.perf_counter()
        with torch.no_grad():
            self.run(self.host.cuda(non_blocking=True)).cpu()
        return (time.perf_counter() - start) * 1000


def ours(program, size, runs):
    words = [program, "bench", "frfnet", "--device", "cuda", "--classes", str(CLASSES), "--size", size, "--runs", str(runs), "--json"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main(options):
    rows = []
    for size in options.sizes.split(","):
        height, width = (int(part) for part in size.split("x"))
        compiled = Compiled(height, width)
        for _ in range(20):
            compiled()
        theirs, mine = [], []
        for _ in range(options.rounds):
            theirs.append(statistics.median(compiled() for _ in range(options.runs)))
            mine.append(ours(options.program, size, options.runs))
        ms = [row["ms"]["median"] for row in mine]
        rows.append({"size": size, "frf_ms": round(statistics.median(ms), 3), "torch_compile_ms": round(statistics.median(theirs), 3),
                     "ratio": round(statistics.median(t / m for t, m in zip(theirs, ms)), 3), "labels_equal": mine[0]["labels_equal"],
                     "cuda_graph": mine[0]["cuda_graph"]})
    print(json.dumps({"card": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main(ARGUMENTS)
