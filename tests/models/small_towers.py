"""Encoders around small transformers that stand for pretrained networks, and a batch of theirs."""

import keras
import numpy as np

from mmkeras.encoders import Encoder, bert_text_encoder, vit_image_encoder
from mmkeras.encoders.backbone import Backbone
from mmkeras.encoders.embedding_head import embedding_head

SIZES = {"depth": 2, "heads": 2, "initializer_range": None, "embedding_dim": None}


def towers(dropout=0.0, batch_norm=False, trainable=True):
    """An image and a text encoder of 8 dimensions, each a `Backbone` and a projection behind it."""
    vit = vit_image_encoder(8, 8, patch=4, token_width=8, dropout=dropout, **SIZES)
    bert = bert_text_encoder(40, 6, width=8, dropout=dropout, **SIZES)
    return tuple(
        around(tower, f"{side}_encoder", batch_norm, trainable) for tower, side in ((vit, "image"), (bert, "text"))
    )


def around(tower, name, batch_norm, trainable, dim=8):
    network = Backbone(tower.inputs, tower.output["embedding"], name="backbone")
    network.trainable = trainable
    inputs = keras.Input(tower.input.shape[1:], dtype=tower.input.dtype, name=tower.input.name)
    return Encoder(inputs, {"embedding": embedding_head(network(inputs), dim, batch_norm)}, name=name)


def tower_batch(rows=12, seed=0):
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, rows // 2, rows).astype("int64")
    return {
        "image": generator.integers(0, 256, (rows, 8, 8, 3), "uint8"),
        "token_ids": generator.integers(4, 40, (rows, 6)).astype("int32"),
        "image_id": ids,
        "text_id": ids,
    }
