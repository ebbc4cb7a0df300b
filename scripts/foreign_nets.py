#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exports two networks that are not ours, as anyone would from PyTorch: a U-Net and a DeepLabV3+ with a ResNet-18.

    /usr/bin/python3 scripts/foreign_nets.py OUT [--size 512x1024] [--opset 13]

Random weights from a fixed seed with batch-norm statistics of a smooth random picture, so that activations are sane.
Needs python3-torch alone (the exporter writes the file itself).
"""
import argparse
import os
import sys


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", help="folder for unet.onnx and deeplab.onnx")
    parser.add_argument("--size", default="512x1024", help="HEIGHTxWIDTH of the input (%(default)s)")
    parser.add_argument("--opset", type=int, default=13, help="of the files (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    ARGUMENTS = parse()  # first, so that --help needs nothing but Python

try:
    import torch
    from torch import nn
    import torch.nn.functional as F
except ImportError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"foreign_nets: Python's {error.name} is missing here; apt install python3-torch, and run it as /usr/bin/python3 scripts/foreign_nets.py")


def conv_bn(i, o, k=3, s=1, d=1):
    return nn.Sequential(nn.Conv2d(i, o, k, s, d * (k - 1) // 2, d, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Ronneberger et al. 2015 with padding and batch norm, a quarter of the width."""

    def __init__(self, classes=19, width=16):
        super().__init__()
        w = [width << i for i in range(5)]
        self.down = nn.ModuleList([nn.Sequential(conv_bn(i, o), conv_bn(o, o)) for i, o in zip([3] + w[:4], w)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(w[i + 1], w[i], 2, 2) for i in range(4)])
        self.merge = nn.ModuleList([nn.Sequential(conv_bn(2 * w[i], w[i]), conv_bn(w[i], w[i])) for i in range(4)])
        self.head = nn.Conv2d(w[0], classes, 1)

    def forward(self, x):
        maps = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if i else x)
            maps.append(x)
        for i in reversed(range(4)):
            x = self.merge[i](torch.cat([maps[i], self.up[i](x)], 1))
        return self.head(x)


class Block(nn.Module):
    def __init__(self, i, o, s, d):
        super().__init__()
        self.a = conv_bn(i, o, 3, s, d)
        self.b = nn.Sequential(nn.Conv2d(o, o, 3, 1, d, d, bias=False), nn.BatchNorm2d(o))
        self.skip = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o)) if s > 1 or i != o else nn.Identity()

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.skip(x))


class DeepLab(nn.Module):
    """Chen et al. 2018 (DeepLabV3+): ResNet-18 at output stride 16, atrous pyramid 6/12/18, decoder at 1/4."""

    def __init__(self, classes=19):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.one = nn.Sequential(Block(64, 64, 1, 1), Block(64, 64, 1, 1))
        self.rest = nn.Sequential(Block(64, 128, 2, 1), Block(128, 128, 1, 1), Block(128, 256, 2, 1), Block(256, 256, 1, 1),
                                  Block(256, 512, 1, 2), Block(512, 512, 1, 2))
        self.aspp = nn.ModuleList([conv_bn(512, 128, 1)] + [conv_bn(512, 128, 3, 1, d) for d in (6, 12, 18)])
        self.pool = conv_bn(512, 128, 1)
        self.project = conv_bn(5 * 128, 128, 1)
        self.low = conv_bn(64, 48, 1)
        self.decode = nn.Sequential(conv_bn(176, 128), conv_bn(128, 128), nn.Conv2d(128, classes, 1))

    def forward(self, x):
        size = x.shape[2:]
        low = self.one(self.stem(x))
        y = self.rest(low)
        pooled = F.interpolate(self.pool(F.adaptive_avg_pool2d(y, 1)), y.shape[2:], mode="bilinear", align_corners=False)
        y = self.project(torch.cat([branch(y) for branch in self.aspp] + [pooled], 1))
        y = F.interpolate(y, low.shape[2:], mode="bilinear", align_corners=False)
        return F.interpolate(self.decode(torch.cat([self.low(low), y], 1)), size, mode="bilinear", align_corners=False)


def main(args):
    height, width = (int(v) for v in args.size.split("x"))
    os.makedirs(args.out, exist_ok=True)
    for name, make in (("unet", UNet), ("deeplab", DeepLab)):
        torch.manual_seed(0)
        net = make()
        picture = F.interpolate(torch.randn(2, 3, height // 16, width // 16), (height // 2, width // 2), mode="bilinear", align_corners=False)
        with torch.no_grad():
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1.0
            net.train()(picture)
        path = os.path.join(args.out, name + ".onnx")
        torch.onnx.export(net.eval(), torch.randn(1, 3, height, width), path, opset_version=args.opset, input_names=["image"], output_names=["scores"],
                          do_constant_folding=True)
        print(path, sum(p.numel() for p in net.parameters()) / 1e6, "M parameters")


if __name__ == "__main__":
    main(ARGUMENTS)
