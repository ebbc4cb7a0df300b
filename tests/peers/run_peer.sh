#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a comparison with the Python that has the peers: FRF_PEERS_PYTHON, or .venv-peers (make peers). Exit code 77: there is none.
python=${FRF_PEERS_PYTHON:-$(dirname "$0")/../../.venv-peers/bin/python}
if [ ! -x "$python" ]; then
  echo "no peers installed (make peers): skipped"
  exit 77
fi
exec "$python" "$@"
