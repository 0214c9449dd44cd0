"""What the scores of an exported model say, measured on the pairs of its held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmkeras.metrics.score_statistics import score_scale

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.models.image_text_model import ImageTextModel

MOST_TEXTS = 5000  # more tell no more, and each takes the text encoder's time


def dev_scores(
    model: ImageTextModel, dev: PairedData, indexed: PairedData, embeddings: NDArray[np.float32]
) -> dict[str, float]:
    """Return `score_scale` of held-out pairs, whose pictures the index has embedded already.

    Args:
        model: `ImageTextModel`.
        dev: `PairedData` of the held-out split; its pictures are not looked at. Its first 5,000 texts are measured.
        indexed: `PairedData` of the index.
        embeddings: float32 (N, D), of the pictures of the index, one an item, see `write_item_index`.

    Returns:
        dict, empty where no pair of `dev` has its picture in the index.
    """
    row_of = {item: row for row, item in enumerate(indexed.one_image_an_item().image_item.tolist())}
    dev = dev.first_texts(MOST_TEXTS)
    of_picture = np.array([row_of.get(item, -1) for item in dev.image_item.tolist()], np.int64)
    pairs = dev.pairs[of_picture[dev.pairs[:, 0]] >= 0]
    if not len(pairs):
        return {}
    pictures, picture = np.unique(of_picture[pairs[:, 0]], return_inverse=True)
    texts, text = np.unique(pairs[:, 1], return_inverse=True)
    encoded = dev.texts[texts] if dev.text_features else [dev.texts[row] for row in texts.tolist()]
    return score_scale(embeddings[pictures], model.encode_text(encoded), np.column_stack([picture, text]))
