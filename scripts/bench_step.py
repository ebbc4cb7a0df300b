#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times a training step of FRFNet: ours (frf_bench_step) against PyTorch's, same libtorch, same network, channels last.
Steps alternate within one run, so both meet the same machine; losses are compared first.

    cmake --build build --target frf_bench_step
    /usr/bin/python3 scripts/bench_step.py build/bin/frf_bench_step --steps 20

Prints one JSON document: medians, spreads and the median of the step-by-step ratios."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="frf_bench_step")
    parser.add_argument("--steps", type=int, default=20, help="timed of each (%(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images a step (%(default)s)")
    parser.add_argument("--size", default="360x480", help="HEIGHTxWIDTH of them (%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--kernels", default="winograd", choices=["winograd", "direct", "plain"],
                        help="of our side: the fastest ones, the same without Winograd, or libtorch's (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = parse()  # first, so that --help needs nothing but Python

try:
    import numpy as np
    import torch
    import torch.nn.functional as F

    sys.path.insert(0, str(pathlib.Path(__file__).parent / "golden"))
    from frfnet_torch import FrfNet, draw_weights, draws, normals  # noqa: E402
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"bench_step: Python's {error.name} is missing here; apt install python3-torch, and run it as /usr/bin/python3 scripts/bench_step.py")

CLASSES = 11


class TorchStep:
    def __init__(self, batch, height, width):
        net = FrfNet(CLASSES)
        draw_weights(net, 7)
        self.net = net.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=1e-2)
        image = normals(7, 0, 2, batch * 3 * height * width).astype(np.float32).reshape(batch, 3, height, width)
        labels = (draws(7, 0, 1, batch * height * width) >> np.uint64(32)) % np.uint64(CLASSES)
        self.image = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(labels.astype(np.int64).reshape(batch, height, width))

    def __call__(self):
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.net(self.image), self.labels, ignore_index=255)
        loss.backward()
        self.optimizer.step()
        value = loss.item()
        return (time.perf_counter() - start) * 1e3, value


class OurStep:
    def __init__(self, program, batch, height, width, threads, kernels):
        self.process = subprocess.Popen(
            [program, "--serve", "--batch", str(batch), "--height", str(height), "--width", str(width), "--threads",
             str(threads), "--classes", str(CLASSES), "--kernels", kernels],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        ms, loss = self.process.stdout.readline().split()
        return float(ms), float(loss)


def spread(times):
    median = statistics.median(times)
    return {"median": round(median, 1), "mad": round(statistics.median(abs(t - median) for t in times), 1),
            "p90": round(float(np.percentile(times, 90)), 1)}


def main(options):
    height, width = (int(part) for part in options.size.split("x"))
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    theirs = TorchStep(options.batch, height, width)
    ours = OurStep(options.program, options.batch, height, width, options.threads, options.kernels)
    (_, first), (_, second) = theirs(), ours()
    if abs(first / second - 1) > 1e-4:
        sys.exit(f"the first losses differ: PyTorch {first:.6f}, ours {second:.6f}; not the same work, so no time")
    theirs(), ours()
    steps = [(theirs(), ours()) for _ in range(options.steps)]
    pairs = [(a[0], b[0]) for a, b in steps]
    report = {"net": "frfnet", "size": options.size, "batch": options.batch, "threads": options.threads,
              "kernels": options.kernels, "torch": torch.__version__, "steps": options.steps,
              "pytorch_ms": spread([a for a, _ in pairs]), "frf_ms": spread([b for _, b in pairs]),
              "losses_differ_by": round(max(abs(a[1] / b[1] - 1) for a, b in steps), 5),
              "ratio": round(statistics.median(a / b for a, b in pairs), 3)}
    print(json.dumps(report))
    print("\n".join(f"{a[1]:.6f} {b[1]:.6f}" for a, b in steps), file=sys.stderr)


if __name__ == "__main__":
    main(ARGUMENTS)
