"""Reading zip archives of others: what is in one is judged by the size that it declares, before it is unpacked."""

from __future__ import annotations

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

# Of a picture, a tokenizer or settings; of all arrays of a file.
MAX_MEMBER_BYTES = 2**28
MAX_ARCHIVE_BYTES = 2**34
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int = MAX_MEMBER_BYTES) -> bytes:
    """Return what a member holds.

    A megabyte can unpack to a gigabyte, whatever size it declares: no more is ever unpacked than that.

    Args:
        archive: an open zip.
        name: the member's name.
        max_bytes: the most that it may declare.

    Raises:
        KeyError: there is no such member.
        zipfile.BadZipFile: it declares more, is packed in another way than stored or deflated, or is damaged.
    """
    info = archive.getinfo(name)
    _check_kind(info)
    if info.file_size > max_bytes:
        raise zipfile.BadZipFile(f"expected at most {max_bytes} bytes. Received: {name} of {info.file_size} bytes")
    with archive.open(info) as stream:
        # Without a number everything that is packed would be unpacked at once, and cut then.
        return stream.read(info.file_size)


def check_members(archive: zipfile.ZipFile, max_bytes: int = MAX_ARCHIVE_BYTES) -> None:
    """Raise where what an archive's members declare is too much together; others may unpack it then.

    Raises:
        zipfile.BadZipFile: as `read_member`.
    """
    for info in archive.infolist():
        _check_kind(info)
    size = sum(info.file_size for info in archive.infolist())
    if size > max_bytes:
        raise zipfile.BadZipFile(f"expected at most {max_bytes} bytes. Received: {size} bytes, once unpacked")


@contextlib.contextmanager
def open_arrays(file: str | os.PathLike[str], max_bytes: int = MAX_ARCHIVE_BYTES) -> Iterator[NpzFile]:
    """Give the arrays of an `.npz` file by name, of which none is larger than what is there of it.

    Args:
        file: its path.
        max_bytes: the most that all arrays may take.

    Raises:
        OSError, zipfile.BadZipFile: the file cannot be read, is no zip or declares too much.
        ValueError: an array promises more values than it has bytes for, or holds objects.

    Example:
        >>> with open_arrays("features.npz") as arrays:
        ...     features = arrays["features"]
    """
    with open(file, "rb") as stream:
        with zipfile.ZipFile(stream) as archive:
            check_members(archive, max_bytes)
            for info in archive.infolist():
                _check_array(archive, info)
        stream.seek(0)
        with np.load(stream) as arrays:
            yield arrays


def _check_kind(info):
    if info.compress_type not in _KINDS:
        raise zipfile.BadZipFile(f"expected members that are stored or deflated. Received: {info.filename}")


def _check_array(archive, info):
    """Compare an array's header with its size: NumPy makes room for what the header promises."""
    if not info.filename.endswith(".npy"):
        return
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
    if dtype.hasobject:
        return  # which NumPy refuses by itself
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError(
            f"expected an array of at most {info.file_size} bytes, as are there. "
            f"Received: {info.filename} of shape {shape}, {dtype}"
        )
