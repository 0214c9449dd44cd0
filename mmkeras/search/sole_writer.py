"""One writer of an index at a time: the others are refused."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from mmkeras.errors import MmkerasError

LOCK = ".lock"


@contextlib.contextmanager
def sole_writer(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the right to change an index. It ends with the process that holds it, however that ends.

    Args:
        folder: the index.

    Raises:
        MmkerasError: another process holds it, which the text names; or the folder cannot be written to.
    """
    import fcntl  # of Linux and macOS; where it is missing an index can be read

    try:
        stream = open(Path(folder) / LOCK, "a+", encoding="utf-8")
    except OSError as error:
        raise MmkerasError(f"{folder} cannot be changed: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            raise MmkerasError(
                f"{folder} is being changed by {stream.read().strip() or 'another process'}. "
                "Nothing was changed; try again when it has ended"
            ) from error
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {platform.node()}\n")
        stream.flush()
        yield
