"""`adapt_layers`: layers whose statistics are those of the training data take them before the first step."""

from __future__ import annotations

import keras
import numpy as np

from mmkeras.data.paired import PairedData
from mmkeras.encoders.encoder import Encoder
from mmkeras.models.image_text_model import ImageTextModel

ITEMS = 50_000  # that statistics are taken of: they are in memory at once
BATCH = 256


def adapt_layers(model: ImageTextModel, data: PairedData) -> None:
    """Let the layers of a model's encoders that say so, see `Encoder.adapted_layers`, take statistics of the data.

    Args:
        model: `ImageTextModel`; the layers' statistics are changed.
        data: `PairedData` of the training, as the model takes it; where it has more than 50,000 pictures or texts,
            statistics are those of as many, drawn at random.
    """
    encoders = model.given_encoders()
    _adapt(encoders["image_encoder"], data.images)
    if encoders["text_encoder"].adapted_layers():
        _adapt(encoders["text_encoder"], model.batch_encoder.checked_texts(data.encodable_texts))


def _adapt(encoder: Encoder, items) -> None:
    layers = encoder.adapted_layers()
    if not layers:
        return
    rows = np.arange(len(items))
    if len(rows) > ITEMS:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), ITEMS, replace=False))
    start = encoder.head_input if encoder.is_features(items) else encoder.input
    for layer in layers:
        before = _between(start, layer.input)
        found = []
        for first in range(0, len(rows), BATCH):
            batch = np.asarray(items[rows[first : first + BATCH]])  # pictures that are read on demand, too
            found.append(keras.ops.convert_to_numpy(before(batch, training=False)))
        layer.adapt(np.concatenate(found))


def _between(start, end):
    """What an encoder computes from one of its tensors to another, or what returns its input where they are one."""
    return (lambda inputs, training: inputs) if start is end else keras.Model(start, end)
