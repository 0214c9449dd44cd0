"""A user cache folder for what is cheap to make again: written beside and renamed, checked when read."""

import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np


def cache_folder():
    """Return the folder for caches: `$MMKERAS_CACHE`, else `$XDG_CACHE_HOME/mmkeras`, else `~/.cache/mmkeras`."""
    if folder := os.environ.get("MMKERAS_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmkeras"


def cached_arrays(name, key, make, folder=None):
    """Return the arrays that `make()` returns, from the cache where a sound copy lies there.

    The file is `<name>-<hash of key>.npz`; a SHA-256 of its content lies beside it, and a file that does not match is
    made again. A cache folder that cannot be written costs the time to make the arrays, never the result.

    Args:
        name: the start of the file's name.
        key: JSON-serialisable description of everything the arrays depend on.
        make: function without arguments that returns a dict of arrays.
        folder: the cache folder; by default `cache_folder()`.

    Returns:
        dict of arrays.
    """
    folder = Path(folder) if folder else cache_folder()
    file = folder / f"{name}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.npz"
    digest_file = file.with_suffix(".sha256")
    try:
        if file.is_file() and digest_file.read_text().strip() == _digest(file):
            with np.load(file) as arrays:
                return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile):
        pass  # damaged or half there: made again below
    arrays = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}-", suffix=".npz", delete=False) as beside:
            np.savez(beside, **arrays)
        digest = _digest(beside.name)
        os.replace(beside.name, file)
        digest_file.write_text(digest + "\n")
    except OSError as error:
        print(f"mmkeras: the cache {folder} could not be written ({error}); going on without it")
    return arrays


def _digest(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
