"""The identity of an embedding space."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel


def space_id(model: ImageTextModel) -> str:
    """Return a digest of everything that decides what an embedding means: weights and preprocessing.

    Embeddings may be compared when their space ids are equal, and only then. Heads that read embeddings, such as that
    of the categories, do not count: they say something about a point, and move none.

    Args:
        model: `ImageTextModel`.

    Returns:
        64 hexadecimal characters.
    """
    digest = hashlib.sha256()
    for encoder in (model.image_encoder, model.text_encoder):
        for variable in encoder.weights:  # and not the states of random seeds, which decide nothing here
            digest.update(str((variable.shape, variable.dtype)).encode())
            digest.update(variable.numpy().tobytes())
    digest.update(json.dumps(preprocessing_settings(model), sort_keys=True).encode())
    return digest.hexdigest()


def preprocessing_settings(model: ImageTextModel) -> dict[str, Any]:
    """Return the configs of both preprocessors, as they decide the embeddings."""
    return {
        part: keras.saving.serialize_keras_object(getattr(model, part))
        for part in ("image_preprocessor", "text_preprocessor")
    }
