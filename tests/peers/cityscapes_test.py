# SPDX-License-Identifier: Apache-2.0
"""`frf eval` against Cityscapes' own evaluator on the same predictions, over a drawn tree in Cityscapes layout.

usage: cityscapes_test.py PATH_OF_FRF        exit code 77: cityscapesscripts is not installed, skipped
Subtle: the evaluator reads the label images that `frf eval --save` wrote, unchanged.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

try:
    import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as evaluator
    from cityscapesscripts.helpers.labels import labels
except ImportError:
    print("cityscapesscripts is not installed (make peers): skipped")
    sys.exit(77)


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    frf = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        tree, saved, model = work + "/tree", work + "/predictions", work + "/net.onnx"
        run(frf, "synth", "-o", tree, "--layout", "cityscapes", "--count", "12", "--val-share", "0.5", "--size", "128x256")
        run(frf, "export", "frfnet-slim", "--classes", "cityscapes", "-o", model)
        ours = json.loads(run(frf, "eval", model, "--data", "cityscapes:" + tree, "--split", "val", "--size", "128x256",
                              "--save", saved, "--json"))

        os.environ["CITYSCAPES_RESULTS"] = saved
        args = evaluator.args
        args.evalInstLevelScore = False
        args.quiet = True
        args.JSONOutput = False
        truths = []
        for folder, _, names in os.walk(tree + "/gtFine/val"):
            truths += [os.path.join(folder, name) for name in sorted(names) if name.endswith("_gtFine_labelIds.png")]
        assert len(truths) == ours["images"] == 6, (len(truths), ours["images"])
        predictions = [evaluator.getPrediction(args, truth) for truth in truths]
        theirs = evaluator.evaluateImgLists(predictions, truths, args)

        difference = abs(theirs["averageScoreClasses"] - ours["miou"])
        print("mean IoU: evaluator %.9f, frf %.9f, difference %.1e" % (theirs["averageScoreClasses"], ours["miou"], difference))
        assert difference < 1e-6
        by_name = {label.name: label for label in labels}
        scored = 0
        for name, value in ours["iou"].items():
            other = theirs["classScores"][by_name[name].name]
            if value is None:
                assert math.isnan(other), (name, other)
            else:
                assert abs(value - other) < 1e-6, (name, value, other)
                scored += 1
        assert scored >= 8, "only %d classes were scored: the tree proves little" % scored
        print("%d classes agree" % scored)


if __name__ == "__main__":
    main()
