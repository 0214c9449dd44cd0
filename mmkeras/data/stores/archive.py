"""`Archive`: a file that holds pictures, opened once."""

from __future__ import annotations

import functools
import os


class Archive:
    """An archive file, opened when the first of its pictures is read.

    Args:
        path: of the file.

    Attributes:
        path: its real path.
        time: when it was last changed, ns.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)
        self.time = os.stat(self.path).st_mtime_ns

    @functools.cached_property
    def descriptor(self) -> int:
        """A file descriptor, which lives as long as the archive."""
        return os.open(self.path, os.O_RDONLY)

    def __del__(self):
        if "descriptor" in vars(self):
            os.close(self.descriptor)
