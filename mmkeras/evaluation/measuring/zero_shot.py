"""`zero_shot_metrics`: pictures classified by the names of their categories, put into sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.metrics.measures import ZERO_SHOT
from mmkeras.tensors import Vectors

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel

PLACE = "{}"  # in a template, where the name of the category goes
KS = (1, 5)


def class_embeddings(model: ImageTextModel, names: Sequence[str], templates: Sequence[str]) -> Vectors:
    """Return what a text encoder makes of categories: the mean over sentences about each.

    Args:
        model: `ImageTextModel`.
        names: list of C names; an underscore stands for a space.
        templates: list of sentences, `{}` in each is the name.

    Returns:
        float32 (C, D), unit norm.

    Raises:
        MmkerasError: no template, or one without `{}`.

    Reference:
        Radford et al. 2021 (arXiv 2103.00020), section 3.1.4, prompt ensembling.
    """
    if not templates or any(PLACE not in template for template in templates):
        raise MmkerasError(
            f'Expected templates with {PLACE} for the name of a category, such as "a photo of a {PLACE}.". '
            f"Received: {', '.join(map(repr, templates)) or 'none'}"
        )
    words = [name.replace("_", " ").strip() for name in names]
    texts = [template.replace(PLACE, word) for word in words for template in templates]
    embeddings = model.encode_text(texts).reshape(len(words), len(templates), -1).mean(axis=1)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def zero_shot_metrics(
    model: ImageTextModel, data: PairedData, image_embeddings: NDArray[np.float32], templates: Sequence[str]
) -> dict[str, float]:
    """Measure how well pictures are classified by the names of their categories.

    Args:
        model: `ImageTextModel`.
        data: `PairedData` with one category a picture.
        image_embeddings: float32 (P, D), of its pictures.
        templates: see `class_embeddings`.

    Returns:
        dict: `zero_shot_top@1` and `zero_shot_top@5`, the share of pictures whose category is among so many nearest;
        `zero_shot_mean_top@1`, the mean over categories; `zero_shot_classes`, how many categories there are. A picture
        whose category is level with a wrong one counts as wrong.

    Raises:
        MmkerasError: data without categories, or with several a picture; templates that are none.
    """
    label = data.label
    if label is None or np.ndim(label) != 1:
        raise MmkerasError(
            f"{data.name}: expected one category a picture to classify by, --targets category: folders named after "
            "categories, or a column label. Received: " + ("none" if label is None else "any number of tags")
        )
    classes = class_embeddings(model, data.label_names, templates)
    scores = image_embeddings @ classes.T  # (P, C)
    own = np.take_along_axis(scores, label[:, None].astype(np.int64), axis=1)
    before = (scores >= own).sum(axis=1) - 1  # wrong categories that are as near or nearer
    present = np.unique(label)
    return {
        **{f"{ZERO_SHOT}top@{k}": float((before < k).mean()) for k in KS},
        f"{ZERO_SHOT}mean_top@1": float(np.mean([(before[label == each] < 1).mean() for each in present])),
        f"{ZERO_SHOT}classes": len(data.label_names),
    }
