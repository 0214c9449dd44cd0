"""Looking at pictures: whole ones with the model's decoder, or the beginnings of some."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from mmkeras.data.checking.picture_header import PictureHeader, read_picture_header
from mmkeras.data.picture_facts import PictureFacts
from mmkeras.data.picture_stamps import stamps_of
from mmkeras.data.picture_verdict import PictureVerdict
from mmkeras.data.stores import StoredPicture
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.progress import Progress

BEGINNING = 16_384  # bytes, in which nearly every header ends
MOST_HEADERS = 2_000  # pictures whose beginning is read where none is decoded
AT_ONCE = 256  # pictures that are decoded before their facts are remembered, if the time has come
REMEMBERED_AFTER = 10  # seconds
THREADS = 8  # that wait for a disk

# What is wrong with a picture, by what the decoder says of it; the first that matches.
KINDS = (
    ("missing", r"is (missing|a folder|no file) in|more than once|\d+ times\. Leave"),
    ("outside of the folder", r"lies outside of"),
    ("empty", r"the file is empty"),
    ("cut off", r"truncated|cut off|ends early|the file ends|end of (image|file)"),
    ("too large", r"max_pixels|declares"),
    ("no picture but a web page", r"bytes of (HTML|XML)"),
    ("of another format", r"expected a JPEG, PNG"),
    ("not to be opened", r"Expected a readable picture file|cannot be looked for|cannot be read"),
)


class PictureLook(NamedTuple):
    """What was found out about a picture.

    Args:
        header: `PictureHeader`.
        problem: why it cannot be read, `""` where it can be or nobody tried.
        digest: SHA-256 of its bytes in hexadecimal, `b""` where they were not read.
    """

    header: PictureHeader = PictureHeader()
    problem: str = ""
    digest: bytes = b""


def look_at_pictures(
    pictures: Sequence[StoredPicture], max_pixels: int, folder: str | os.PathLike[str] | None = None
) -> list[PictureLook]:
    """Read and decode pictures in threads, or know them again by path, size and time of change, see `PictureFacts`.

    Args:
        pictures: list of N stored pictures.
        max_pixels: the largest that is decoded, see `ImagePreprocessor`.
        folder: the cache folder; by default the user's.

    Returns:
        list of N `PictureLook`.
    """
    import tensorflow as tf

    decoder = f"check 1, tensorflow {tf.__version__}, max_pixels {max_pixels}"
    # The resize costs nothing so, and what may fail comes before it.
    preprocessor = ImagePreprocessor(8, 8, method="nearest", max_pixels=max_pixels)
    stamps = stamps_of(pictures)
    facts = PictureFacts(folder)
    digests = facts.digests(stamps).tolist()
    looks = [
        None if verdict is None or not digest else _of_verdict(verdict, digest)
        for verdict, digest in zip(facts.verdicts(stamps, decoder), digests, strict=True)
    ]
    unknown = [row for row, look in enumerate(looks) if look is None]

    def remember(rows):
        known = [stamps[row] for row in rows]
        facts.remember_verdicts(known, [_verdict_of(looks[row]) for row in rows], decoder)
        facts.remember_digests(known, [looks[row].digest for row in rows])

    done: list[int] = []
    last = time.monotonic()
    with Progress("Checking pictures", len(pictures), "picture", done=len(pictures) - len(unknown)) as bar:
        try:
            for start in range(0, len(unknown), AT_ONCE):
                rows = unknown[start : start + AT_ONCE]
                found = _decoded([pictures[row] for row in rows], preprocessor, bar.advance)
                for row, look in zip(rows, found, strict=True):
                    looks[row] = look
                # What could not be opened may be open tomorrow, without a change of the file.
                done += [row for row in rows if looks[row].digest]
                if time.monotonic() - last > REMEMBERED_AFTER:
                    remember(done)
                    done, last = [], time.monotonic()
        finally:
            remember(done)
    return looks


def look_at_headers(pictures: Sequence[StoredPicture]) -> list[PictureLook]:
    """Read the beginnings of at most 2,000 pictures, spread evenly over the list, in threads.

    Args:
        pictures: list of stored pictures.

    Returns:
        list of `PictureLook`, without problems and digests; those that cannot be opened are not in it.
    """

    def beginning(row):
        try:
            return pictures[row].read_beginning(BEGINNING)
        except MmkerasError:
            return b""

    rows = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), MOST_HEADERS)).round().astype(int))
    with ThreadPoolExecutor(THREADS) as pool:
        return [PictureLook(read_picture_header(content)) for content in pool.map(beginning, rows.tolist()) if content]


def kind_of_problem(problem: str) -> str:
    """Return in a few words what is wrong with a picture, by what was said of it: `empty`, `cut off`, ..."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, problem, re.IGNORECASE)), "damaged")


def _decoded(pictures, preprocessor, advance):
    """The looks of pictures, each of which is read once."""
    read = [_Read(picture) for picture in pictures]
    _, reasons = preprocessor.load_readable(read, advance=advance)
    return [
        PictureLook(one.header, _short(reasons.get(row, ""), one.picture), one.digest) for row, one in enumerate(read)
    ]


class _Read:
    """A picture that keeps what its bytes say when somebody reads them."""

    def __init__(self, picture):
        self.picture = picture
        self.header, self.digest = PictureHeader(), b""

    def __str__(self):
        return str(self.picture)

    def read_bytes(self):
        content = self.picture.read_bytes()
        self.header = read_picture_header(content)
        self.digest = hashlib.sha256(content).hexdigest().encode()
        return content


def _short(reason, picture):
    return reason.removeprefix(f"Cannot read picture {str(picture)!r}: ")


# A fact has one string for the format: colour and orientation stand behind it.
def _verdict_of(look):
    header = look.header
    told = f"{header.format};{header.colour};{header.orientation}"
    return PictureVerdict(look.problem, header.width, header.height, told)


def _of_verdict(verdict, digest):
    form, colour, orientation = verdict.format.split(";")
    header = PictureHeader(form, verdict.width, verdict.height, colour, int(orientation))
    return PictureLook(header, verdict.problem, digest)
