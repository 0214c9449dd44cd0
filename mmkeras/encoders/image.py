"""Image encoders. Each takes `image` and returns `tokens` (B, N, W), where it has them, and `embedding` (B, D)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from mmkeras.encoders.backbone import load_backbone, scaled
from mmkeras.encoders.conv_stages import conv_stages
from mmkeras.encoders.embedding_head import build_by_kind, embedding_head, hidden_layers
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.feature_mlp import feature_mlp
from mmkeras.encoders.hub import HubLayer, check_hub_output
from mmkeras.encoders.pretrained import pretrained_image_encoder
from mmkeras.encoders.vit import vit_image_encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.cell_tokens import CellTokens

# Scale and offset that bring 0..255 to what modules of pictures were trained on; those of TensorFlow Hub take 0..1.
SCALES = {"0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0), "0..255": (1.0, 0.0)}


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
) -> Encoder:
    """A small convolutional network for small pictures, trained from scratch.

    A convolution with batch normalisation and ReLU a stage, by default each at half the resolution of the one before (a
    first stage at full resolution would cost more than all the others together). The cells of the last feature map are
    the tokens, and all of them, in place, make the embedding: where a stroke stands tells glyphs apart, which a mean
    over the map would forget.

    Args:
        height: px; the product of the strides should divide it.
        width: px; the product of the strides should divide it.
        channels: 1 or 3.
        widths: feature maps of each stage.
        strides: stride of each stage; 2 in all of them where left out.
        hidden: units of hidden layers between the last feature map and the projection.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate on the last feature map and after each hidden layer.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, channels).

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
    return Encoder(image, outputs, name=name)


def feature_mlp_encoder(
    features: int,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    scale: float = 1.0,
    name: str = "image_encoder",
) -> Encoder:
    """An MLP over feature vectors that a frozen backbone computed beforehand.

    Args:
        features: length of the vectors, F.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out, and without `hidden` the features are the embedding.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them; where pairs are few, a high one keeps them from
            being learnt by heart.
        scale: what the vectors are multiplied by first, more than 0; a normalised MLP does not care, a system that
            takes them as they are may.
        name: the model's name.

    Returns:
        `Encoder` from `image`, float (B, F). It has no tokens.
    """
    return feature_mlp("image", features, hidden, embedding_dim, dropout, feature_dropout, scale, name)


def backbone_image_encoder(
    height: int,
    width: int,
    channels: int = 3,
    backbone: str = "MobileNetV2",
    weights: str | os.PathLike[str] | None = None,
    trainable: bool = False,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    class_token: bool = False,
    name: str = "image_encoder",
) -> Encoder:
    """A network of `keras.applications`, frozen or fine-tuned, with an MLP of its own behind it.

    The cells of the last feature map are the tokens, their mean goes through the hidden layers into the embedding. The
    scaling that the network was trained with is part of the encoder. A frozen network runs in inference mode, also
    while the rest trains: nothing is dropped and its batch statistics stay. Between stages of training,
    `encoder.pretrained.trainable` may be set; compile again after it.

    Args:
        height: px; every network has a smallest size, 32 to 75.
        width: px, of the same smallest size.
        channels: 3, as all of these networks take RGB.
        backbone: the name of a function of `keras.applications`: "MobileNetV2", "ResNet50", "ConvNeXtTiny", ...
        weights: `None` (random), "imagenet" (downloaded once, then from Keras' cache) or the path of a weights file of
            the network without its top, as its `save_weights` writes it. Keras gives the first EfficientNets one more
            scaling for "imagenet" only: put their official file into Keras' cache rather than name its path.
        trainable: whether training changes the network.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them; where pairs are few, a high one keeps them from
            being learnt by heart.
        class_token: whether the mean of the cells stands before them among the tokens, for systems that fuse the
            modalities, see `CellTokens`.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, 3). Saved with its weights, it needs no
        download when it is loaded.

    Raises:
        MmkerasError: an unknown network, a size that it does not take, weights that cannot be had or do not fit.

    Example:
        >>> encoder = backbone_image_encoder(224, 224, backbone="EfficientNetV2B0", weights="imagenet")
        >>> encoder(images)["tokens"].shape
        (8, 49, 1280)
    """
    # === Layers ===
    network, scaling = load_backbone(backbone, weights, (height, width, channels))
    network.trainable = trainable
    image = keras.Input((height, width, channels), name="image")
    feature_map = network(scaled(image, scaling))
    tokens = layers.Reshape((-1, feature_map.shape[-1]), name="tokens")(feature_map)
    tokens = CellTokens(feature_map.shape[1:3], name="cells")(tokens) if class_token else tokens

    # === Functional Model ===
    pooled = layers.GlobalAveragePooling2D(name="pooling")(feature_map)
    features = hidden_layers(pooled, hidden, dropout, feature_dropout)
    return Encoder(image, {"tokens": tokens, "embedding": embedding_head(features, embedding_dim)}, name=name)


def hub_image_encoder(
    handle: str,
    height: int,
    width: int,
    channels: int = 3,
    scale: Literal["0..1", "-1..1", "0..255"] = "0..1",
    trainable: bool = False,
    signature: str | None = None,
    output_key: str | None = None,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    name: str = "image_encoder",
) -> Encoder:
    """A module of pictures from TensorFlow Hub with an MLP behind it.

    A module that returns vectors gives no tokens. One that returns feature maps gives their cells as tokens, and their
    mean to the MLP.

    Args:
        handle: path of a folder or URL.
        height: px of the pictures that the module takes.
        width: px of the pictures that the module takes.
        channels: 1 or 3.
        scale: what the module takes: "0..1", as those of TensorFlow Hub do, "-1..1" or "0..255".
        trainable: whether training changes the module.
        signature: see `HubLayer`.
        output_key: see `HubLayer`.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them; where pairs are few, a high one keeps them from
            being learnt by heart.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, channels).

    Raises:
        MmkerasError: what `HubLayer` raises, another scale, or a module whose outputs are neither (N, W) nor
            (N, h, w, W).
    """
    if scale not in SCALES:
        raise MmkerasError(f"Expected a scale of {', '.join(SCALES)}. Received: scale={scale!r}")
    # === Layers ===
    image = keras.Input((height, width, channels), name="image")
    pixels = layers.Rescaling(*SCALES[scale], dtype="float32", name="rescaling")(image)
    output = HubLayer(handle, trainable, signature, output_key, name="hub")(pixels)
    check_hub_output(handle, output, ranks=(2, 4))
    outputs = {}
    if len(output.shape) == 4:
        outputs["tokens"] = layers.Reshape((-1, output.shape[-1]), name="tokens")(output)
        output = layers.GlobalAveragePooling2D(name="pooling")(output)

    # === Functional Model ===
    outputs["embedding"] = embedding_head(hidden_layers(output, hidden, dropout, feature_dropout), embedding_dim)
    return Encoder(image, outputs, name=name)


IMAGE_ENCODERS = {
    "backbone": backbone_image_encoder,
    "conv": conv_image_encoder,
    "features": feature_mlp_encoder,
    "hub": hub_image_encoder,
    "pretrained": pretrained_image_encoder,
    "vit": vit_image_encoder,
}


def build_image_encoder(
    kind: Literal["backbone", "conv", "features", "hub", "pretrained", "vit"], **settings: Any
) -> Encoder:
    """Build an image encoder by its name in presets, one of `IMAGE_ENCODERS`."""
    return build_by_kind(IMAGE_ENCODERS, kind, settings)
