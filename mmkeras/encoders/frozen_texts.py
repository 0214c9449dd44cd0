"""`FrozenTexts`: the features that a frozen backbone makes of texts, computed once and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.cached_rows import CachedRows
from mmkeras.encoders.frozen_features import backbone_key
from mmkeras.progress import Progress

BATCH = 64  # texts the backbone takes at a time
SAVE_EVERY = 4096  # texts, what an interruption may cost of the work


class FrozenTexts:
    """Turns texts into the features of a frozen backbone.

    What was computed lies in the cache folder: a folder for a backbone (its weights, its layers, the preprocessing and
    the versions of TensorFlow and Keras), in which a text's features stand under the digest of what the backbone reads
    of it, see `CachedRows`. So a text is computed once, whatever data set it stands in, and what was computed before an
    interruption is kept. Texts that the preprocessing makes equal are computed once. The features are float32.

    Args:
        backbone: `keras.Model` from token ids (B, L) or strings (B,) to (B, F), see `Encoder.frozen_backbone`.
        text_preprocessor: what makes the backbone's input of strings.
        folder: the cache folder; by default the user's.

    Example:
        >>> frozen = FrozenTexts(model.text_encoder.frozen_backbone(), model.text_preprocessor)
        >>> model.encode_text(frozen.load(texts))  # what encode_text makes of the texts themselves
    """

    def __init__(
        self,
        backbone: keras.Model,
        text_preprocessor: Callable[[Any], Any],
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self.backbone = backbone
        self.text_preprocessor = text_preprocessor
        self.folder = folder
        self.output_shape = tuple(backbone.output.shape[1:])
        self._compute = tf.function(self._forward, input_signature=[tf.TensorSpec([None], tf.string)])

    def load(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the features of texts.

        Args:
            texts: list of N str.

        Returns:
            float32 NumPy array (N, *output_shape).
        """
        cached = CachedRows("text_features", self._key(), self.output_shape, self.folder)
        strings = np.array([text.encode() for text in texts], object)
        digests = np.array([hashlib.sha256(text).hexdigest().encode() for text in strings], "S64")
        features = np.empty((len(texts), *self.output_shape), np.float32)
        found, _ = cached.fill(digests, features)
        _, first, which = np.unique(digests, return_index=True, return_inverse=True)
        rows = first[~found[first]]
        # Of texts of about one length none is computed with much padding, and the longest come first: what they need
        # of memory is known at once.
        rows = rows[np.argsort([-len(strings[row]) for row in rows], kind="stable")]
        with Progress("Computing features of texts", len(rows), "text") as bar:
            for start in range(0, len(rows), SAVE_EVERY):
                chunk = rows[start : start + SAVE_EVERY]
                for place in range(0, len(chunk), BATCH):
                    batch = chunk[place : place + BATCH]
                    features[batch] = self._compute(strings[batch]).numpy()
                    bar.advance(len(batch))
                cached.add(digests[chunk], features[chunk])
        return features[first[which]] if len(rows) else features

    def _forward(self, texts):
        inputs = self.text_preprocessor(texts)
        return tf.cast(self.backbone(inputs, training=False), tf.float32)

    def _key(self):
        preprocessing = self.text_preprocessor.get_config()
        return {
            **backbone_key(self.backbone),
            "texts": 1,  # raised whenever the computation changes
            "preprocessing": hashlib.sha256(json.dumps(preprocessing, sort_keys=True).encode()).hexdigest(),
        }
