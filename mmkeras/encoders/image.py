"""Image encoders. Each takes `image` and returns `tokens` (B, N, W), where it has them, and `embedding` (B, D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from mmkeras.encoders.backbone import backbone_image_encoder
from mmkeras.encoders.conv_stages import conv_stages
from mmkeras.encoders.embedding_head import build_by_kind, embedding_head, feature_mlp, hidden_layers
from mmkeras.encoders.hub import hub_image_encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.errors import MmkerasError


def conv_image_encoder(
    height: int,
    width: int,
    channels: int = 3,
    widths: Sequence[int] = (48, 96, 192),
    strides: Sequence[int] | None = None,
    hidden: Sequence[int] = (),
    embedding_dim: int | None = 256,
    dropout: float = 0.0,
    name: str = "image_encoder",
) -> keras.Model:
    """A small convolutional network for small pictures, trained from scratch.

    A convolution with batch normalisation and ReLU a stage, by default each at half the resolution of the one before (a
    first stage at full resolution would cost more than all the others together). The cells of the last feature map are
    the tokens, and all of them, in place, make the embedding: where a stroke stands tells glyphs apart, which a mean
    over the map would forget.

    Args:
        height: px; the product of the strides should divide it.
        width: px, likewise.
        channels: 1 or 3.
        widths: feature maps of each stage.
        strides: stride of each stage; 2 in all of them where left out.
        hidden: units of hidden layers between the last feature map and the projection.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate on the last feature map and after each hidden layer.
        name: the model's name.

    Returns:
        `keras.Model` from `image`, uint8 or float 0..255 (B, height, width, channels).

    Raises:
        MmkerasError: not one stride a stage.
    """
    strides = (2,) * len(widths) if strides is None else strides
    if len(strides) != len(widths):
        raise MmkerasError(f"Expected {len(widths)} strides, one for each of the widths. Received: strides={strides}")
    # === Layers ===
    image = keras.Input((height, width, channels), name="image")
    # Paper is 0 and ink negative, so that zero padding continues the paper.
    x = layers.Rescaling(1 / 255, offset=-1.0, name="rescaling")(image)
    x = conv_stages(x, widths, strides)
    tokens = layers.Reshape((-1, widths[-1]), name="tokens")(x)

    # === Functional Model ===
    features = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    features = hidden_layers(features, hidden, dropout) if hidden else features
    outputs = {"tokens": tokens, "embedding": embedding_head(features, embedding_dim)}
    return keras.Model(image, outputs, name=name)


def feature_mlp_encoder(
    features: int,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    scale: float = 1.0,
    name: str = "image_encoder",
) -> keras.Model:
    """An MLP over feature vectors that a frozen backbone computed beforehand.

    Args:
        features: length of the vectors, F.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out, and without `hidden` the features are the embedding.
        dropout: rate after each hidden layer.
        scale: what the vectors are multiplied by first, more than 0; a normalised MLP does not care, a system that
            takes them as they are may.
        name: the model's name.

    Returns:
        `keras.Model` from `image`, float (B, F). It has no tokens.
    """
    return feature_mlp("image", features, hidden, embedding_dim, dropout, scale, name)


IMAGE_ENCODERS = {
    "backbone": backbone_image_encoder,
    "conv": conv_image_encoder,
    "features": feature_mlp_encoder,
    "hub": hub_image_encoder,
    "vit": vit_image_encoder,
}


def build_image_encoder(kind: Literal["backbone", "conv", "features", "hub", "vit"], **settings: Any) -> keras.Model:
    """Build an image encoder by its name in presets: `backbone`, `conv`, `features`, `hub` or `vit`."""
    return build_by_kind(IMAGE_ENCODERS, kind, settings)
