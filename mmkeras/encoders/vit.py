"""The vision transformer as an image encoder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import layers

from mmkeras.encoders.conv_stages import conv_stages
from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.position_embedding import resize_position_embedding
from mmkeras.encoders.pretrained_weights import load_deit
from mmkeras.errors import MmkerasError
from mmkeras.layers.activations import ActivationName
from mmkeras.layers.attention_pooling import AttentionPooling
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.patch_embedding import PatchEmbedding
from mmkeras.layers.transformer_block import TransformerBlock

# Of CLIP's training pictures, in 0..1; ALBEF normalises by them.
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def vit_image_encoder(
    height: int,
    width: int,
    channels: int = 3,
    patch: int = 16,
    depth: int = 12,
    token_width: int = 768,
    heads: int = 12,
    mlp_ratio: float = 4,
    embedding_dim: int | None = 256,
    dropout: float = 0.0,
    batch_norm: bool = False,
    mean: float | Sequence[float] = MEAN,
    deviation: float | Sequence[float] = DEVIATION,
    stem: Sequence[int] = (),
    initializer_range: float | None = 0.02,
    weights: str | os.PathLike[str] | None = None,
    pooling: Literal["class", "mean", "attention"] = "class",
    activation: ActivationName = "gelu",
    epsilon: float = 1e-6,
    pre_norm: bool = False,
    patch_bias: bool = True,
    class_token: bool = True,
    registers: int = 0,
    layer_scale: float | None = None,
    cropped: bool = False,
    name: str = "image_encoder",
) -> Encoder:
    """A vision transformer, pre-norm, whose class token becomes the embedding.

    The defaults are ViT-B/16, which `load_deit` fills; the scaling of pixels is part of the encoder. Its first token is
    the class token, then come registers, if any, and the patches, row by row. What CLIP, SigLIP and DINOv2 have
    otherwise are arguments; `mmkeras.encoders.checkpoints` builds and fills those.

    Args:
        height: px, a multiple of `patch` unless `cropped`.
        width: px, a multiple of `patch` unless `cropped`.
        channels: 1 or 3; `mean` and `deviation` hold one value, or one for each.
        patch: px, height and width of a patch.
        depth: transformer blocks.
        token_width: W, a multiple of `heads`.
        heads: attention heads.
        mlp_ratio: hidden units of the feed-forward part over W, which are rounded.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate in every block; ViT-B/16 in ALBEF has none.
        batch_norm: whether the projection ends in batch normalisation as the other encoders' does; ALBEF's does not.
        mean: what is subtracted from pixels in 0..1.
        deviation: what pixels are divided by after that.
        stem: feature maps of convolutions before the patches, each at half the resolution of the one before, in place
            of what a patch of as many px projects alone: for training from scratch on few pictures. The ViT has none.
        initializer_range: standard deviation of the kernels' start; `None` is Glorot, for narrow nets.
        weights: path of a file that `load_deit` fills the encoder from; `None` leaves it random. A saved encoder does
            not need it again.
        pooling: what becomes the embedding: the `"class"` token, the `"mean"` of the patches, or what `"attention"`
            finds in all tokens, see `AttentionPooling`.
        activation: of the feed-forward parts, see `activation_named`.
        epsilon: what the normalisations add to a variance.
        pre_norm: whether the tokens are normalised before the first block too, as in CLIP.
        patch_bias: whether the projection of patches has a bias.
        class_token: whether there is one.
        registers: tokens of no patch behind the class token, see `PatchEmbedding`.
        layer_scale: where the factors of the branches begin, see `TransformerBlock`; `None` leaves them out.
        cropped: whether pictures may be larger than the patches that they hold, see `PatchEmbedding`.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, channels); `tokens` are (B, 1 + R + N, W),
        normalised.

    Raises:
        ValueError: pictures that the patches do not fill, a width that the heads do not divide.
        MmkerasError: not one mean and deviation a channel, a patch that the stem does not divide, a pooling that there
            is not or that lacks its class token, or weights that do not fit.

    Example:
        >>> encoder = vit_image_encoder(256, 256)
        >>> encoder(images)["tokens"].shape
        (8, 257, 768)

    Reference:
        Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1; the sizes of Touvron et al. 2021 (arXiv 2012.12877),
        table 1; the stem is Xiao et al. 2021 (arXiv 2106.14881), section 3.
    """
    halved = 2 ** len(stem)
    if patch % halved:
        raise MmkerasError(
            f"Expected a patch that {halved} divides, as a stem of {len(stem)} convolutions halves the picture so "
            f"often. Received: patch={patch}, stem={list(stem)}"
        )
    if pooling not in ("class", "mean", "attention") or (pooling == "class" and not class_token):
        raise MmkerasError(
            "Expected a pooling of 'class' (with a class token), 'mean' or 'attention'. "
            f"Received: pooling={pooling!r}, class_token={class_token}"
        )
    # === Layers ===
    feed_forward = round(mlp_ratio * token_width)
    image = keras.Input((height, width, channels), name="image")
    x = _normalisation(channels, mean, deviation)(image)
    x = conv_stages(x, stem, [2] * len(stem))
    x = PatchEmbedding(
        patch // halved,
        token_width,
        initializer_range,
        use_bias=patch_bias,
        use_class_token=class_token,
        registers=registers,
        cropped=cropped,
        name="patch_embedding",
    )(x)
    if pre_norm:
        x = FusedLayerNormalization(epsilon=epsilon, name="pre_norm")(x)
    for index in range(depth):
        block = TransformerBlock(
            heads,
            feed_forward,
            dropout,
            epsilon=epsilon,
            initializer_range=initializer_range,
            activation=activation,
            layer_scale=layer_scale,
            name=f"block_{index}",
        )
        x = block(x)
    tokens = FusedLayerNormalization(epsilon=epsilon, name="final_norm")(x)
    if pooling == "class":
        pooled = tokens[:, 0]
    elif pooling == "mean":
        pooled = layers.GlobalAveragePooling1D(name="pooling")(tokens[:, int(class_token) + registers :])
    else:
        pooled = AttentionPooling(heads, feed_forward, activation, epsilon, initializer_range, name="pooling")(tokens)

    # === Functional Model ===
    outputs = {"tokens": tokens, "embedding": embedding_head(pooled, embedding_dim, batch_norm)}
    model = Encoder(image, outputs, name=name)
    if weights is not None:
        load_deit(model, weights)
    return model


def copy_vit_weights(source: keras.Model, target: keras.Model) -> None:
    """Give an encoder the weights of another one that takes pictures of another size.

    Args:
        source: what `vit_image_encoder` returned.
        target: what `vit_image_encoder` returned for the same settings but for `height` and `width`.

    Raises:
        MmkerasError: encoders that differ in more.

    Example:
        >>> larger = vit_image_encoder(384, 384)
        >>> copy_vit_weights(encoder, larger)  # trained at 256 px, to be tuned at 384
    """
    grids = [encoder.patches.grid for encoder in (source, target)]
    weights = source.get_weights()
    position = [variable.path for variable in source.weights].index(source.patches.position_embedding.path)
    weights[position] = resize_position_embedding(weights[position], grids[0], grids[1], source.patches.leading)
    shapes = [value.shape for value in weights], [tuple(variable.shape) for variable in target.weights]
    if shapes[0] != shapes[1]:
        raise MmkerasError("Expected two vision transformers that differ in height and width alone")
    target.set_weights(weights)


def _normalisation(channels, mean, deviation):
    """Pixels in 0..255 less their mean and over their deviation."""
    mean, deviation = (
        np.broadcast_to(np.asarray(value, float), np.shape(value) or (channels,)) for value in (mean, deviation)
    )
    if {mean.shape, deviation.shape} != {(channels,)}:
        raise MmkerasError(
            f"Expected one mean and one deviation, or {channels}, one a channel. "
            f"Received: mean={mean.tolist()}, deviation={deviation.tolist()}"
        )
    scale, offset = 1 / (255 * deviation), -mean / deviation
    # float32, also under mixed precision: a half would round the pixels.
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="rescaling")
