"""`adapt_layers`: layers whose statistics are those of the training data take them before the first step."""

from __future__ import annotations

import keras
import numpy as np

from mmkeras.data.paired import PairedData
from mmkeras.encoders.encoder import Encoder
from mmkeras.models.image_text_model import ImageTextModel

ITEMS = 50_000  # that statistics are taken of: more change no third digit
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
    backbone = encoder.frozen_backbone() if encoder.is_features(items) else None
    begin = encoder.input if backbone is None else backbone.output
    for layer in layers:
        # A model whose output is its input would be none.
        before = None if layer.input is begin else keras.Model(begin, layer.input)
        found = []
        for start in range(0, len(rows), BATCH):
            batch = np.asarray(items[rows[start : start + BATCH]])
            found.append(batch if before is None else keras.ops.convert_to_numpy(before(batch, training=False)))
        layer.adapt(np.concatenate(found))
