"""What a batch of the user's own has to hold."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.replicas import replica_count
from mmkeras.tensors import Arrays

BATCH = (
    "a batch as a dict: `image` (B, H, W, 3), values from 0 to 255, and `text` (B,) or `token_ids` (B, L); `image_id` "
    "(B,) where rows show one image. With tf.data: dataset.map(lambda image, text: {'image': image, 'text': text})"
)
WHOLE_RANGE = "Expected images with values from 0 to 255. Received floats of at most 1; multiply by 255"


def batch_of(data: Any) -> Arrays:
    """Return the batch of what Keras hands to a `train_step`.

    Args:
        data: a batch, or a tuple of it and of what stands beside it.

    Raises:
        MmkerasError: no dict; targets or weights beside the batch, which no loss of ours would look at; of several
            devices rows that are not as many on each.
    """
    batch, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
    if not isinstance(batch, dict):
        raise MmkerasError(f"Expected {BATCH}. Received: {_described(batch)}")
    if targets is not None:
        raise MmkerasError(
            f"Expected {BATCH}, alone: who belongs together stands in it. Received: targets y beside it, or tuples "
            "(image, text), whose second Keras takes for these"
        )
    if weights is not None:
        raise MmkerasError(
            "Expected no sample_weight or class_weight: each pair is compared with all others of its batch, so that no "
            "loss belongs to it alone. Show pairs more often instead"
        )
    if replica_count() > 1:
        _check_shares(batch)
    return batch


def _check_shares(batch):
    for name, rows in batch.items():
        if rows.shape[0] is None:  # so TensorFlow deals out what it cannot divide beforehand
            raise MmkerasError(
                f"Expected batches of as many rows on each of {replica_count()} devices, of a size that is known "
                f"beforehand and a multiple of {replica_count()}. Received: {name} of another. With tf.data: "
                "dataset.batch(size, drop_remainder=True)"
            )


def check_batch(batch: Any, image_encoder: Encoder) -> None:
    """Check what a model is called with, as far as shapes and types tell.

    Args:
        batch: what should be a dict.
        image_encoder: `Encoder`.

    Raises:
        MmkerasError: no dict, one without images or texts, images of another size. (In a graph images of floats in 0 to
            1 are told when it runs, as an `InvalidArgumentError`.)
    """
    if not isinstance(batch, dict):
        raise MmkerasError(f"Expected {BATCH}. Received: {_described(batch)}")
    if "image" not in batch or not {"text", "token_ids"} & set(batch):
        raise MmkerasError(f"Expected {BATCH}. Received: a dict of {', '.join(map(str, batch)) or 'nothing'}")
    image = batch["image"]
    if image_encoder.takes != "pixels" or len(image.shape) != 4:
        return
    size = tuple(image_encoder.input.shape[1:])
    known = zip(tuple(image.shape[1:]), size, strict=True)
    if any(one is not None and other is not None and one != other for one, other in known):
        raise MmkerasError(
            f"Expected images of {' x '.join(map(str, size))}, as the image encoder takes them. Received: a batch of "
            f"shape {tuple(image.shape)}; ImagePreprocessor.load or tf.image.resize makes them of that size"
        )
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(image.dtype)):
        _check_range(image)


def _check_range(image):
    if isinstance(image, keras.KerasTensor):
        return
    highest = tf.reduce_max(tf.convert_to_tensor(image))
    right = tf.logical_or(highest > 1, highest <= 0)
    if tf.executing_eagerly():
        if not bool(right):
            raise MmkerasError(WHOLE_RANGE)
    else:
        tf.debugging.Assert(right, [WHOLE_RANGE])


def _described(batch):
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {len(batch)}"
    if isinstance(batch, np.ndarray) or tf.is_tensor(batch):
        return f"an array of shape {tuple(batch.shape)}; of (image, text) Keras takes the second for what is to be told"
    return type(batch).__name__
