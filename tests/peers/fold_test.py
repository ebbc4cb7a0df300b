# SPDX-License-Identifier: Apache-2.0
"""scripts/bench_gpu.py gives torch.compile a network without batch norm that computes the same.

usage: fold_test.py      exit code 77: this Python has no PyTorch: skipped
Subtle: in double precision, where no element of FFM's masks lies within rounding of its threshold.
"""
import pathlib
import sys

try:
    import torch
except ImportError:
    print("this Python has no PyTorch: skipped")
    sys.exit(77)

sys.dont_write_bytecode = True  # leaves nothing in scripts/
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"))
from bench_gpu import CLASSES, FrfNet, draw_weights, folded  # noqa: E402

CLOSE = 1e-9  # of the largest score


def main():
    torch.manual_seed(3)
    net = FrfNet(CLASSES)
    draw_weights(net, 7)
    norms = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:  # as trained: neither centred nor of variance 1
        for values, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2), (norm.weight.data, 0.5, 1.5), (norm.bias.data, -0.5, 0.5)):
            values.uniform_(low, high)
    net = net.double().eval()
    with torch.no_grad():
        image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
        before = net(image)
        after = folded(net)(image)
    left = sum(isinstance(part, torch.nn.BatchNorm2d) for part in net.modules())
    assert norms and left == 0, f"{left} of {len(norms)} batch norms are left"
    difference = ((after - before).abs().max() / before.abs().max()).item()
    assert difference < CLOSE, f"scores differ by {difference:.1e} of the largest, {CLOSE:.0e} is allowed"
    print(f"{len(norms)} batch norms folded; scores differ by {difference:.1e} of the largest")


main()
