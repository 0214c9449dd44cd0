"""`FrozenFeatures`: the features that a frozen backbone makes of pictures, computed once and cached."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.cache import cache_file, read_cache, write_cache
from mmkeras.encoders.encoder import Encoder
from mmkeras.preprocessing.image import ImagePreprocessor, read_picture

# Pictures the backbone takes at a time, always: were a batch ever shorter, its last bits would depend on which
# pictures were cached already.
BATCH = 32
FEATURES = 2  # raised whenever the computation changes, so that older caches are made again


def picture_loader(
    image_encoder: Encoder, image_preprocessor: ImagePreprocessor | None, verbose: int | Literal["auto"] = "auto"
) -> FrozenFeatures | ImagePreprocessor | None:
    """Return what turns pictures into what a model computes on: `FrozenFeatures` where its backbone is frozen.

    Args:
        image_encoder: `Encoder` of pictures.
        image_preprocessor: the model's, or `None`.
        verbose: see `FrozenFeatures`.

    Returns:
        `FrozenFeatures`, or `image_preprocessor` where the encoder has no frozen backbone.
    """
    if image_preprocessor is None:
        return None
    backbone = image_encoder.frozen_backbone()
    return image_preprocessor if backbone is None else FrozenFeatures(backbone, image_preprocessor, verbose)


class FrozenFeatures:
    """Turns pictures into the features of a frozen backbone, as `ImagePreprocessor` turns them into pixels.

    Pictures are decoded and go through the backbone in small batches, so that never more pixels than those of one are
    in memory. What was computed lies in the cache folder: one file for a backbone (its weights, its layers, the
    preprocessing and the versions of TensorFlow and Keras), in which a picture's features stand under the digest of its
    bytes. So a changed picture, backbone or preprocessing is computed, a picture of another split or under another name
    is not, and what was done before an interruption is kept. The features are float32.

    Args:
        backbone: `keras.Model` from `image` (B, H, W, C) to (B, F), see `Encoder.frozen_backbone`.
        image_preprocessor: `ImagePreprocessor` of its pictures.
        verbose: 0 is silent; `"auto"` shows a progress bar on a terminal, and a line at the end elsewhere, where there
            is something to compute.
        folder: the cache folder; by default the user's.

    Example:
        >>> features = FrozenFeatures(model.image_encoder.frozen_backbone(), model.image_preprocessor).load(paths)
        >>> model.encode_image(features)  # what encode_image makes of the pictures themselves
    """

    def __init__(
        self,
        backbone: keras.Model,
        image_preprocessor: ImagePreprocessor,
        verbose: int | Literal["auto"] = "auto",
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.backbone = backbone
        self.image_preprocessor = image_preprocessor
        self.verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
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
            float32 NumPy array (N, F).

        Raises:
            MmkerasError: names the path or the picture's position, and what is wrong with it.
        """
        pictures = list(pictures)
        file = cache_file("features", self._key(), self.folder)
        known = _unpacked(read_cache(file))
        before = len(known)
        bar = None
        digests = []
        try:
            for start in range(0, len(pictures), BATCH):
                chunk = [_Read(picture, row) for row, picture in enumerate(pictures[start : start + BATCH], start)]
                digests += [one.digest for one in chunk]
                new = {one.digest: one for one in chunk if one.digest not in known}
                if new:
                    bar = bar or self._progress(len(pictures))
                    known.update(zip(new, self._features(list(new.values())), strict=True))
                if bar:
                    bar.update(min(start + BATCH, len(pictures)))
        finally:
            if len(known) > before:
                # Of two processes that add to one file the later one's stays; the other's pictures are computed again.
                write_cache(file, {"digest": np.array(list(known)), "features": np.array(list(known.values()))})
        return np.array([known[digest] for digest in digests], np.float32).reshape(-1, *self.output_shape)

    def _features(self, pictures):
        pixels = self.image_preprocessor.load(
            [picture if isinstance(picture.content, bytes) else picture.content for picture in pictures]
        )
        padded = np.concatenate([pixels, np.zeros((BATCH - len(pixels), *pixels.shape[1:]), np.uint8)])
        return self._compute(padded).numpy()[: len(pixels)]

    def _forward(self, pixels):
        features = self.backbone(tf.cast(pixels, self.backbone.input.dtype), training=False)
        return tf.cast(features, tf.float32)

    def _progress(self, pictures):
        if self.verbose:
            print("Features of the frozen backbone, cached for the next time:")
        return keras.utils.Progbar(pictures, verbose=self.verbose, unit_name="picture")

    def _key(self):
        weights = hashlib.sha256()
        for variable in self.backbone.weights:
            weights.update(str((variable.shape, variable.dtype)).encode())
            weights.update(variable.numpy().tobytes())
        return {
            "features": FEATURES,
            "weights": weights.hexdigest(),
            "layers": _canonical(keras.saving.serialize_keras_object(self.backbone)),
            "preprocessing": self.image_preprocessor.get_config(),
            "versions": [tf.__version__, keras.__version__],
        }


class _Read:
    """A picture whose bytes were read once: what was digested is what is decoded."""

    def __init__(self, picture, position):
        _, self.content = read_picture(picture, position)
        self.name = f"{position} of the list" if isinstance(picture, bytes) else str(picture)
        content = self.content
        if not isinstance(content, bytes):
            array = np.asarray(content)
            content = f"{array.dtype} {array.shape} ".encode() + array.tobytes()
        self.digest = hashlib.sha256(content).hexdigest()

    def __str__(self):
        return self.name

    def read_bytes(self):
        return self.content


def _unpacked(arrays):
    """A dict from a picture's digest to its features, of what the cache holds."""
    return {} if arrays is None else dict(zip(arrays["digest"].tolist(), arrays["features"], strict=True))


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
