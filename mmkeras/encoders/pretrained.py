"""Encoders upon published networks: a tower with its weights, frozen or tuned, and a head behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from mmkeras.encoders.backbone import Backbone, backbones, load_backbone, scaled
from mmkeras.encoders.embedding_head import embedding_head, hidden_layers
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.features_and_ids import FeaturesAndIds
from mmkeras.encoders.published import open_published
from mmkeras.encoders.published_projection import PublishedProjection
from mmkeras.errors import MmkerasError
from mmkeras.layers.cell_tokens import CellTokens
from mmkeras.layers.token_bag import TokenBag

Head = Literal["new", "published"]
Scaling = Literal["layer", "data", "root"]


def pretrained_image_encoder(
    height: int,
    width: int,
    channels: int = 3,
    checkpoint: str | os.PathLike[str] | Sequence[str] = "",
    trainable: bool = False,
    head: Head = "new",
    hidden: Sequence[int] = (),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    scaling: Scaling = "layer",
    stages: bool = False,
    mirrored: bool = False,
    class_token: bool = False,
    name: str = "image_encoder",
) -> Encoder:
    """The image tower of a published model, or several side by side, and a head.

    Several towers see the same pictures, each in its own size, and their features are joined: two networks that were
    trained on other data or in another way know more than either. The towers are one layer, a `Backbone`.

    Args:
        height: px.
        width: px.
        channels: 3.
        checkpoint: folder or name of a published model, see `find_checkpoint`, or the name of a network of
            `keras.applications` with its ImageNet weights; a list of them is put side by side.
        trainable: whether training changes the towers.
        head: `new`, an MLP and a projection from scratch; `published`, the projection that the published pair has, or
            where it has none one that begins as the identity.
        hidden: units of each hidden layer of a new head.
        embedding_dim: D of a new head; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them.
        scaling: how a new head normalises features: `layer`, each vector by itself; `data`, each number over the
            training data; `root`, the roots of numbers over the training data, see `FeatureScaling`.
        stages: whether the features are also the means of earlier feature maps, of towers that have them, as
            EfficientNet-Lite and MobileNetV2 do.
        mirrored: whether the features are the means of a picture's and those of its mirror image, which costs as much
            again; there are no tokens then.
        class_token: whether the mean of the tokens, cells of a feature map or patches, stands before them, for systems
            that fuse the modalities, see `CellTokens`; of one tower without a class token of its own.
        name: the model's name.

    Returns:
        `Encoder` from `image`, uint8 or float 0..255 (B, height, width, 3). Its `tokens` are those of a single tower;
        several have none. Saved with its weights, it does not need the checkpoint again.

    Raises:
        MmkerasError: no published model there, one without pictures, or one that cannot be read.

    Example:
        >>> encoder = pretrained_image_encoder(260, 260, checkpoint=["./efficientnet_lite2", "./mobilenet_v2"])
        >>> encoder.frozen_backbone().output.shape
        (None, 2560)
    """
    names = [checkpoint] if isinstance(checkpoint, (str, os.PathLike)) else list(checkpoint)
    _check(names, channels)
    alone = len(names) == 1
    towers = [_image_tower(each, height, width, alone) for each in names]
    towers = [_with_stages(tower) for tower in towers] if stages else towers
    network = towers[0] if alone else _side_by_side(towers, height, width)
    network = _backbone(_mirrored(network) if mirrored else network, trainable)
    projection = open_published(names[0]).image_projection if head == "published" and alone else None
    image = keras.Input((height, width, channels), name="image")
    found = network(image)
    if _is_new(head):
        features = hidden_layers(found["embedding"], hidden, dropout, feature_dropout, scaling)
        embedding = embedding_head(features, embedding_dim)
    else:
        embedding = _published_head(found["embedding"], projection)
    if class_token:
        grid = _grid_of(towers[0]) if alone and "tokens" in found else None
        if grid is None:
            raise MmkerasError(
                "Expected class_token=False: it is for one tower whose tokens are a grid without a class token. "
                f"Received: class_token={class_token!r} for {', '.join(map(str, names))}"
            )
        found = {**found, "tokens": CellTokens(grid, name="cells")(found["tokens"])}
    return _encoder(image, found, embedding, name)


def pretrained_text_encoder(
    vocabulary_size: int,
    sequence_length: int,
    checkpoint: str | os.PathLike[str] = "",
    depth: int | None = None,
    trainable: bool = False,
    head: Head = "new",
    hidden: Sequence[int] = (),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    scaling: Scaling = "layer",
    bag: int = 0,
    bag_dropout: float = 0.5,
    name: str = "text_encoder",
) -> Encoder:
    """The text tower of a published model, and a head.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1, those of the tower's own tokenizer.
        sequence_length: the longest sequence of ids, L.
        checkpoint: folder or name of a published model, see `find_checkpoint`.
        depth: the blocks to use, from the first; `None` uses all.
        trainable: whether training changes the tower.
        head: see `pretrained_image_encoder`.
        hidden: units of each hidden layer of a new head.
        embedding_dim: D of a new head; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them.
        scaling: how a new head normalises features, see `pretrained_image_encoder`; `root` is for those of pictures.
        bag: rows of a `TokenBag` that a new head adds to the projection: a frozen network of texts was trained for
            another purpose, and what it leaves out of a word is learnt there; 0 adds none. Its rows and weights are
            those of the training's texts.
        bag_dropout: rate at which the bag's tokens are hidden in training.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, l <= L), or (B, L) where the tower counts padding or there is a bag.

    Raises:
        MmkerasError: no published model there, one without texts, one of another vocabulary, or one that cannot be
            read; a bag without a projection from scratch.
    """
    _check([checkpoint])
    published = open_published(checkpoint)
    tower = published.text_tower(sequence_length, depth)
    if tower is None:
        raise MmkerasError(f"{checkpoint} is a {published.family}: it has no text encoder")
    rows = tower.token_embedding.vocabulary_size
    if vocabulary_size > rows:
        raise MmkerasError(
            f"Expected a tokenizer of at most {rows} ids, those of {checkpoint}. Received: one of {vocabulary_size}"
        )
    network = _backbone(tower, trainable)
    length = tower.input.shape[1:] if not bag else (sequence_length,)
    ids = keras.Input(length, dtype=tower.input.dtype, name="token_ids")
    found = network(ids)
    features, beside = found["embedding"], None
    if bag and (tower.padding_counts or not _is_new(head) or embedding_dim is None):
        raise MmkerasError(
            "Expected bag=0: a bag stands beside a new projection, of a text encoder that leaves padding out. "
            f"Received: bag={bag}, head={head!r}, embedding_dim={embedding_dim} for a {published.family}"
        )
    if bag and embedding_dim is not None:
        floats = layers.Identity(dtype="float32", name="ids")(ids)
        joined = layers.Concatenate(dtype="float32", name="features_and_ids")([features, floats])
        features, counted = FeaturesAndIds(sequence_length, name="apart")(joined)
        beside = TokenBag(rows, bag, embedding_dim, rate=bag_dropout, name="bag")(counted)
    if _is_new(head):
        features = hidden_layers(features, hidden, dropout, feature_dropout, scaling)
        embedding = embedding_head(features, embedding_dim, beside=beside)
    else:
        embedding = _published_head(features, published.text_projection)
    return _encoder(ids, found, embedding, name)


def _check(names, channels=3):
    if not names or not all(str(each) for each in names):
        raise MmkerasError(
            "This preset names no pretrained network. Expected the folder or the name of a published model: --from, "
            "--image-encoder or --text-encoder of mmkeras train, or checkpoint in a preset of your own"
        )
    if channels != 3:
        raise MmkerasError(f"Expected channels=3: published networks take RGB. Received: channels={channels}")


def _image_tower(name, height, width, alone):
    """A network with its weights, as an `Encoder` without a head; one of several takes pictures of its own size."""
    if str(name) in backbones():
        return _application(str(name), height, width)
    published = open_published(name)
    own = published.image_preprocessing
    size = (height, width) if alone or not own else (own["height"], own["width"])
    tower = published.image_tower(*size)
    if tower is None:
        raise MmkerasError(f"{name} is a {published.family}: it has no image encoder")
    return tower


def _with_stages(tower):
    """A tower whose features are the means of earlier feature maps too, where it has them."""
    outputs = dict(tower.output)
    if (stages := outputs.pop("stages", None)) is None:
        return tower
    outputs["embedding"] = layers.Concatenate(dtype="float32", name="all_stages")([outputs["embedding"], stages])
    return Encoder(tower.input, outputs, name=tower.name)


def _mirrored(network):
    """A network whose features are the means of those of pictures and of their mirror images."""
    image = keras.Input(network.input.shape[1:], name="image")
    inner = keras.Model(network.input, network.output["embedding"], name="network")
    features = layers.Average(name="both")([inner(image), inner(ops.flip(image, axis=2))])
    return keras.Model(image, {"embedding": features})


def _application(name, height, width):
    network, scaling = load_backbone(name, "imagenet", (height, width, 3))
    image = keras.Input((height, width, 3), name="image")
    feature_map = network(scaled(image, scaling))
    tokens = layers.Reshape((-1, feature_map.shape[-1]), name="tokens")(feature_map)
    return Encoder(image, {"tokens": tokens, "embedding": ops.mean(tokens, axis=1)}, name=name)


def _grid_of(tower):
    """Rows and columns of a tower's tokens; `None` where they are more than a grid."""
    if (patches := tower.patches) is not None:
        return None if patches.use_class_token or patches.registers else patches.grid
    return tower.get_layer("tokens").input.shape[1:3]


def _side_by_side(towers, height, width):
    """Towers of pictures as one network, whose features are those of all."""
    image = keras.Input((height, width, 3), name="image")
    features = []
    for place, tower in enumerate(towers):
        named = keras.Model(tower.input, tower.output, name=f"tower_{place}")  # layers of one model differ in name
        features.append(named(_resized(image, tower))["embedding"])
    return keras.Model(image, {"embedding": layers.Concatenate(name="features")(features)})


def _resized(image, tower):
    size = tower.input.shape[1:3]
    if size == image.shape[1:3]:
        return image
    return layers.Resizing(*size, interpolation="bicubic", antialias=True, dtype="float32")(image)


def _backbone(network, trainable):
    """A network as the one layer that is frozen or tuned."""
    network = Backbone(network.input, network.output, name="backbone")
    network.trainable = trainable
    return network


def _is_new(head):
    """Whether a head begins from scratch."""
    if head not in ("new", "published"):
        raise MmkerasError(f"Expected a head of new or published. Received: head={head!r}")
    return head == "new"


def _encoder(inputs, found, embedding, name):
    tokens = {"tokens": found["tokens"]} if "tokens" in found else {}
    return Encoder(inputs, {**tokens, "embedding": embedding}, name=name)


def _published_head(features, projection):
    kernel, bias = projection or (np.eye(features.shape[-1], dtype=np.float32), None)
    layer = PublishedProjection(kernel.shape[1], use_bias=bias is not None, name="projection")
    projected = layer(features)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layers.UnitNormalization(dtype="float32", name="unit_norm")(projected)
