"""What the scores of an exported model say, measured on the pairs of its held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmkeras.metrics.score_statistics import score_scale

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.models.image_text_model import ImageTextModel

MOST_TEXTS = 2000  # more tell no more, and each takes the text encoder's time


def dev_scores(
    model: ImageTextModel, dev: PairedData, indexed: PairedData, embeddings: NDArray[np.float32]
) -> dict[str, float]:
    """Return `score_scale` of searches of the index by held-out texts.

    Args:
        model: `ImageTextModel`.
        dev: `PairedData` of the held-out split; its pictures are not looked at. Of its first 2,000 texts those are
            asked that have a picture in the index.
        indexed: `PairedData` of the index.
        embeddings: float32 (N, D), of the pictures of the index, one an item, see `write_item_index`.

    Returns:
        dict, empty where no text of `dev` has a picture in the index.
    """
    items = np.unique(indexed.one_image_an_item().image_item)
    dev = dev.first_texts(MOST_TEXTS)
    texts = np.unique(dev.pairs[np.isin(dev.image_item[dev.pairs[:, 0]], items), 1])
    if not len(texts):
        return {}
    asked = dev.texts[texts] if dev.text_features else [dev.texts[row] for row in texts.tolist()]
    return score_scale(embeddings, np.asarray(model.encode_text(asked)))
