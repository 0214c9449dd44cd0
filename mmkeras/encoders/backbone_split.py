"""An image encoder on a frozen backbone as two models: from pixels to features, and from features to the embedding."""

from __future__ import annotations

import keras

from mmkeras.encoders.embedding_head import INPUT_NORM
from mmkeras.errors import MmkerasError


def frozen_backbone(image_encoder: keras.Model) -> keras.Model | None:
    """Return what turns pixels into features and never changes in training.

    Args:
        image_encoder: functional model from `image` (B, H, W, C).

    Returns:
        `keras.Model` from `image` to features (B, F), on the encoder's own layers; `None` where the encoder has no
        backbone before an MLP, or where something before the MLP trains.
    """
    features = _features(image_encoder)
    if features is None:
        return None
    backbone = keras.Model(image_encoder.input, features, name="frozen_backbone")
    return backbone if backbone.weights and not backbone.trainable_variables else None


def feature_head(image_encoder: keras.Model) -> keras.Model:
    """Return what turns the features of a frozen backbone into the embedding, on the encoder's own layers.

    Args:
        image_encoder: functional model for which `frozen_backbone` returns a model.

    Returns:
        `keras.Model` from `features` (B, F) to what the encoder returns, but for the tokens: `embedding` (B, D), ...

    Raises:
        MmkerasError: an encoder without a frozen backbone.
    """
    if frozen_backbone(image_encoder) is None:
        raise MmkerasError(
            f"Expected pixels of shape (N, {', '.join(map(str, image_encoder.input.shape[1:]))}): this image encoder "
            "has no frozen backbone whose features it could take in their place"
        )
    return keras.Model(_features(image_encoder), vectors_of(image_encoder.output), name="feature_head")


def taking(encoder, inputs):
    """Return what takes these inputs: the encoder, or of features of its frozen backbone the rest of it."""
    return feature_head(encoder) if len(inputs.shape) == 2 < len(encoder.input.shape) else encoder


def vectors_of(encoded):
    """Return what an encoder makes of an item as a whole: its outputs without the tokens, a dict of (B, D)."""
    return {name: value for name, value in encoded.items() if name != "tokens"}


def _features(image_encoder):
    """The vectors that the MLP behind a backbone takes; `None` where the encoder has none of the two."""
    if len(image_encoder.input.shape) != 4 or INPUT_NORM not in {layer.name for layer in image_encoder.layers}:
        return None
    return image_encoder.get_layer(INPUT_NORM).input
