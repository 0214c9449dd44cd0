#!/usr/bin/env bash
# From a fresh clone to a served query: sets .venv up, then trains, evaluates, exports, serves and asks, in one process.
#
#     scripts/demo.sh              # three minutes; the first time some more, and 2.5 GB, for .venv
#     scripts/demo.sh epochs=2     # settings over the recipe's own: .venv/bin/mmkeras recipes glyphs_dual_encoder
#
# MMKERAS_PYTHON=/path/to/python chooses the Python, 3.11 to 3.13. Success ends with where the report, the run folder and
# the SavedModel lie, and what to try next.
set -euo pipefail

# shellcheck source=setup.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"
if [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p;}' -- "${BASH_SOURCE[0]}" # the lines above: nothing is set up for them
  exit 0
fi
set_up_environment

export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
exec "$MMKERAS_VENV/bin/python" "$MMKERAS_ROOT/scripts/demo.py" "$@"
