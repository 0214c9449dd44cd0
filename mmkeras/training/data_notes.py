"""What somebody should know of the data before a training begins, a line each."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.data.checking.problem import amount
from mmkeras.data.equal_texts import shared_texts
from mmkeras.data.paired import PairedData

FEW = 10  # images, among which a hit is often chance

if TYPE_CHECKING:
    from mmkeras.preprocessing import StringPreprocessor, Tokenizer


def data_notes(
    train: PairedData, dev: PairedData, text_preprocessor: Tokenizer | StringPreprocessor | None = None
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
        *_few(dev),
    ]


def _left_out(train, dev):
    lost = list(dict.fromkeys((*train.left_out, *dev.left_out)))
    told = f"Left out, since it cannot be read: {len(lost):,} of the data, which mmkeras data check lists. The first: "
    return [told + lost[0]] if lost else []


def _shared(train, text_preprocessor):
    rows = shared_texts(train, text_preprocessor)
    if not len(rows):
        return []
    words = [train.texts[row] for row in rows]
    different = len(set(words if text_preprocessor is None else text_preprocessor.normalized(words)))
    if different == 1 and len(rows) == len(train.texts):
        return [
            f"All {len(rows):,} texts say the same, {_short(words[0])}: each is right for all images, and nothing can "
            "be learnt of them"
        ]
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
    both = np.isin(dev.image_item, train.image_item)
    if isinstance(train.images, np.ndarray):  # of pictures that are not in memory the copies were found by their files
        known = set(_digests(train.images))
        both |= np.array([row in known for row in _digests(dev.images)])
    if not both.any():
        return []
    name = dev.image_names[int(np.argmax(both))]
    return [
        f"{int(both.sum()):,} of {len(both):,} images of {dev.name} are in {train.name} too, or copies of its images, "
        f"such as {_short(name)}: on them dev measures what was learnt by heart"
    ]


def _few(dev):
    count = len(dev.images)
    return [f"{dev.name} has {amount(count, 'image')}: what is measured on so few says little"] if count < FEW else []


def _short(text):
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _digests(rows):
    """A digest of each row, which equal rows share: a list of bytes."""
    return [hashlib.blake2b(np.ascontiguousarray(row)).digest() for row in rows]
