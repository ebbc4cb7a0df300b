#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes .venv-peers with the programs that frf is compared with: ONNX Runtime, ONNX's checker, Cityscapes' evaluator. Nothing
# of frf needs it; tests that compare with a peer use it where it is and say so when they skip.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-peers
wanted="onnx onnxruntime numpy pillow cityscapesscripts"
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/wanted" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
python3 -m venv "$venv"
# shellcheck disable=SC2086
"$venv/bin/pip" install -q --disable-pip-version-check $wanted
echo "$wanted" >"$venv/wanted"
