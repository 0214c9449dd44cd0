"""Text files that are whole or not there: written beside and renamed."""

import os
import tempfile
from pathlib import Path


def write_whole(file, text):
    """Write `text` to `file` in UTF-8; whatever goes wrong, `file` holds the old text or the new one, never a part.

    Args:
        file: path; its folder is made where it is missing.
        text: string.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".tmp-{file.name}-")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.chmod(beside, 0o644)  # mkstemp's file is for its owner alone
        os.replace(beside, file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
