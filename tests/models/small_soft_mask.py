"""A tiny `SoftMask` of 4 patches and 4 ids, and a batch of it."""

import keras
import numpy as np

from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.models import SoftMask

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), "uint8")
TOKEN_IDS = np.array(
    [[5, 6, 7, 0], [8, 9, 0, 0], [10, 11, 12, 13], [5, 14, 0, 0], [15, 0, 0, 0], [16, 17, 18, 0]], "int32"
)
BATCH = {"image": IMAGES, "token_ids": TOKEN_IDS, "image_id": np.array([1, 2, 3, 1, 4, 5], "int64")}
LOSSES = {"contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss"}
CONTRAST_ALONE = {"matching": 0.0, "soft_matching": 0.0, "language": 0.0}


def encoders(dropout=0.0, batch_norm=False):
    small = {"heads": 2, "embedding_dim": 6, "initializer_range": None, "dropout": dropout, "batch_norm": batch_norm}
    image = build_image_encoder("vit", height=8, width=8, patch=4, depth=1, token_width=8, **small)
    text = build_text_encoder("bert", vocabulary_size=20, sequence_length=4, width=8, depth=1, **small)
    return image, text


def build(dropout=0.0, batch_norm=False, compiled=True, fusion=None, teacher=None, **arguments):
    """Of 4 patches and 4 ids, run eagerly: tracing a step takes longer than a few of them."""
    keras.utils.set_random_seed(0)
    small = {"depth": 2, "heads": 2, "dropout": dropout, "attention_block": 0, "initializer_range": None}
    model = SoftMask(
        *encoders(dropout, batch_norm),
        fusion=small | (fusion or {}),
        teacher={"queue_size": 12, "alpha_ramp_steps": 4} | (teacher or {}),
        **({"seed": 1} | arguments),
    )
    if compiled:
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def train(model, batch=BATCH, steps=1):
    return [model.train_on_batch(batch, return_dict=True) for _ in range(steps)][-1]


def measure(model, batch=BATCH):
    return model.test_on_batch(batch, return_dict=True)


def values(variables):
    return [variable.numpy() for variable in variables]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
