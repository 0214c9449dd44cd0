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

_told = set()  # the folders of which was said that they are not used


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
    return cache_place(name, key, folder).with_suffix(".cache")


def cache_place(name, key, folder=None):
    """Return the path of a folder for several cache files of one key, `<name>-<hash of key>`."""
    folder = Path(folder) if folder else cache_folder()
    return folder / f"{name}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}"


def read_cache(file):
    """Return the arrays of a cache file, or `None` where it is missing or damaged."""
    try:
        return sound_arrays(file)
    except OSError:
        return None


def sound_arrays(file):
    """Return the arrays of a cache file, or `None` where it does not match its digest.

    Raises:
        OSError: it is not there or cannot be read.
    """
    with open(file, "rb") as stream:
        if stream.read(DIGEST_LINE) != hashlib.file_digest(stream, "sha256").hexdigest().encode() + b"\n":
            return None  # checked before it is parsed: a damaged zip file can raise almost anything
        stream.seek(DIGEST_LINE)
        with np.load(stream) as arrays:
            return dict(arrays)


def write_cache(file, arrays, folder=None):
    """Write a dict of arrays as a cache file; where that fails, say so on stderr and go on.

    Args:
        file: its path.
        arrays: dict of arrays.
        folder: the cache folder, of which it is said once; by default that of the file.

    Returns:
        whether it was written.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        with replacing_file(file) as beside, open(beside, "wb") as stream:
            stream.write(hashlib.sha256(content.getbuffer()).hexdigest().encode() + b"\n")
            stream.write(content.getbuffer())
    except MmkerasError as error:
        tell_unused(folder or file.parent, error)
        return False
    return True


def tell_unused(folder, reason):
    """Say on stderr that a cache is not used, once for each folder, whatever does not go into it."""
    if folder not in _told:
        _told.add(folder)
        print(f"mmkeras: the cache is not used: {reason}", file=sys.stderr)
