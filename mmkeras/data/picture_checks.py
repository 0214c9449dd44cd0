"""`unreadable_pictures`: which pictures cannot be decoded, found out once and remembered."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from mmkeras import __version__
from mmkeras.data.picture_facts import PictureFacts
from mmkeras.data.picture_stamps import stamps_of
from mmkeras.data.picture_verdict import PictureVerdict
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.unreadable_pictures import UnreadablePictures

AT_ONCE = 256  # pictures that are decoded before what was found is remembered


def unreadable_pictures(
    pictures: Sequence[Any],
    preprocessor: ImagePreprocessor,
    advance: Callable[[int], Any] = lambda count: None,
    folder: str | os.PathLike[str] | None = None,
) -> dict[int, str]:
    """Decode pictures that were not decoded before, and tell which cannot be.

    Training that reads pictures from disk would otherwise stop at the first of them, in the middle of an epoch. A
    picture that has not changed since is not read again, see `PictureFacts`.

    Args:
        pictures: list of N pictures, see `ImagePreprocessor.load`.
        preprocessor: what decodes them.
        advance: is told how many more are known.
        folder: the cache folder; by default the user's.

    Returns:
        dict from a row to what is wrong with the picture there; empty where all can be read.
    """
    facts, stamps = PictureFacts(folder), stamps_of(pictures)
    decoder = f"mmkeras {__version__}, TensorFlow {tf.__version__}, {preprocessor.max_pixels} pixels"
    verdicts = facts.verdicts(stamps, decoder)
    reasons = {row: verdict.problem for row, verdict in enumerate(verdicts) if verdict and verdict.problem}
    unknown = [row for row, verdict in enumerate(verdicts) if verdict is None]
    advance(len(pictures) - len(unknown))
    for start in range(0, len(unknown), AT_ONCE):
        rows = unknown[start : start + AT_ONCE]
        problems = {}
        try:
            preprocessor.load([pictures[row] for row in rows])
        except UnreadablePictures as error:
            problems = {rows[place]: reason for place, reason in error.reasons.items()}
        reasons |= problems
        found = [PictureVerdict(problems.get(row, "")) for row in rows]
        facts.remember_verdicts([stamps[row] for row in rows], found, decoder)
        advance(len(rows))
    return dict(sorted(reasons.items()))
