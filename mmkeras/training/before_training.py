"""What a model can do before the first step of its training."""

from __future__ import annotations

from collections.abc import Mapping

from mmkeras.data.paired import PairedData
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.training.callbacks import RetrievalValidation

DIRECTIONS = ("image_to_text", "text_to_image")
SHOWN = {"recall@1": "R@1", "recall@10": "R@10", "map": "mAP"}
KEPT = (*SHOWN, "recall@5")


def measure_before_training(model: ImageTextModel, data: PairedData) -> dict[str, float]:
    """Return how well a model retrieves held-out data before it is trained.

    A model that begins with published weights may be better before a training than after it: what tuning is worth is
    the difference. Of a model that begins at random it is what chance gives.

    Args:
        model: `ImageTextModel`.
        data: `PairedData`.

    Returns:
        dict of fractions in [0, 1]: `image_to_text_recall@1`, `@5`, `@10` and `text_to_image_recall@1`, ... of paired
        data; `image_to_text_map` and `text_to_image_map` of data with categories.
    """
    validation = RetrievalValidation(data)
    validation.set_model(model)
    measured = validation.measure()
    keys = [f"{direction}_{name}" for name in KEPT for direction in DIRECTIONS]
    return {key: float(measured[key]) for key in keys if key in measured}


def before_training_line(measured: Mapping[str, float]) -> str:
    """Return in a line what `measure_before_training` measured, in percent, image to text before text to image.

    Example:
        >>> before_training_line({"image_to_text_recall@1": 0.31, "text_to_image_recall@1": 0.252})
        'Before training: R@1 31.0 / 25.2'
    """
    figures = []
    for name, shown in SHOWN.items():
        both = [measured.get(f"{direction}_{name}") for direction in DIRECTIONS]
        if None not in both:
            figures.append(f"{shown} {' / '.join(f'{100 * value:.1f}' for value in both)}")
    return f"Before training: {', '.join(figures)}"
