"""Writing that never leaves a half-written file or folder: beside the target first, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmkeras.errors import MmkerasError


@contextlib.contextmanager
def replacing_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `target` to write to; on success it becomes `target`, on an error it is removed.

    Raises:
        MmkerasError: the file cannot be written (full disk, no rights), with the system's reason; an old `target` is
            then untouched.
    """
    target = Path(target)
    with _write_errors_as_ours(target):
        beside = _temporary_neighbour(target, target.suffix)
        try:
            beside.touch(exist_ok=False)
            yield beside
            os.replace(beside, target)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()


def check_writable(target: str | os.PathLike[str]) -> None:
    """Raise a `MmkerasError` where a file could not be written, before any work is done for it."""
    target = Path(target)
    with _write_errors_as_ours(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        beside = _temporary_neighbour(target)
        beside.touch(exist_ok=False)
        beside.unlink()


@contextlib.contextmanager
def new_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a folder beside `target` to fill; on success it becomes `target`, on an error it is removed.

    Its name does not start with a digit, so TensorFlow Serving never takes it for a version.

    Raises:
        MmkerasError: `target` exists already (told before any work, and again where it came up meanwhile), or cannot
            be written.
    """
    target = Path(target)
    with _write_errors_as_ours(target):
        refuse_existing(target)
        beside = _temporary_neighbour(target)
        try:
            beside.mkdir()
            yield beside
            refuse_existing(target)  # a rename would replace an empty folder in silence
            os.rename(beside, target)
        except MmkerasError as error:
            if str(beside) not in str(error):
                raise
            # The folder beside, which the writer knows, is gone and was nobody's concern.
            raise MmkerasError(str(error).replace(str(beside), str(target))) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _temporary_neighbour(target, suffix=""):
    """Return an unused path in the folder of `target`, which is made; unlike `tempfile`'s it leaves rights to umask."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".tmp-{secrets.token_hex(8)}{suffix}"


def refuse_existing(target: str | os.PathLike[str]) -> None:
    """Raise a `MmkerasError` where there is something at a path, a broken link too."""
    if os.path.lexists(target):
        raise MmkerasError(f"{target} exists already; nothing was overwritten")


@contextlib.contextmanager
def _write_errors_as_ours(target):
    """Raise what the system says of a failed write as a `MmkerasError` that names `target`."""
    try:
        yield
    except OSError as error:
        raise MmkerasError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left half written"
        ) from error
