# SPDX-License-Identifier: Apache-2.0
"""`frf bench --against` with the peers that are installed: every one gives a time, and the labels of the timed frames agree.

usage: bench_test.py PATH_OF_FRF
exit code 77: neither ONNX Runtime nor OpenVINO is installed: skipped
"""
import importlib.util
import json
import subprocess
import sys

AGREEMENT = 0.999


def bench(frf, peers, to, model="frfnet-slim"):
    words = [frf, "bench", model, "--size", "64x96", "--runs", "5", "--to", to, "--against", ",".join(peers), "--venv", sys.prefix, "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def main():
    peers = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name)]
    if not peers:
        print("neither onnxruntime nor openvino is installed (make peers): skipped")
        sys.exit(77)
    if importlib.util.find_spec("ncnn") and importlib.util.find_spec("pnnx"):
        peers.append("ncnn")
    for to in ("labels", "scores"):
        rows = bench(sys.argv[1], peers, to)
        assert [row["engine"] for row in rows] == ["frf", *peers], rows
        for row in rows:
            assert row["error"] is None, row
            assert row["ms"]["median"] > 0 and row["runs"] == 5, row
            assert row["agreement"] > AGREEMENT, row
            if to == "scores":
                assert row["scores_difference"] < 1e-2, row
            print(f"{to}: {row['engine']} {row['version']}: {row['ms']['median']:.2f} ms, {100 * row['agreement']:.3f} % of labels equal")
    if "openvino" in peers:  # 16 bits: other labels on some pixels, on a CPU without them float32's
        row = bench(sys.argv[1], ["openvino-bf16"], "labels", "frfnet-slim-synth")[1]
        assert row["engine"] == "openvino-bf16" and row["precision"] == "bf16" and row["error"] is None, row
        assert row["agreement"] > 0.98, row
        print(f"labels: {row['engine']} {row['version']}: {row['ms']['median']:.2f} ms, {100 * row['agreement']:.3f} % of labels equal")


main()
