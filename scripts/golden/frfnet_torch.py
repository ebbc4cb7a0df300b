# SPDX-License-Identifier: Apache-2.0
"""FRFNet in PyTorch, written from the paper and docs/graph.md and apart from the C++ networks, so that a mistake in one does
not hide in the other. Parameter names are the graph's. Subtle: weights, images and labels come from SplitMix64 with the
same keys as in C++ (base/random.h), so nothing but results has to be stored."""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def mix(z):
    """SplitMix64's finaliser on Python integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def mix_array(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_name(name):
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def draws(seed, epoch, index, count):
    """The first `count` values of Random(seed, epoch, index).NextU64()."""
    state = mix(mix(mix((seed + GOLDEN) & MASK) ^ ((epoch + 2 * GOLDEN) & MASK)) ^ ((index + 3 * GOLDEN) & MASK))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN) + np.uint64(state)
    return mix_array(steps)


def uniforms(seed, epoch, index, count):
    return (draws(seed, epoch, index, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(seed, epoch, index, count):
    pairs = uniforms(seed, epoch, index, 2 * count)
    u, v = 1.0 - pairs[0::2], pairs[1::2]
    return np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * math.pi * v)


class ConvBn(nn.Conv2d):
    """Convolution without bias, batch norm, and ReLU unless told otherwise."""

    def __init__(self, inputs, outputs, kernel=1, stride=1, relu=True):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x):
        y = self.bn(super().forward(x))
        return F.relu(y, inplace=True) if self.relu else y


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = ConvBn(3, 32, 3, 2)
        self.left1 = ConvBn(32, 16)
        self.left2 = ConvBn(16, 32, 3, 2)
        self.conv2 = ConvBn(64, 64, 3)

    def forward(self, image):
        x = self.conv1(image)
        left = self.left2(self.left1(x))
        right = F.max_pool2d(x, 3, 2, 1)
        return self.conv2(torch.cat([left, right], 1))


class Dam(nn.Module):
    def __init__(self, inputs, width, outputs):
        super().__init__()
        self.conv1 = ConvBn(inputs, width, 3)
        self.conv2 = ConvBn(width, width, 3)
        self.conv3 = ConvBn(width, width, 3)
        self.conv4 = ConvBn(width, width, 3)
        self.aggregate = ConvBn(inputs + 4 * width, outputs)

    def forward(self, x):
        f1 = self.conv1(x)
        f2 = self.conv2(f1) + f1
        f3 = self.conv3(f2) + f2
        f4 = self.conv4(f3) + f3
        return self.aggregate(torch.cat([x, f1, f2, f3, f4], 1))


class Transition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.pooled = ConvBn(channels, channels // 2)
        self.strided = ConvBn(channels, channels - channels // 2, 3, 2)

    def forward(self, x):
        return torch.cat([self.pooled(F.max_pool2d(x, 3, 2, 1)), self.strided(x)], 1)


class Stage(nn.Module):
    def __init__(self, inputs, width, outputs, first):
        super().__init__()
        if not first:
            self.transition = Transition(inputs)
        self.dam = Dam(inputs, width, outputs)

    def forward(self, x):
        if hasattr(self, "transition"):
            x = self.transition(x)
        return self.dam(x)


class Msc(nn.Module):
    """Three parts of the channels: averages, and two sets of DCT terms."""

    TOP = [(0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0), (5, 0),
           (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2), (4, 6)]

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.reduce = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.expand = nn.Conv2d(channels // 16, channels, 1, bias=False)
        self.bases = {}

    def basis(self, height, width, like):
        """cos cos / (H W), times 7 and sqrt 2 for each frequency above 0; factors rounded to single precision, as the
        graph's tables are, so that a comparison in double precision is not about them."""
        key = (height, width)
        if key not in self.bases:
            part = self.channels // 3
            first = self.channels - 2 * part
            rows = torch.full((self.channels, height), 1.0 / height, dtype=torch.float64)
            columns = torch.full((self.channels, width), 1.0 / width, dtype=torch.float64)
            i = (torch.arange(height, dtype=torch.float64) + 0.5) / height
            j = (torch.arange(width, dtype=torch.float64) + 0.5) / width
            for k in range(2 * part):
                u, v = self.TOP[8 * (k // part) + 8 * (k % part) // part]
                scale = 7.0 * (math.sqrt(2) if u else 1.0) * (math.sqrt(2) if v else 1.0)
                rows[first + k] = scale * torch.cos(math.pi * u * i) / height
                columns[first + k] = torch.cos(math.pi * v * j) / width
            basis = rows.float().double()[:, :, None] * columns.float().double()[:, None, :]
            self.bases[key] = basis.float().to(like).contiguous()
        return self.bases[key]

    def forward(self, x):
        d = (x * self.basis(x.shape[2], x.shape[3], x)).sum((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(d))))


class Ffm(nn.Module):
    THRESHOLD = float(np.float32(0.4))

    def __init__(self, width):
        super().__init__()
        self.conv1 = ConvBn(width, width, 3)
        self.conv2 = ConvBn(width, width, relu=False)
        self.margin = None
        self.fed = None  # (t1, t2) of another implementation in place of our own: the rest can then be compared closely

    def forward(self, y, o):
        with torch.no_grad():
            diff = torch.sigmoid(o) - torch.sigmoid(y)
            t1, t2 = (diff > self.THRESHOLD).to(y.dtype), (-diff > self.THRESHOLD).to(y.dtype)
            if self.training:  # reading it makes the CPU wait for a GPU
                self.margin = (diff.abs() - self.THRESHOLD).abs().min().item()
            if self.fed is not None:
                t1, t2 = self.fed
        return self.conv2(self.conv1(o * (1 + t1) + y * (1 + t2)))


class Decoder(nn.Module):
    def __init__(self, channels, width=128):
        super().__init__()
        self.lateral4 = ConvBn(channels[3], width)
        self.lateral3 = ConvBn(channels[2], width)
        self.lateral2 = ConvBn(channels[1], width, relu=False)
        self.lateral1 = ConvBn(channels[0], width, relu=False)
        self.msc4, self.msc3 = Msc(width), Msc(width)
        self.conv4 = ConvBn(width, width, 3)
        self.conv3 = ConvBn(width, width, 3, relu=False)
        self.ffm = Ffm(width)

    def forward(self, maps):
        def up(x, like):
            return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

        l1, l2, l3, l4 = (lateral(x) for lateral, x in
                          zip((self.lateral1, self.lateral2, self.lateral3, self.lateral4), maps))
        y4 = self.conv4(self.msc4(l4))
        l3 = self.msc3(l3)
        y3 = self.conv3(l3 + up(y4, l3))
        y2 = self.ffm(l2, up(y3, l2))
        o = up(y2, l1)
        return o + l1 * torch.sigmoid(o)


class FrfNet(nn.Module):
    STAGES = [(48, 96), (80, 192), (112, 320), (144, 448)]

    def __init__(self, classes=19):
        super().__init__()
        self.stem = Stem()
        inputs = 64
        for i, (width, outputs) in enumerate(self.STAGES):
            setattr(self, f"stage{i + 1}", Stage(inputs, width, outputs, i == 0))
            inputs = outputs
        self.decoder = Decoder([outputs for _, outputs in self.STAGES])
        self.head = nn.Module()
        self.head.conv = ConvBn(128, 64, 3)
        self.classifier = nn.Conv2d(64, classes, 1)

    def forward(self, image):
        x = self.stem(image)
        maps = []
        for i in range(4):
            x = getattr(self, f"stage{i + 1}")(x)
            maps.append(x)
        y = self.classifier(self.head.conv(self.decoder(maps)))
        return F.interpolate(y, size=image.shape[2:], mode="bilinear", align_corners=False)


def draw_weights(net, seed):
    """What InitializeWeights(graph, seed) draws: Kaiming normal by fan out, batch norm's defaults, biases 0."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.dim() == 4:
                fan_out = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
                values = math.sqrt(2.0 / fan_out) * normals(seed, 0, hash_name(name), parameter.numel())
                parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))
            elif name.endswith(".bias"):
                parameter.zero_()
            else:
                parameter.fill_(1.0)
