"""A sheet of pictures with their captions, some of each split."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.data.captioned_pictures import CaptionedPictures
from mmkeras.data.feature_file import FeatureFile
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.thumbnails import data_uri
from mmkeras.preprocessing.image_decoding import decode_image

LONGEST = 192  # px of a thumbnail, shown at about half of it on screens of double density
BACKGROUND = 255  # behind transparent pixels
SPARE = 2  # times as many pictures are tried as are shown: some may not be readable
CAPTIONS = 2  # of a picture that are shown
CHARACTERS = 160  # of a caption that are shown
THREADS = 4


def picture_sheet(data: CaptionedPictures, max_pixels: int, count: int = 48) -> list[dict[str, Any]]:
    """Choose pictures evenly over each split and make thumbnails of them, as a model sees them: upright.

    Args:
        data: `CaptionedPictures`.
        max_pixels: the largest picture that is decoded.
        count: of pictures in all; splits have equal shares, as far as they have so many.

    Returns:
        list of dicts, one a split: `split`, `pictures`, a list of dicts with `picture` (a data URI), `name`, `where`,
        `captions` and `more` (how many captions are not shown), and `of`, how many pictures the split has. Empty where
        features stand in for pictures.
    """
    if isinstance(data.pictures, FeatureFile):
        return []
    records: dict[str, dict[str, list[Any]]] = {split: {} for split in data.counts}
    for record in data.records:
        if record.image in data.pictures:
            records[str(record.split)].setdefault(record.image, []).append(record)
    shares = _shares([len(of) for of in records.values()], count)
    decode = tf.function(  # traced once
        lambda content: decode_image(content, BACKGROUND, max_pixels), [tf.TensorSpec((), tf.string)], autograph=False
    )
    sheet = []
    for (split, of), share in zip(records.items(), shares, strict=True):
        names = list(of)
        thumbnails = _thumbnails([data.pictures[name] for name in names], share, decode)
        pictures = [_shown(names[row], of[names[row]], thumbnails[row]) for row in sorted(thumbnails)]
        sheet.append({"split": split, "pictures": pictures, "of": len(names)})
    return [part for part in sheet if part["pictures"]]


def _thumbnails(pictures, count, decode):
    """Data URIs by row of pictures that are spread evenly; next to those that cannot be read others are taken."""
    tried = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), SPARE * count)).round().astype(int)).tolist()
    order = [*tried[::SPARE], *tried[1::SPARE]]
    found: dict[int, str] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        while order and len(found) < count:
            rows, order = order[: count - len(found)], order[count - len(found) :]
            made = pool.map(_thumbnail, [pictures[row] for row in rows], [decode] * len(rows))
            found |= {row: uri for row, uri in zip(rows, made, strict=True) if uri}
    return found


def _shares(sizes, count):
    """How many of each, equally, as far as they have so many."""
    shares = [0] * len(sizes)
    for left, place in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[place] = min(sizes[place], (count - sum(shares)) // (len(sizes) - left))
    return shares


def _thumbnail(picture, decode):
    """A data URI, `""` for what cannot be read."""
    try:
        return data_uri(decode(tf.constant(picture.read_bytes())).numpy(), LONGEST)
    except (MmkerasError, tf.errors.OpError):
        return ""


def _shown(name, records, uri):
    captions = [text for record in records for text in record.captions]
    shown = [text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…" for text in captions[:CAPTIONS]]
    labels = ", ".join(records[0].labels)
    more = len(captions) - len(shown)
    return {"picture": uri, "name": name, "where": records[0].where, "captions": shown, "more": more, "labels": labels}
