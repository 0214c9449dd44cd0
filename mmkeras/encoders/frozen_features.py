"""`FrozenFeatures`: the features that a frozen backbone makes of pictures, computed once and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.cached_rows import CachedRows
from mmkeras.data.picture_facts import PictureFacts
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.feature_computation import FeatureComputation
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.unreadable_pictures import UnreadablePictures

# Pictures the backbone takes at a time, always: were a batch ever shorter, its last bits would depend on which
# pictures were cached already.
BATCH = 32
FEATURES = 2  # raised whenever the computation changes, so that older caches are made again


def picture_loader(
    image_encoder: Encoder, image_preprocessor: ImagePreprocessor | None
) -> FrozenFeatures | ImagePreprocessor | None:
    """Return what turns pictures into what a model computes on: `FrozenFeatures` where its backbone is frozen.

    Args:
        image_encoder: `Encoder` of pictures.
        image_preprocessor: the model's, or `None`.

    Returns:
        `FrozenFeatures`, or `image_preprocessor` where the encoder has no frozen backbone.
    """
    if image_preprocessor is None:
        return None
    backbone = image_encoder.frozen_backbone()
    return image_preprocessor if backbone is None else FrozenFeatures(backbone, image_preprocessor)


class FrozenFeatures:
    """Turns pictures into the features of a frozen backbone, as `ImagePreprocessor` turns them into pixels.

    Pictures are decoded and go through the backbone in small batches: while one is computed the next is decoded, and
    never more pixels than those of the two are in memory. What was computed lies in the cache folder: a folder for a
    backbone (its weights, its layers, the preprocessing and the versions of TensorFlow and Keras), in which a picture's
    features stand under the digest of its bytes, see `CachedRows`. So a changed picture, backbone or preprocessing is
    computed, a picture of another split or under another name is not. What was computed is added every 30 seconds at
    least, and is kept whatever interrupts the process. A file that was seen before and has the same path, size and time
    of change is not even read, see `PictureFacts`. The features are float32.

    Args:
        backbone: `keras.Model` from `image` (B, H, W, C) to (B, F), see `Encoder.frozen_backbone`.
        image_preprocessor: `ImagePreprocessor` of its pictures.
        folder: the cache folder; by default the user's.

    Example:
        >>> features = FrozenFeatures(model.image_encoder.frozen_backbone(), model.image_preprocessor).load(paths)
        >>> model.encode_image(features)  # what encode_image makes of the pictures themselves
    """

    def __init__(
        self,
        backbone: keras.Model,
        image_preprocessor: ImagePreprocessor,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.backbone = backbone
        self.image_preprocessor = image_preprocessor
        self.folder = folder
        self.output_shape = tuple(backbone.output.shape[1:])
        pixels = tf.TensorSpec((BATCH, *image_preprocessor.output_shape), tf.uint8)
        self._compute = tf.function(self._forward, input_signature=[pixels])

    @property
    def pixels(self) -> ImagePreprocessor:
        """What decodes the pictures: the `PictureLoader` of their pixels."""
        return self.image_preprocessor

    def load(self, pictures: Iterable[Any]) -> NDArray[np.float32]:
        """Return the features of pictures.

        Args:
            pictures: list of pictures, see `ImagePreprocessor.load`.

        Returns:
            float32 NumPy array (N, *output_shape). Of what the cache holds, one shard at a time is in memory beside it.

        Raises:
            UnreadablePictures: names the path or the position of each picture that fails, and what is wrong with it,
                when the features of all others are in the cache.
        """
        cached = CachedRows("features", self._key(), self.output_shape, self.folder)
        computation = FeatureComputation(
            list(pictures),
            self.image_preprocessor,
            self._features,
            BATCH,
            cached,
            PictureFacts(self.folder),
        )
        computation.run()
        if computation.reasons:
            raise UnreadablePictures(computation.reasons)
        return computation.features

    def _features(self, pixels):
        """The features of at most `BATCH` pictures."""
        padded = np.zeros((BATCH, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        return self._compute(padded).numpy()[: len(pixels)]

    def _forward(self, pixels):
        features = self.backbone(tf.cast(pixels, self.backbone.input.dtype), training=False)
        return tf.cast(features, tf.float32)

    def _key(self):
        preprocessing = self.image_preprocessor.get_config()
        return {**backbone_key(self.backbone), "features": FEATURES, "preprocessing": preprocessing}


def backbone_key(backbone: keras.Model) -> dict[str, Any]:
    """Return what a frozen backbone's features follow from, but for the preprocessing: JSON-serialisable.

    Args:
        backbone: `keras.Model`.
    """
    weights = hashlib.sha256()
    for variable in backbone.weights:
        weights.update(str((variable.shape, variable.dtype)).encode())
        weights.update(variable.numpy().tobytes())
    return {
        "weights": weights.hexdigest(),
        "layers": _canonical(keras.saving.serialize_keras_object(backbone)),
        "versions": [tf.__version__, keras.__version__],
    }


def _canonical(config):
    """A model's config as a string in which layers are numbered: their automatic names differ from build to build."""
    names = {}

    def collect(node):
        if isinstance(node, dict):
            if isinstance(node.get("config"), dict) and isinstance(name := node["config"].get("name"), str):
                names.setdefault(name, f"layer {len(names)}")
            node = list(node.values())
        if isinstance(node, (list, tuple)):
            for child in node:
                collect(child)

    def renamed(node):
        if isinstance(node, dict):
            return {key: renamed(value) for key, value in node.items() if key not in ("shared_object_id", "handle")}
        if isinstance(node, (list, tuple)):
            return [renamed(child) for child in node]
        return names.get(node, node) if isinstance(node, str) else node

    collect(config)
    return json.dumps(renamed(config), sort_keys=True)
