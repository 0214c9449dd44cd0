#!/usr/bin/env bash
# From a fresh clone to a served query: sets .venv up, then trains, evaluates, exports, serves and asks, in one process.
#
#     scripts/demo.sh              # its options are those of scripts/demo.py; --help lists them
#
# Success ends with where the report, the run folder and the SavedModel lie, and what to try next.
set -euo pipefail

# shellcheck source=setup.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"
set_up_environment

export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
exec "$MMKERAS_VENV/bin/python" "$MMKERAS_ROOT/scripts/demo.py" "$@"
