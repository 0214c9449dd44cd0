"""What somebody should know of the data before a training begins, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.equal_texts import shared_texts
from mmkeras.data.paired import PairedData

if TYPE_CHECKING:
    from mmkeras.preprocessing import StringPreprocessor, TextPreprocessor

ROWS = 1024  # of pictures that are hashed at a time
SPREADING = -7046029254386353131  # odd, its bits as if drawn: the golden ratio times 2^64, as Knuth multiplies


def data_notes(
    train: PairedData, dev: PairedData, text_preprocessor: TextPreprocessor | StringPreprocessor | None = None
) -> list[str]:
    """Count what is easily overlooked: texts of several pictures, texts that are cut, pictures in both splits.

    Args:
        train: the training split, its equal texts related, see `mmkeras.data.relate_equal_texts`.
        dev: the split that each epoch is measured on.
        text_preprocessor: the model's; without it nothing is known of cuts.

    Returns:
        list of sentences, empty where there is nothing to say.
    """
    return [
        *_left_out(train, dev),
        *_shared(train, text_preprocessor),
        *_cut(train, text_preprocessor),
        *_in_both(train, dev),
    ]


def _left_out(train, dev):
    lost = list(dict.fromkeys((*train.left_out, *dev.left_out)))
    return [f"Left out, since it cannot be read: {len(lost):,} of the data. The first: {lost[0]}"] if lost else []


def _shared(train, text_preprocessor):
    rows = shared_texts(train, text_preprocessor)
    if not len(rows):
        return []
    words = [train.texts[row] for row in rows]
    different = len(set(words if text_preprocessor is None else text_preprocessor.normalized(words)))
    return [
        f"{len(rows):,} of {len(train.texts):,} texts stand at several images ({different:,} different ones, such as "
        f"{_short(words[0])}): each is a right answer to all of its images, and a negative of none"
    ]


def _cut(train, text_preprocessor):
    cut = 0 if train.text_features or text_preprocessor is None else text_preprocessor.count_cut(train.texts)
    if not cut:
        return []
    share, most = 100 * cut / len(train.texts), text_preprocessor.sequence_length
    return [
        f"{share:.3g} % of the texts ({cut:,} of {len(train.texts):,}) are longer than the {most} ids that the model "
        "reads: their ends are cut off. A preset with a larger sequence_length reads them whole"
    ]


def _in_both(train, dev):
    if train.images.shape[1:] != dev.images.shape[1:]:
        return []
    both = np.isin(dev.image_item, train.image_item) | np.isin(row_codes(dev.images), row_codes(train.images))
    if not both.any():
        return []
    name = dev.image_names[int(np.argmax(both))]
    return [
        f"{int(both.sum()):,} of {len(both):,} images of {dev.name} are in {train.name} too, or copies of its images, "
        f"such as {_short(name)}: on them dev measures what was learnt by heart"
    ]


def _short(text):
    return repr(text if len(text) <= 60 else text[:57] + "...")


def row_codes(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return a number for each row, which equal rows share and others, but for very few of 2^64, do not: int64 (N,).

    Args:
        rows: array (N, ...).
    """
    width = int(np.prod(rows.shape[1:])) * rows.itemsize
    spread = np.random.default_rng(0).integers(-(2**63), 2**63, -(-width // 4), np.int64) | 1
    codes = np.empty(len(rows), np.int64)
    for start in range(0, len(rows), ROWS):
        part = np.ascontiguousarray(rows[start : start + ROWS]).reshape(-1, width // rows.itemsize).view(np.uint8)
        padded = np.zeros((len(part), 4 * len(spread)), np.uint8)
        padded[:, :width] = part
        words = padded.view(np.uint32) * np.int64(SPREADING)  # modulo 2^64
        codes[start : start + ROWS] = (words ^ (words >> 31)) @ spread  # the high bits come down: they alone differ
    return codes
