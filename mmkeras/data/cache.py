"""A user cache folder for what is cheap to make again: written beside and renamed, checked when read."""

import hashlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError

DIGEST_LINE = 65  # bytes: a SHA-256 in hexadecimal and a line break


def cache_folder():
    """Return the folder for caches: `$MMKERAS_CACHE`, else `$XDG_CACHE_HOME/mmkeras`, else `~/.cache/mmkeras`."""
    if folder := os.environ.get("MMKERAS_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "mmkeras"
    try:
        return Path.home() / ".cache" / "mmkeras"
    except RuntimeError:  # a user id without an entry and without $HOME, as containers run them
        return Path(tempfile.gettempdir()) / "mmkeras-cache"


def cached_arrays(name, key, make, folder=None):
    """Return the arrays that `make()` returns, from the cache where a sound copy lies there.

    The file is `<name>-<hash of key>.cache`: a line with the SHA-256 of what follows, then an `.npz`. Digest and
    content are one file, so that of two processes that write at once either leaves a whole one. A file that does not
    match its digest is made again. A folder that cannot be written costs the time to make the arrays, never the result.

    Args:
        name: the start of the file's name.
        key: JSON-serialisable description of everything the arrays depend on.
        make: function without arguments that returns a dict of arrays.
        folder: the cache folder; by default `cache_folder()`.

    Returns:
        dict of arrays.
    """
    file = cache_file(name, key, folder)
    arrays = read_cache(file)
    if arrays is None:
        arrays = make()
        write_cache(file, arrays)
    return arrays


def cache_file(name, key, folder=None):
    """Return the path of a cache file, see `cached_arrays`."""
    folder = Path(folder) if folder else cache_folder()
    return folder / f"{name}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}.cache"


def read_cache(file):
    """Return the arrays of a cache file, or `None` where it is missing or damaged."""
    try:
        content = memoryview(file.read_bytes())
    except OSError:
        return None
    if bytes(content[:DIGEST_LINE]) != _digest_line(content[DIGEST_LINE:]):
        return None  # checked before it is parsed: a damaged zip file can raise almost anything
    with np.load(io.BytesIO(content[DIGEST_LINE:])) as arrays:
        return dict(arrays)


def write_cache(file, arrays):
    """Write a dict of arrays as a cache file; where that fails, say so on stderr and go on."""
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        with replacing_file(file) as beside, open(beside, "wb") as stream:
            stream.write(_digest_line(content.getbuffer()))
            stream.write(content.getbuffer())
    except MmkerasError as error:
        print(f"mmkeras: the cache is not used: {error}", file=sys.stderr)


def _digest_line(content):
    return hashlib.sha256(content).hexdigest().encode() + b"\n"
