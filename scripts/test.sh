#!/usr/bin/env bash
# Sets .venv up as demo.sh does, then lints and runs the suite at the root of the tree. Other arguments go to pytest:
#
#     scripts/test.sh                      # lint, and every test that takes seconds
#     scripts/test.sh --slow               # the end-to-end ones too; so does CI=true
#     scripts/test.sh --pytorch            # compared with PyTorch too, which it installs (190 MB; several GB with CUDA)
#     scripts/test.sh tests/metrics -k recall -x
#     scripts/test.sh -n 0 -s tests/data   # in one process, for a debugger or to see what is printed
#
# The suite runs in about as many processes as there are cores, four at most, a test file in one of them.
# Success ends with pytest's line of passed tests and exit code 0; --slow alone runs two halves, with a line each.
set -euo pipefail

# shellcheck source=setup.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/setup.sh"

slow=no pytorch=no
[[ -z "${CI:-}" || "$CI" == false || "$CI" == 0 ]] || slow=yes
arguments=("--color=auto")
for argument in "$@"; do
  case "$argument" in
    --slow) slow=yes ;;
    --pytorch) pytorch=yes ;;
    *) arguments+=("$argument") ;;
  esac
done

set_up_environment
if [[ "$pytorch" == yes ]]; then
  set_up_pytorch
  export MMKERAS_TEST_PYTORCH=1 # a comparison that finds no PyTorch fails, and is not skipped
elif pytorch="$(pytorch_version)"; then
  say "PyTorch: $pytorch, which .venv has"
else
  say "PyTorch: none (the comparisons with it are skipped; --pytorch installs it and runs them)"
fi
python="$MMKERAS_VENV/bin/python"

cd -- "$MMKERAS_ROOT"

if [[ -z "${MMKERAS_DATA:-}" && -d ../shared/data ]]; then
  MMKERAS_DATA="$(cd -- ../shared/data && pwd -P)"
  export MMKERAS_DATA
fi
say "real data: ${MMKERAS_DATA:-none (MMKERAS_DATA is unset: the cases that need it are skipped)}"
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"

say "lint"
"$python" -m ruff check .
"$python" -m ruff format --check .

if [[ "$slow" == yes ]]; then
  say "tests, the slow ones too"
else
  say "tests without the slow ones (--slow runs them too)"
  arguments=(-m "not slow" "${arguments[@]}")
fi
# One more than there are cores, for some wait for processes that they started, where there are 6 GiB for each.
processes="$("$python" -c '
import os

cores = os.cpu_count() or 1
memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
print(min(4, cores + (memory >= 6 * (cores + 1))))')"
# One thread each, so that the processes do not fight over the cores; a session's models are trained once in each.
export OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1
# In the order of tests/conftest.py, which begins with the files that take longest.
pytest=("$python" -m pytest -n "$processes" --dist loadfile --no-loadscope-reorder "${arguments[@]}")
if [[ "$slow" == no || "${#arguments[@]}" -gt 1 ]]; then
  exec "${pytest[@]}"
fi
# The whole suite in two halves: TensorFlow keeps much of what a process has traced, and the processes of one run would
# hold 20 GB at its end.
half=(tests/models tests/training tests/layers tests/losses tests/encoders)
code=0
say "the first half: ${half[*]}"
"${pytest[@]}" "${half[@]}" || code=1
say "the second half: all other tests"
"${pytest[@]}" tests "${half[@]/#/--ignore=}" || code=1
[[ "$code" == 0 ]] || say "a test of one of the halves failed; see above"
exit "$code"
