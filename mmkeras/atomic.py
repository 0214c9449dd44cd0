"""Writing that never leaves a half-written file or folder: beside the target first, then renamed."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from mmkeras.errors import MmkerasError


@contextlib.contextmanager
def replacing_file(target):
    """Give a path beside `target` to write to; on success it becomes `target`, on an error it is removed.

    Raises:
        MmkerasError: the file cannot be written (full disk, no rights), with the system's reason; an old `target` is
            then untouched.
    """
    target = Path(target)
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=".tmp-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        try:
            yield Path(beside)
            os.chmod(beside, 0o666 & ~_umask())
            os.replace(beside, target)
        finally:
            Path(beside).unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(target):
    """Give a folder beside `target` to fill; on success it becomes `target`, on an error it is removed.

    Its name does not start with a digit, so TensorFlow Serving never takes it for a version.

    Raises:
        MmkerasError: `target` exists already, or cannot be written.
    """
    target = Path(target)
    with _told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
        try:
            yield beside
            if target.exists():
                raise MmkerasError(f"{target} exists already; nothing was overwritten")
            os.chmod(beside, 0o777 & ~_umask())
            os.rename(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def _told(target):
    try:
        yield
    except OSError as error:
        raise MmkerasError(
            f"{target} could not be written: {error.strerror or error}. Nothing was left half written"
        ) from error


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
