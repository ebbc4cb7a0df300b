#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Short trainings side by side: which reading of the paper, which lever of the recipe, which row of its ablations?

    scripts/proxies.py run reading --data camvid:/data/camvid --runs runs/proxies        every arm, two seeds, one after another
    scripts/proxies.py run recipe --only base,ohem --seeds 0,1 ...
    scripts/proxies.py run late --init runs/trained ...          levers where they count: 50 epochs more from trained weights
    scripts/proxies.py table reading --runs runs/proxies                                 Markdown: mean, spread, difference, cost (--ms: time too)

An arm is a name and what differs from the base: native crops of two thirds, batch 8, 40 epochs of --list, scored on --val-list at
full size by the averaged weights after the decay. A run that was stopped goes on; one that is done stands in --results (CamVid's,
dev-train scored on dev-test, are docs/proxies.jsonl; delete a line to run its arm again) and is not run again, so arms and seeds can be
added at any time and on any machine. An arm counts as better or worse above one point in the mean of two seeds (and outside the
base's own spread); in between it is called the same.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import shutil
import statistics
import subprocess
import sys
import threading

EPOCHS = 40
BASE = {
    "base": "best",
    # Adjustment moves the labels of trained scores, not what is trained; the first arms ran without.
    "loss": {"logit_adjustment": 0},
    "phases": [{"name": "proxy", "epochs": EPOCHS, "crop_share": 2 / 3, "scale_min": 0.75, "scale_max": 1.5}],
}
# The late group goes on from --init: what helps a network that is being drawn from nothing may hurt a trained one, and the
# other way round.
LATE = {
    "base": "best",
    "decay_share": 0.4,
    "loss": {"logit_adjustment": 0},
    "augment": {"class_crop": 0.3, "copy_paste": 0.3, "scale_min": 0.6},
    "phases": [{"name": "crops", "epochs": 30, "crop_share": 2 / 3},
               {"name": "metric", "epochs": 20, "crop_share": 2 / 3, "loss": "ce+lovasz"}],
}
RECORDING = threading.Lock()
OWN = {"late": LATE}  # groups with a recipe of their own, and so with runs of the base of their own
STRONG_COLOUR = ["augment.gain_min=0.4", "augment.gain_max=1.7", "augment.shift=40", "augment.saturation_min=0", "augment.saturation_max=2",
                 "augment.gamma_min=0.5", "augment.gamma_max=2", "augment.temperature=0.2", "augment.channel_gain=0.15"]

# group -> arm -> options of `frf train`. "set": fields of the recipe; "net", "options": the network; "teacher": --teacher; "longer": times
# the epochs.
ARMS = {
    # What the paper leaves open (docs/graph.md).
    "reading": {
        "base": {},
        "gates=relu": {"options": "gates=relu"},
        "sfm=o+sigmoid(l1)": {"options": "sfm=o+sigmoid(l1)"},
        "dam=res2net": {"options": "dam=res2net"},
        "head=none": {"options": "head=none"},
        "msc off": {"options": "msc=false"},
        "ffm masks off": {"options": "ffm=masks-off"},
        "ffm=sum": {"options": "ffm=sum"},
        "sfm=sum": {"options": "sfm=sum"},
    },
    # Table 3 and its neighbours.
    "ablation": {
        "baseline": {"options": "ablation=baseline"},
        "+ MSC": {"options": "ablation=msc"},
        "+ FFM without masks": {"options": "ablation=ffm-masks-off"},
        "+ FFM": {"options": "ablation=ffm"},
        "base": {},
        "DANet for MSC": {"net": "frfnet-danet"},
        "OSA (dam=osa)": {"options": "dam=osa"},
        "ResNet-18": {"options": "backbone=resnet18"},
        "threshold 0.2": {"options": "ffm.threshold=0.2"},
        "threshold 0.3": {"options": "ffm.threshold=0.3"},
        "threshold 0.5": {"options": "ffm.threshold=0.5"},
        "frfnet-slim": {"net": "frfnet-slim"},
    },
    # Levers of the recipe, each against the base; "base" has weights 1/ln(1.02 + p), averages, auxiliary heads, dropout 0.1.
    "recipe": {
        "base": {},
        "half resolution": {"set": ["phases.0.base_scale=0.5", "phases.0.crop_share=0.5"]},
        "twice as long": {"longer": 2},
        "copy-paste and class crops": {"set": ["augment.copy_paste=0.3", "augment.class_crop=0.3"]},
        "class weights 1.10": {"set": ["class_weights=1.10"]},
        "no class weights": {"set": ["class_weights=0"]},
        "logit adjustment 0.8": {"set": ["loss.logit_adjustment=0.8"]},
        "OHEM": {"set": ["loss.kind=ohem", "class_weights=0"]},
        "Lovasz throughout": {"set": ["loss.kind=ce+lovasz"]},
        "weight decay 1e-4": {"set": ["optimizer.weight_decay=0.0001"]},
        "weight decay 0.1": {"set": ["optimizer.weight_decay=0.1"]},
        "no dropout": {"set": ["dropout=0"]},
        "no average": {"set": ["average=0"]},
        "no auxiliary heads": {"set": ["auxiliary=false"]},
        "no colour": {"set": ["augment.color=0"]},
        "strong colour": {"set": STRONG_COLOUR},
        "blur and noise": {"set": ["augment.blur=1.5", "augment.noise=8"]},
        "aspect 1.5": {"set": ["augment.aspect=1.5"]},
        "recordings balanced": {"set": ["balance=1"]},
        "scale 0.5 to 2": {"set": ["phases.0.scale_min=0.5", "phases.0.scale_max=2"]},
        "CutMix": {"set": ["augment.cutmix=0.5"]},
        "new skies": {"set": ["augment.sky=0.4"]},
        "batch 4": {"set": ["batch=4"]},
        "rate 0.003": {"set": ["schedule.rate=0.003"]},
        "logit adjustment 0.8 + teacher": {"set": ["loss.logit_adjustment=0.8"], "teacher": True},
    },
    "late": {
        "base": {},
        "strong colour + blur + noise": {"set": [*STRONG_COLOUR, "augment.blur=1.5", "augment.noise=8"]},
        "scale 0.5 to 2 + aspect 1.4": {"set": ["augment.scale_min=0.5", "augment.aspect=1.4"]},
        "weight decay 0.1 + dropout 0.2": {"set": ["optimizer.weight_decay=0.1", "dropout=0.2"]},
        "CutMix": {"set": ["augment.cutmix=0.5"]},
    },
}


def folder_name(group, arm, seed):
    word = "".join(c if c.isalnum() or c in "=.+-" else "_" for c in arm)
    return f"{'base' if arm == 'base' and group not in OWN else group + '-' + word}-s{seed}"


def epochs_of(arguments, group, arm):
    """How long a run of the arm is."""
    phases = OWN.get(group, BASE)["phases"]
    return (arguments.epochs or sum(phase["epochs"] for phase in phases)) * ARMS[group][arm].get("longer", 1)


def epochs_in(folder):
    """How long the run in a folder is, by its config.json; None where there is none that can be read, which is frf-train's to say."""
    try:
        return sum(phase["epochs"] for phase in json.loads((folder / "config.json").read_bytes())["recipe"]["phases"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def check_lengths(arguments, group, seeds):
    """A dry run's folder must not pass for the run itself, nor be gone on with as if it were."""
    recorded = results_of(arguments)
    for arm in ARMS[group]:
        for seed in sorted({*range(100), *seeds}):
            folder, wanted = arguments.runs / folder_name(group, arm, seed), epochs_of(arguments, group, arm)
            found = None if folder.name in recorded else epochs_in(folder)
            if found not in (None, wanted):
                sys.exit(f"{folder}: holds a run of {found} epochs, {wanted} are wanted; move it away, or name another folder with --runs"
                         f"{'' if arguments.epochs else ' (or its length with --epochs)'}")


def objects_in(file):
    """The JSON objects of a file, one a line, without lines that a kill or a full disk damaged."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # wrong UTF-8 too
            continue
        if isinstance(entry, dict):
            yield entry


def finished(folder):
    """The finished run's line for --results, or None."""
    result, seconds, commit = None, 0.0, ""
    for entry in objects_in(folder / "log.jsonl"):
        commit = entry.get("commit", commit)
        if entry.get("type") == "epoch":
            seconds += entry.get("seconds", 0)  # none where a run was stopped just as an epoch ended
        if entry.get("type") == "validation" and entry.get("final"):
            result = {"run": folder.name, "miou": round(entry["miou"], 5), "iou": {k: v and round(v, 4) for k, v in entry["iou"].items()}}
    return result and {**result, "seconds": round(seconds), "commit": commit}


def results_of(arguments):
    """Run's name -> its line in --results; none for a length of one's own, whose runs are not comparable."""
    return {} if arguments.epochs else {line["run"]: line for line in objects_in(arguments.results) if "run" in line}


def final_score(arguments, folder):
    """(mean IoU of the finished run, seconds of training) or None."""
    result = results_of(arguments).get(folder.name) or finished(folder)
    return result and (result["miou"], result["seconds"])


def record(arguments, folder):
    """Adds a run that has just ended to --results."""
    result = finished(folder)
    if result is None or arguments.epochs or folder.name in results_of(arguments):
        return
    with RECORDING, open(arguments.results, "ab+") as out:
        if out.tell() and (out.seek(-1, os.SEEK_END), out.read())[1] != b"\n":
            out.write(b"\n")  # after a line that was cut off
        out.write(json.dumps(result).encode() + b"\n")


def exit_code(words, **how):
    """Runs a program to its end. Ctrl-C reaches it too and lets it save, for which subprocess.run would leave it a quarter of a second."""
    process, stopped = subprocess.Popen(words, **how), False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            stopped = True
    if stopped:
        raise KeyboardInterrupt
    return code


def train(arguments, group, arm, seed, cores=None):
    """One run to its end; returns the exit code. `cores`: the only ones that it may use, and its output goes to FOLDER.log."""
    folder = arguments.runs / folder_name(group, arm, seed)
    if final_score(arguments, folder) is not None:
        return 0
    if (folder / "config.json").exists():  # before its first checkpoint too
        words = ["-o", str(folder), "--resume"]
    else:
        recipe = arguments.runs / (f"{group}.json" if group in OWN else "base.json")
        recipe.write_text(json.dumps(OWN.get(group, BASE)))
        what = ARMS[group][arm]
        words = ["-o", str(folder), "--data", arguments.data, "--list", arguments.list, "--val-list", arguments.val_list, "--net",
                 what.get("net", "frfnet"), "--recipe", str(recipe), "--seed", str(seed), "--val-every", str(arguments.val_every)]
        if arguments.init:
            words += ["--init", arguments.init]
        if "options" in what:
            words += ["--net-options", what["options"]]
        if "teacher" in what:
            words += ["--teacher", arguments.teacher]
        for item in what.get("set", []):
            words += ["--set", item]
        if arguments.epochs or "longer" in what:
            words += ["--epochs", str(epochs_of(arguments, group, arm))]
    if arguments.device:
        words += ["--device", arguments.device]
    if cores:
        words += ["--threads", str(len(cores))]
    print(f"== {arm}, seed {seed}: frf train {' '.join(words)}", flush=True)
    environment = {"GOMP_SPINCOUNT": "30000", **os.environ}
    if cores is None:
        return exit_code([arguments.frf_train, "train", *words], env=environment)
    with open(f"{folder}.log", "a") as log:
        return exit_code([arguments.frf_train, "train", *words], env=environment, stdout=log, stderr=log,
                         preexec_fn=lambda: os.sched_setaffinity(0, cores))


def train_all(arguments, group, todo):
    """Every (arm, seed) of `todo`, `--jobs` at a time, each on its share of the cores."""
    if arguments.jobs == 1:
        for arm, seed in todo:
            code = train(arguments, group, arm, seed)
            record(arguments, arguments.runs / folder_name(group, arm, seed))
            if code != 0:
                sys.exit(f"{arm}, seed {seed}: frf train ended with {code}; run the same command again to go on")
        return
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // arguments.jobs
    if share < 1:
        sys.exit(f"--jobs {arguments.jobs}: there are {len(cores)} cores")
    free = queue.Queue()
    for i in range(arguments.jobs):
        free.put(set(cores[i * share:(i + 1) * share]))

    def one(item):
        mine = free.get()
        try:
            return train(arguments, group, *item, mine)
        finally:
            record(arguments, arguments.runs / folder_name(group, *item))
            free.put(mine)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for (arm, seed), code in zip(todo, pool.map(one, todo)):
            if code != 0:
                pool.shutdown(wait=True, cancel_futures=True)
                folder = arguments.runs / folder_name(group, arm, seed)
                sys.exit(f"{arm}, seed {seed}: frf train ended with {code}, see {folder}.log; run the same command again to go on")


def cost(arguments, arm):
    words = [arguments.frf, "info", arm.get("net", "frfnet"), "--size", "360x480", "--json", "--net-options",
             ",".join(filter(None, ["classes=11", arm.get("options", "")]))]
    info = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return info["params"], info["macs"]


def frame_times(arguments, group, rounds=5):
    """Milliseconds a frame (labels, 360x480, random weights) by arm: the median of rounds in which all arms take turns."""
    times = {arm: [] for arm in ARMS[group]}
    for _ in range(rounds):
        for arm, what in ARMS[group].items():
            words = [arguments.frf, "bench", what.get("net", "frfnet"), "--classes", "camvid", "--size", "360x480", "--runs", "12", "--json"]
            if "options" in what:
                words += ["--net-options", what["options"]]
            found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            times[arm].append(found["ms"]["median"])
    return {arm: statistics.median(each) for arm, each in times.items()}


def table(arguments, group):
    scores = {}
    for arm in ARMS[group]:
        found = [(seed, final_score(arguments, arguments.runs / folder_name(group, arm, seed))) for seed in range(100)]
        scores[arm] = [(seed, score) for seed, score in found if score is not None]
    if not any(scores.values()):
        sys.exit(f"{arguments.runs} and {arguments.results}: no finished run of {group} yet")
    base = statistics.mean(score for _, (score, _) in scores["base"]) if scores.get("base") else None  # then nothing is compared
    times = frame_times(arguments, group) if arguments.ms else None
    print(f"| {group} | dev mean IoU | seeds | against base | parameters | G at 360x480 |{' ms |' if times else ''} minutes a run |\n"
          f"|---|---|---|---|---|---|{'---|' if times else ''}---|")
    for arm, what in ARMS[group].items():
        if not scores[arm]:
            print(f"| {arm} | not run | | | | |{' |' if times else ''} |")
            continue
        values = [score for _, (score, _) in scores[arm]]
        mean = statistics.mean(values)
        params, macs = cost(arguments, what)
        minutes = statistics.mean(seconds for _, (_, seconds) in scores[arm]) / 60
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        difference = "" if arm == "base" or base is None else f"{100 * (mean - base):+.1f}"
        print(f"| {arm} | {100 * mean:.1f} % | {each} | {difference} | {params / 1e6:.3f} M | "
              f"{macs / 1e9:.2f} |{f' {times[arm]:.1f} |' if times else ''} {minutes:.0f} |")
    print(spread({arm: [score for _, (score, _) in found] for arm, found in scores.items()}))


def spread(scores):
    """How much a difference means: what seeds alone do, from all arms that have two or more."""
    several = [values for values in scores.values() if len(values) > 1]
    if not several:
        return "\nOne seed each: a difference says nothing of what another seed would give."
    freedom = sum(len(values) - 1 for values in several)
    deviation = (sum(statistics.variance(values) * (len(values) - 1) for values in several) / freedom) ** 0.5
    error = deviation * (1 / 2 + 1 / 2) ** 0.5  # variances of two means of two seeds add up
    return (f"\nSeeds of an arm differ by {100 * deviation:.2f} points (standard deviation, pooled over {len(several)} arms), so the difference "
            f"of two means of two seeds has a standard error of {100 * error:.2f}.")


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def seeds(text):
    return [int(seed) for seed in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["run", "table", "list"])
    parser.add_argument("group", choices=list(ARMS))
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/proxies"), help="folder of the runs [%(default)s]")
    parser.add_argument("--results", type=pathlib.Path, help="finished runs, a JSON object a line [results.jsonl in --runs]")
    parser.add_argument("--data", help="camvid:DIR or another data set")
    parser.add_argument("--list", help="images to train on (dev-train.txt)")
    parser.add_argument("--val-list", help="images to score on (dev-test.txt)")
    parser.add_argument("--init", help="the run folder or model to go on from; late wants one")
    parser.add_argument("--teacher", help="recipe's arm with a teacher: a run folder or checkpoint; the arm is left out without one")
    parser.add_argument("--only", help="arms, with commas between; default: all of the group")
    parser.add_argument("--seeds", type=seeds, default="0,1", help="[%(default)s]")
    parser.add_argument("--val-every", type=positive, default=EPOCHS, help="epochs between validations [%(default)s: the end alone]")
    parser.add_argument("--epochs", type=positive, help=f"another length than {EPOCHS}: for a dry run, in a folder of its own")
    parser.add_argument("--jobs", type=positive, default=1, help="runs side by side, each on its share of the cores: two of one thread each get "
                        "through a fifth more images than one of two [%(default)s]")
    parser.add_argument("--ms", action="store_true", help="table: time a frame of each arm too (a minute; wants a quiet machine)")
    parser.add_argument("--device", help="cpu, cuda; default: as frf train")
    here = pathlib.Path(__file__).resolve().parent.parent / "build" / "bin"
    parser.add_argument("--frf", default=str(here / "frf"))
    parser.add_argument("--frf-train", default=str(here / "frf-train"))
    arguments = parser.parse_args()
    if arguments.do == "list":
        print("\n".join(f"{arm}: {json.dumps(what)}" for arm, what in ARMS[arguments.group].items()))
        return
    arguments.results = arguments.results or arguments.runs / "results.jsonl"
    for option in ("frf", "frf_train") if arguments.do == "run" else ("frf",):
        if shutil.which(getattr(arguments, option)) is None:
            parser.error(f"{getattr(arguments, option)}: no such program; make test builds it, or name another with --{option.replace('_', '-')}")
    check_lengths(arguments, arguments.group, arguments.seeds)
    if arguments.do == "table":
        table(arguments, arguments.group)
        return
    for name in ("data", "list", "val_list") + (("init",) if arguments.group == "late" else ()):
        if getattr(arguments, name) is None:
            parser.error(f"--{name.replace('_', '-')} is wanted")
    arms = arguments.only.split(",") if arguments.only else list(ARMS[arguments.group])
    for arm in arms:
        if arm not in ARMS[arguments.group]:
            parser.error(f"--only {arm}: the arms of {arguments.group} are {', '.join(ARMS[arguments.group])}")
    taught = [arm for arm in arms if "teacher" in ARMS[arguments.group][arm]]
    if taught and not arguments.teacher:
        if arguments.only:
            parser.error(f"--teacher is wanted: --only names {taught[0]}")
        arms = [arm for arm in arms if arm not in taught]
    arguments.runs.mkdir(parents=True, exist_ok=True)
    # An arm's seeds follow each other, so that a stop leaves arms that can be judged.
    try:
        train_all(arguments, arguments.group, [(arm, seed) for arm in arms for seed in arguments.seeds])
    except KeyboardInterrupt:
        sys.exit("stopped; run the same command again to go on")
    table(arguments, arguments.group)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`: its reader has enough, and what Python still holds goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
