"""`FeedbackFile`: verdicts on results, written as pairs to train on."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

from mmkeras.atomic import check_writable, replacing_file
from mmkeras.errors import MmkerasError


class FeedbackFile:
    """Appends verdicts on results to a file, a line each, as JSON lines that `mmkeras train` reads.

    A picture that was called right for a text is a pair, `{"image": "a.jpg", "captions": ["a dog"], ...}`. One that was
    called wrong is none, and goes to a file of its own: beside `feedback.jsonl` it is `feedback.rejected.jsonl`. Who
    changes a verdict takes the one before back. The other keys of a line say when the verdict came, and on which
    version's result; training passes over them.

    Args:
        file: path of the file; both are made at the first verdict.

    Raises:
        MmkerasError: no file can be written there.

    Example:
        >>> FeedbackFile("feedback.jsonl").append("a dog by the sea", "a.jpg", 1, version=3)
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        if self.file.suffix.lower() != ".jsonl":
            raise MmkerasError(f"Expected a file that ends in .jsonl, as training reads it. Received: {file}")
        self.rejected = self.file.with_suffix(".rejected.jsonl")
        check_writable(self.file)
        self._lock = threading.Lock()

    def append(self, text: str, image: str, verdict: Literal[1, -1], **told: Any) -> None:
        """Write a verdict.

        Args:
            text: what was searched for.
            image: name of the picture.
            verdict: 1 where it is right, -1 where it is wrong.
            told: what else the line says, by keys that are no columns of captions or pictures.

        Raises:
            MmkerasError: it cannot be written, as on a full disk.
        """
        line = {"image": image, "captions": [text], "verdict": verdict, **told, "time": _now()}
        target, other = (self.file, self.rejected)[::verdict]
        content = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        try:
            with self._lock, open(target, "ab") as stream:
                size = stream.tell()
                try:
                    stream.write(content)
                    stream.flush()
                except OSError:
                    os.truncate(target, size)  # no half line, which would be no pair and an error
                    raise
                _take_back(other, image, text)
        except OSError as error:
            raise MmkerasError(f"{target} could not be written: {error.strerror or error}") from error


def _take_back(file, image, text):
    """Write a file anew without what it says of a text and a picture."""
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    kept = [line for line in lines if not _is_of(line, image, text)]
    if len(kept) < len(lines):
        with replacing_file(file) as beside:
            beside.write_bytes(b"".join(kept))


def _is_of(line, image, text):
    try:
        told = json.loads(line)
    except ValueError:  # nothing that stands here; whose file it is may have written it
        return False
    return isinstance(told, dict) and told.get("image") == image and told.get("captions") == [text]


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
