#!/usr/bin/env bash
# Makes .venv beside this folder from requirements.lock, or reuses it. demo.sh and test.sh source this file and call
# set_up_environment; run by itself it does the same:
#
#     scripts/setup.sh                                  # the first fitting Python on the PATH
#     MMKERAS_PYTHON=/opt/python3.12/bin/python3 scripts/setup.sh
#
# The last line of a good run is "mmkeras: ready: ... with Python 3.11.x". A second run says so at once: .venv holds a
# stamp of the lock, of setup.py, of its place and of its Python, and is made anew when one of them changes.
set -euo pipefail

MMKERAS_ROOT="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
MMKERAS_VENV="$MMKERAS_ROOT/.venv"
# The lock is made on 3.11, so 3.11 comes first.
MMKERAS_PYTHON_NAMES="python3.11 python3.12 python3.13 python3 python"

# What `test.sh --pytorch` compares with, in no lock for its size.
MMKERAS_PYTORCH="torch==2.13.0"
MMKERAS_TRANSFORMERS="transformers==5.24.0" # published models as their authors run them, beside ours

NEWLINE=$'\n'

say() { printf 'mmkeras: %s\n' "$*"; }

# Prints "fits VERSION", or "unfit: " and why. Runs on any Python since 2.6, so that an old one can be named.
PYTHON_PROBE='
import platform, sys
version = "%d.%d.%d" % sys.version_info[:3]
reasons = []
if sys.version_info < (3, 11):
    reasons.append("too old")
if sys.version_info >= (3, 14):
    reasons.append("too new: tensorflow-text has no wheel for it")
if platform.python_implementation() != "CPython":
    reasons.append("not CPython but " + platform.python_implementation())
if sys.maxsize < 2**32:
    reasons.append("32-bit: TensorFlow has no wheel for it")
if not reasons:
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            package = "python%d.%d-venv" % sys.version_info[:2]
            reasons.append("lacks the module %s: on Debian and Ubuntu, apt install %s" % (module, package))
print("unfit: version %s, %s" % (version, "; ".join(reasons)) if reasons else "fits %s" % version)
'

# probe_python PATH: prints the verdict. A file that is there and does not run (a pyenv shim of a version that is not
# chosen) says so with its own first words.
probe_python() {
  local verdict
  if verdict="$("$1" -c "$PYTHON_PROBE" 2>&1 </dev/null)"; then
    # The last line: a start-up hook may print before it.
    printf '%s\n' "${verdict##*"$NEWLINE"}"
  else
    printf 'unfit: does not run (%s)\n' "${verdict%%"$NEWLINE"*}"
  fi
}

# find_python: prints the path of the first fitting Python; else tells what was found and returns 1.
find_python() {
  local name path verdict seen="" candidates=""
  if [[ -n "${MMKERAS_PYTHON:-}" ]]; then
    candidates="$(type -P -- "$MMKERAS_PYTHON" || true)"
    [[ -n "$candidates" ]] || seen="    $MMKERAS_PYTHON (from MMKERAS_PYTHON): no such program$NEWLINE"
  else
    for name in $MMKERAS_PYTHON_NAMES; do
      candidates+="$(type -aP -- "$name" || true)$NEWLINE"
    done
  fi
  while IFS= read -r path; do
    [[ -n "$path" ]] || continue
    verdict="$(probe_python "$path")"
    if [[ "$verdict" == fits\ * ]]; then
      printf '%s\n' "$path"
      return 0
    fi
    [[ "$seen" == *"    $path: "* ]] || seen+="    $path: ${verdict#unfit: }$NEWLINE"
  done <<<"$candidates"
  {
    say "error: no fitting Python."
    printf '  Expected: CPython 3.11, 3.12 or 3.13, 64-bit, with its modules venv and ensurepip.\n'
    printf '  Received:\n%s' "${seen:-    none of: $MMKERAS_PYTHON_NAMES (on the PATH)$NEWLINE}"
    printf '  Install one (on Debian and Ubuntu: apt install python3.11 python3.11-venv), or name one that is not on\n'
    printf '  the PATH: MMKERAS_PYTHON=/path/to/python3.11 %s\n' "$0"
  } >&2
  return 1
}

# environment_stamp PYTHON: what .venv depends on, in one line. Its place too: a virtual environment cannot be moved.
environment_stamp() {
  "$1" - "$MMKERAS_ROOT" <<'PYTHON'
import hashlib
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(str(root).encode("utf-8", "surrogateescape"))
for name in ("requirements.lock", "setup.py"):
    digest.update((root / name).read_bytes())
print("%d.%d.%d" % sys.version_info[:3], digest.hexdigest())
PYTHON
}

# environment_is_ready: true when .venv runs and its stamp, written last, is the one that its own Python would write.
environment_is_ready() {
  local python="$MMKERAS_VENV/bin/python"
  [[ -f "$MMKERAS_VENV/mmkeras-stamp" && -x "$python" ]] || return 1
  [[ "$(cat "$MMKERAS_VENV/mmkeras-stamp")" == "$(environment_stamp "$python" 2>/dev/null)" ]] || return 1
  [[ -z "${MMKERAS_PYTHON:-}" || "$(probe_python "$MMKERAS_PYTHON")" == "$(probe_python "$python")" ]]
}

# install_quietly ARGUMENTS: pip install, its output in .venv/install.log; its last lines are shown when it fails.
install_quietly() {
  local log="$MMKERAS_VENV/install.log"
  if ! "$MMKERAS_VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" \
    >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    say "error: pip could not install (the whole story: $log). Run the same command again to start anew." >&2
    return 1
  fi
}

# make_environment: .venv from nothing. What stands there and is not ours is moved aside, never deleted.
make_environment() {
  local python count
  python="$(find_python)" || return 1
  if [[ -d "$MMKERAS_VENV" && -f "$MMKERAS_VENV/mmkeras-made-this" ]]; then
    say "making .venv anew: it is unfinished, or the lock, setup.py, its place or its Python has changed"
    rm -rf -- "$MMKERAS_VENV"
  elif [[ -e "$MMKERAS_VENV" || -L "$MMKERAS_VENV" ]]; then
    local aside
    aside="$MMKERAS_VENV-moved-aside-$(date +%Y%m%d-%H%M%S)"
    say "moving the .venv that was not made by these scripts to $aside"
    mv -- "$MMKERAS_VENV" "$aside"
  fi
  mkdir -- "$MMKERAS_VENV"
  : >"$MMKERAS_VENV/mmkeras-made-this"

  say "1/3 making $MMKERAS_VENV with $python"
  "$python" -m venv "$MMKERAS_VENV"
  count="$(grep -c '==' "$MMKERAS_ROOT/requirements.lock")"
  say "2/3 installing $count locked packages (some minutes, about 2.5 GB; to watch: tail -f .venv/install.log)"
  # Wheels only: building one would fetch build tools that no lock pins.
  install_quietly --only-binary :all: -r "$MMKERAS_ROOT/requirements.lock"
  say "3/3 installing mmkeras itself, editable"
  install_quietly --no-deps --no-build-isolation -e "$MMKERAS_ROOT"
  environment_stamp "$MMKERAS_VENV/bin/python" >"$MMKERAS_VENV/mmkeras-stamp.tmp"
  mv -- "$MMKERAS_VENV/mmkeras-stamp.tmp" "$MMKERAS_VENV/mmkeras-stamp"
}

# set_up_environment: a ready .venv, whatever was there before. Two at a time wait for each other where flock exists.
# In a subshell: its work is done at the root of the tree, where no file of the caller's can stand in for a module.
set_up_environment() (
  if [[ "${MMKERAS_PYTHON:-}" == */* && "$MMKERAS_PYTHON" != /* ]]; then MMKERAS_PYTHON="$PWD/$MMKERAS_PYTHON"; fi
  cd -- "$MMKERAS_ROOT"
  if ! environment_is_ready; then
    if command -v flock >/dev/null; then
      exec 9>"$MMKERAS_ROOT/.venv.lock"
      if ! flock -n 9; then
        say "waiting for another set-up of this tree"
        flock 9
      fi
    fi
    # Not `environment_is_ready || make_environment`: bash would then run past the errors inside it.
    if ! environment_is_ready; then
      make_environment
    fi
  fi
  verdict="$(probe_python "$MMKERAS_VENV/bin/python")"
  say "ready: $MMKERAS_VENV with Python ${verdict#fits }"
)

# pytorch_version: prints the version of the PyTorch in .venv; 1 where there is none that can be imported.
pytorch_version() {
  "$MMKERAS_VENV/bin/python" -c 'import torch; print(torch.__version__)' 2>/dev/null
}

# set_up_pytorch: PyTorch in a ready .venv, whichever version is there before. It is not part of the stamp: it stays for
# as long as .venv does, and goes with it.
set_up_pytorch() (
  cd -- "$MMKERAS_ROOT"
  if ! pytorch_version >/dev/null || ! "$MMKERAS_VENV/bin/python" -c 'import transformers' 2>/dev/null; then
    say "installing $MMKERAS_PYTORCH and $MMKERAS_TRANSFORMERS into .venv: a build for the CPU is about 190 MB to download and 0.9 GB on disk, where"
    say "  pip finds one (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL names its place); the one for CUDA is several GB"
    # The lock holds back what it pins, setuptools above all: TensorFlow Hub needs an old one.
    install_quietly --only-binary :all: -c "$MMKERAS_ROOT/requirements.lock" "$MMKERAS_PYTORCH" "$MMKERAS_TRANSFORMERS"
  fi
  if ! version="$(pytorch_version)"; then
    say "error: PyTorch is installed and cannot be imported: .venv/bin/python -c 'import torch' says why" >&2
    return 1
  fi
  say "PyTorch: $version"
)

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set_up_environment
fi
