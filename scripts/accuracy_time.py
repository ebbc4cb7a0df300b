#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a larger or smaller input is worth: mean IoU and time of models at several input sizes, as a table and a picture.

    scripts/accuracy_time.py build/bin/frf frfnet-camvid frfnet-camvid-int8 --data camvid:DIR --list val-unseen.txt \\
        --sizes 288x384,360x480,408x544,456x608,504x672 -o tradeoff.svg

Each model is scored and timed by `frf eval --size` at every size: a time is the median over the scored pictures, each resized to the
network's input and its labels back to the picture's size. (`frf bench --size` leaves that out: its pictures have the network's size.)
Machines differ in speed from minute to minute, so all is timed --rounds times, in turns, and the median taken. Needs Python alone.
"""
import argparse
import html
import json
import os
import statistics
import subprocess
import sys

COLORS = ["#0f766e", "#34a89b", "#8a5a2b", "#d19a5b", "#5b6fa8", "#9aaad0"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 480, 70, 30, 70, 60
INK, SOFT, GRID = "#1f2933", "#6b7785", "#e3e8ee"


def run(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"accuracy_time: '{' '.join(words)}' failed with {done.returncode}")
    return json.loads(done.stdout)


def steps(low, high, count):
    """Round numbers from below `low` to above `high`."""
    raw = (high - low) / count
    unit = next(u for e in range(-3, 6) for u in (10.0**e, 2 * 10.0**e, 5 * 10.0**e) if u >= raw)
    first = int(low // unit)
    last = first
    while last * unit < high:
        last += 1
    return [i * unit for i in range(first, last + 1)]


def picture(rows, models, title, subtitle):
    ms_ticks = steps(0, 1.05 * max(r["ms"] for r in rows), 6)
    miou_ticks = steps(min(r["miou"] for r in rows), max(r["miou"] for r in rows), 5)
    x = lambda ms: LEFT + (WIDTH - LEFT - RIGHT) * ms / ms_ticks[-1]
    y = lambda miou: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (miou - miou_ticks[0]) / (miou_ticks[-1] - miou_ticks[0])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    text = lambda px, py, words, style="": out.append(
        f'<text x="{px:.1f}" y="{py:.1f}" fill="{INK}" {style}>{html.escape(words)}</text>')
    text(LEFT, 26, title, 'font-size="17" font-weight="bold"')
    text(LEFT, 46, subtitle, f'style="fill:{SOFT}"')
    for tick in ms_ticks:
        out.append(f'<line x1="{x(tick):.1f}" y1="{TOP}" x2="{x(tick):.1f}" y2="{HEIGHT - BOTTOM}" stroke="{GRID}"/>')
        text(x(tick), HEIGHT - BOTTOM + 18, f"{tick:g}", 'text-anchor="middle"')
    for tick in miou_ticks:
        out.append(f'<line x1="{LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - RIGHT}" y2="{y(tick):.1f}" stroke="{GRID}"/>')
        text(LEFT - 8, y(tick) + 4, f"{tick:g}", 'text-anchor="end"')
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "milliseconds a picture, resizing included; every curve has the same sizes",
         'text-anchor="middle"')
    out.append(f'<text transform="translate(20 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle" fill="{INK}">mean IoU, %</text>')
    # Curves lie close, those of int8 files above all: only the slowest one's points have room for words, on their right.
    slowest = max(models, key=lambda model: max(r["ms"] for r in rows if r["model"] == model))
    for i, model in enumerate(models):
        color = COLORS[i % len(COLORS)]
        own = sorted((r for r in rows if r["model"] == model), key=lambda r: r["ms"])
        out.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="' +
                   " ".join(f'{x(r["ms"]):.1f},{y(r["miou"]):.1f}' for r in own) + '"/>')
        for r in own:
            out.append(f'<circle cx="{x(r["ms"]):.1f}" cy="{y(r["miou"]):.1f}" r="4" fill="{color}"><title>'
                       f'{html.escape(model)} {r["size"]}: {r["ms"]:.1f} ms, {r["miou"]:.2f} %</title></circle>')
            if model == slowest:
                text(x(r["ms"]) + 7, y(r["miou"]) + 15, r["size"], f'font-size="11" style="fill:{SOFT}"')
        key = HEIGHT - BOTTOM - 18 * (len(models) - i) - 6
        out.append(f'<circle cx="{WIDTH - RIGHT - 210}" cy="{key}" r="4" fill="{color}"/>')
        text(WIDTH - RIGHT - 198, key + 4, model)
    return "\n".join(out + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frf", help="the program")
    parser.add_argument("models", nargs="+", help="ONNX files, run folders, or names of shipped weights")
    parser.add_argument("--data", required=True, help="as of frf eval")
    parser.add_argument("--split", default="val", help="to score on, without --list (%(default)s)")
    parser.add_argument("--list", help="file that names the images to score")
    parser.add_argument("--sizes", required=True, help="HEIGHTxWIDTH, with commas between")
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is timed (%(default)s)")
    parser.add_argument("-o", "--output", help="SVG file for the picture")
    a = parser.parse_args()
    which = ["--list", a.list] if a.list else ["--split", a.split]
    names = [os.path.basename(os.path.normpath(model)).removesuffix(".onnx") for model in a.models]
    if len(set(names)) < len(names):
        sys.exit(f"accuracy_time: models of one name, {', '.join(sorted(names))}: the table could not tell them apart")
    results = {}  # of (name, size): one a round
    for _ in range(a.rounds):
        for name, model in zip(names, a.models):
            for size in a.sizes.split(","):
                result = run([a.frf, "eval", model, "--data", a.data, *which, "--size", size, "--json"])
                results.setdefault((name, size), []).append(result)
    rows = [{"model": name, "size": size, "miou": 100 * found[0]["miou"], "ms": statistics.median(r["ms"] for r in found)}
            for (name, size), found in results.items()]
    print("| " + " | ".join(["input", *(f"{name}, mean IoU, ms" for name in names)]) + " |")
    print("|---" * (len(names) + 1) + "|")
    for size in a.sizes.split(","):
        own = [next(r for r in rows if r["model"] == name and r["size"] == size) for name in names]
        print("| " + " | ".join([size, *(f'{r["miou"]:.2f} %, {r["ms"]:.1f}' for r in own)]) + " |")
    about = f'{result["data"]}; {result["machine"]["cpu"]} ({result["machine"]["isa"]}), {result["threads"]} threads'
    print(f'\n{about}, commit {result["commit"]}')
    if a.output:
        with open(a.output, "w") as file:
            file.write(picture(rows, names, "What a larger input is worth", about))
        print(f"written: {a.output}")


if __name__ == "__main__":
    main()
