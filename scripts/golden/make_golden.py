#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/frfnet_train.bin: gradients of the first step, a ten-step loss curve and the averaged weights of
the full FRFNet (11 classes, batch 2, 96x128), in double precision. Needs Debian's python3-torch:

    /usr/bin/python3 scripts/golden/make_golden.py

Subtle: of every tensor the file holds its norm, eight projections on +-1 vectors (bit k of SplitMix64's draws is the sign
in projection k) and 64 samples: the projections of an error have its norm on average, so a wrong gradient cannot pass
although it is not stored."""
import argparse
import pathlib
import struct

import numpy as np
import torch
import torch.nn.functional as F

from frfnet_torch import FrfNet, draw_weights, draws, hash_name, normals

CLASSES, BATCH, HEIGHT, WIDTH = 11, 2, 96, 128
SEED, STEPS, DECAY = 41, 10, 0.999
RATE, EPSILON, WEIGHT_DECAY = 1e-3, 1e-8, 1e-2
# A ReLU or mask that falls the other way within rounding moves gradients of so small a batch by per cents, and Adam makes a
# step of the same length of any gradient: at RATE PyTorch's own single precision leaves its double precision within a few
# steps. A second curve, on the same batch, is slow enough for single precision to follow.
SLOW_RATE, SLOW_EPSILON = 1e-7, 1e-3


def batch(step, dtype):
    """Noise with the label's class in its brightness, labels in blocks of 16 pixels, one block in 12 void."""
    rows, columns = HEIGHT // 16, WIDTH // 16
    blocks = (draws(SEED, step, 1, BATCH * rows * columns) >> np.uint64(32)) % np.uint64(CLASSES + 1)
    labels = np.repeat(np.repeat(blocks.reshape(BATCH, rows, columns), 16, 1), 16, 2).astype(np.int64)
    image = normals(SEED, step, 2, BATCH * 3 * HEIGHT * WIDTH).reshape(BATCH, 3, HEIGHT, WIDTH)
    image = (image + 0.25 * labels[:, None]).astype(np.float32)
    labels[labels == CLASSES] = 255
    return torch.from_numpy(image).to(dtype), torch.from_numpy(labels)


def class_weights(dtype):
    return torch.tensor([0.5 + 0.125 * c for c in range(CLASSES)], dtype=dtype)


def summary(name, tensor):
    """Norm, 8 projections, up to 64 samples at equal distances; elements in NCHW order."""
    flat = tensor.detach().to(torch.float64).contiguous().flatten().numpy()
    bits = draws(SEED + 1, 0, hash_name(name), flat.size)
    signs = [1.0 - 2.0 * ((bits >> np.uint64(k)) & np.uint64(1)).astype(np.float64) for k in range(8)]
    stride = max(1, flat.size // 64)
    return np.concatenate([[np.linalg.norm(flat)], [float(s @ flat) for s in signs], flat[::stride][:64]])


def run(dtype, rate, epsilon, report):
    torch.manual_seed(0)
    net = FrfNet(CLASSES)
    draw_weights(net, SEED)
    net = net.to(dtype).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, eps=epsilon, weight_decay=WEIGHT_DECAY)
    tensors = {n: t for n, t in net.state_dict(keep_vars=True).items() if not n.endswith("num_batches_tracked")}
    average = {n: t.detach().clone() for n, t in tensors.items()}
    records, losses = {}, []
    image, labels = batch(0, dtype)
    for step in range(STEPS):
        loss = F.cross_entropy(net(image), labels, class_weights(dtype), ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        report(f"step {step}: loss {loss.item():.9f}, nearest mask decision {net.decoder.ffm.margin:.2e}")
        if step == 0:
            for name, parameter in net.named_parameters():
                records["gradient/" + name] = summary(name, parameter.grad)
        optimizer.step()
        keep = min(DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in tensors.items():
                average[name].mul_(keep).add_(tensor, alpha=1 - keep)
    records["losses"] = np.array(losses)
    for name, tensor in average.items():
        records["average/" + name] = summary(name, tensor)
    return records


def relative_error(a, b):
    """Norm of the difference as the projections estimate it, relative to the norm."""
    return np.sqrt(np.mean((a[1:9] - b[1:9]) ** 2)) / max(b[0], 1e-30)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(pathlib.Path(__file__).parents[2] / "tests/golden/frfnet_train.bin"))
    parser.add_argument("--compare", action="store_true", help="also runs in single precision and prints its distance")
    options = parser.parse_args()
    records = run(torch.float64, RATE, EPSILON, print)
    records["settings"] = np.array([SEED, RATE, EPSILON, DECAY, SLOW_RATE, SLOW_EPSILON])
    records["slow losses"] = run(torch.float64, SLOW_RATE, SLOW_EPSILON, print)["losses"]
    if options.compare:
        single = run(torch.float32, SLOW_RATE, SLOW_EPSILON, print)
        errors = sorted((relative_error(single[n], records[n]), n) for n in records if n.startswith("gradient/"))
        print("worst gradients in single precision:", errors[-5:])
        print("slow losses differ by", np.abs(single["losses"] / records["slow losses"] - 1).max())
    with open(options.out, "wb") as out:
        out.write(b"FRFGOLD1")
        out.write(struct.pack("<I", len(records)))
        for name, values in records.items():
            encoded = name.encode()
            out.write(struct.pack("<II", len(encoded), len(values)) + encoded + values.astype("<f8").tobytes())
    print(options.out, pathlib.Path(options.out).stat().st_size, "bytes")


if __name__ == "__main__":
    main()
