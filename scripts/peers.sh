#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes .venv-peers with the programs that frf is compared with: ONNX Runtime, OpenVINO, ncnn (and pnnx, which makes its files),
# ONNX's checker, Cityscapes' evaluator. Nothing of frf needs it; `frf bench --against` and tests that compare with a peer use it
# where it is, and say so where it is not.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-peers
wanted="onnx onnxruntime openvino ncnn pnnx numpy pillow cityscapesscripts"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/wanted" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
python3 -m venv "$venv"
# pnnx asks for libtorch's Python package, which its converter, the only part that is used, does without.
# shellcheck disable=SC2086
"$venv/bin/pip" install -q --disable-pip-version-check ${wanted/ pnnx/}
"$venv/bin/pip" install -q --disable-pip-version-check --no-deps pnnx
echo "$wanted" >"$venv/wanted"
