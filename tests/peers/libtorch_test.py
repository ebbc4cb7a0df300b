# SPDX-License-Identifier: Apache-2.0
"""The engine's labels against PyTorch's (Debian's python3-torch: libtorch) on CamVid's val images, with the shipped weights in
scripts/golden's network, which was written apart from ours: at least 99.95 % of all pixels equal. Every fifth of them also at
512x1024 and an odd size, by the free file and by one of that size. And scores, of the plain executor with its FFM masks fed to
PyTorch (an element within rounding of the threshold would move those around it): within 1e-4 of the largest, for the same 20
pictures at the three sizes, by the free and the fixed files in turn.

usage: libtorch_test.py PATH_OF_FRF PATH_OF_FRF_ONNX_DUMP       exit code 77: no CamVid, no PyTorch or no peers, skipped
Subtle: two Pythons. The one with the peers reads ONNX and PNG; /usr/bin/python3 has PyTorch. Between them stand .npy files.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
WANTED = 0.9995
SCORES_CLOSE = 1e-4  # of the largest
SIZES = [(512, 1024), (357, 483)]


def skip(why):
    print(why + ": skipped")
    sys.exit(77)


def predict(folder):
    """In /usr/bin/python3: labels of every images/N.npy into labels/N.npy, and scores.json, the largest difference of scores."""
    import torch
    sys.path.insert(0, str(SOURCE / "scripts" / "golden"))
    from frfnet_torch import FrfNet
    torch.set_num_threads(os.cpu_count())  # Debian's takes half of the cores
    weights = np.load(folder / "weights.npz")
    net = FrfNet(11).eval()
    state = {name: torch.from_numpy(weights[name].astype(np.float32)) for name in weights.files}
    missing, unexpected = net.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        sys.exit(f"the file lacks {missing[:3]}")
    mean, std = (torch.from_numpy(np.load(folder / f"{name}.npy")).view(1, 3, 1, 1) for name in ("mean", "std"))
    for path in sorted((folder / "images").glob("*.npy")):
        image = torch.from_numpy(np.load(path)).permute(2, 0, 1).unsqueeze(0).float()
        with torch.no_grad():
            labels = net((image - mean) / std).argmax(1)[0].to(torch.uint8)
        np.save(folder / "labels" / path.name, labels.numpy())
    differences = {}
    for name, tool, model in json.loads((folder / "files.json").read_text()):
        with tempfile.TemporaryDirectory() as work, torch.no_grad():
            x = (torch.from_numpy(np.load(folder / "images" / f"{name}.npy")).permute(2, 0, 1).unsqueeze(0).float() - mean) / std
            np.save(f"{work}/in.npy", np.ascontiguousarray(x.numpy()))
            subprocess.run([tool, "run", model, f"{work}/in.npy", f"{work}/out"], check=True, stdout=subprocess.DEVNULL)
            ours = {path.stem: torch.from_numpy(np.load(path)) for path in pathlib.Path(work, "out").glob("*.npy")}
            ffm = next(part for part in net.modules() if type(part).__name__ == "Ffm")
            ffm.fed = ours.pop("t1"), ours.pop("t2")
            theirs, (scores,) = net(x), ours.values()
            differences[name] = ((theirs - scores).abs().max() / scores.abs().max()).item()
    (folder / "scores.json").write_text(json.dumps(differences))


def main():
    frf, dump = sys.argv[1:3]
    camvid = pathlib.Path(os.environ.get("FRF_CAMVID", SOURCE.parent / "shared" / "camvid"))
    if not (camvid / "val").is_dir():
        skip(f"no CamVid at {camvid}")
    if subprocess.run(["/usr/bin/python3", "-c", "import torch, numpy"], capture_output=True).returncode != 0:
        skip("/usr/bin/python3 has no PyTorch")
    try:
        import onnx
        from onnx import numpy_helper
        from PIL import Image
    except ImportError as error:
        skip(str(error))
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        model = onnx.load(SOURCE / "weights" / "frfnet-camvid.onnx")
        np.savez(work / "weights.npz", **{i.name: numpy_helper.to_array(i) for i in model.graph.initializer})
        meta = {entry.key: entry.value for entry in model.metadata_props}
        for name in ("mean", "std"):
            np.save(work / f"{name}.npy", np.array(json.loads(meta[f"frf.input.{name}"]), np.float32))
        (work / "images").mkdir(), (work / "labels").mkdir()
        names = sorted(path.stem for path in (camvid / "val").glob("*.png"))
        for name in names:
            np.save(work / "images" / f"{name}.npy", np.asarray(Image.open(camvid / "val" / f"{name}.png").convert("RGB")))
        subprocess.run([frf, "eval", "frfnet-camvid", "--data", f"camvid:{camvid}", "--split", "val", "--save", work / "ours", "--json"],
                       check=True, stdout=subprocess.DEVNULL)
        groups = {"val, native": [(name, work / "ours") for name in names]}
        native = work / "360x480.onnx"
        subprocess.run([frf, "export", "frfnet-camvid", "-o", native, "--size", "360x480"], check=True, stdout=subprocess.DEVNULL)
        free = SOURCE / "weights" / "frfnet-camvid.onnx"
        scored = [(name, dump, str(native if i % 2 else free)) for i, name in enumerate(names[::5][:20])]
        for height, width in SIZES:
            size = f"{height}x{width}"
            (work / size).mkdir()
            resized = []
            for name in names[::5][:20]:
                image = Image.open(camvid / "val" / f"{name}.png").convert("RGB").resize((width, height), Image.BILINEAR)
                image.save(work / size / f"{size}-{name}.png")
                np.save(work / "images" / f"{size}-{name}.npy", np.asarray(image))
                resized.append(f"{size}-{name}")
            fixed = work / f"{size}.onnx"
            subprocess.run([frf, "export", "frfnet-camvid", "-o", fixed, "--size", size], check=True, stdout=subprocess.DEVNULL)
            for kind, words in (("free", ["-m", "frfnet-camvid", "--size", size]), ("fixed", ["-m", fixed])):
                out = work / f"{size}-{kind}"
                subprocess.run([frf, "segment", work / size, "-o", out, "--write", "mask", *words], check=True, stdout=subprocess.DEVNULL)
                groups[f"{size}, {kind}"] = [(name, out) for name in resized]
            scored += [(name, dump, str(fixed if i % 2 else free)) for i, name in enumerate(resized)]
        (work / "files.json").write_text(json.dumps(scored))
        subprocess.run(["/usr/bin/python3", __file__, "--predict", work], check=True)
        failed = False
        for group, files in groups.items():
            equal, worst = [], (2.0, "")
            for name, folder in files:
                found = [path for path in folder.glob(f"*{name}*") if not path.stem.endswith(("_color", "_overlay"))]
                assert len(found) == 1, (name, found)
                ours = np.asarray(Image.open(found[0]))
                theirs = np.load(work / "labels" / f"{name}.npy")
                assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
                equal.append(float((ours == theirs).mean()))
                worst = min(worst, (equal[-1], name))
            share = sum(equal) / len(equal)
            print(f"{group}: {len(files)} images, {100 * share:.4f} % of labels equal PyTorch's; worst {worst[1]}: {100 * worst[0]:.4f} %")
            failed |= share < WANTED
        differences = json.loads((work / "scores.json").read_text())
        worst = max(differences, key=differences.get)
        print(f"scores of {len(differences)} pictures: at most {differences[worst]:.1e} of the largest from PyTorch's ({worst})")
        if failed or not differences[worst] <= SCORES_CLOSE:
            sys.exit(f"FAILED: {100 * WANTED} % of labels and scores within {SCORES_CLOSE} are wanted")


if __name__ == "__main__":
    if sys.argv[1] == "--predict":
        predict(pathlib.Path(sys.argv[2]))
    else:
        main()
