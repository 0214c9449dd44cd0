"""An MLP over feature vectors as an encoder, the same for either modality."""

from collections.abc import Sequence
from typing import Literal

import keras

from mmkeras.encoders.embedding_head import embedding_head, hidden_layers
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError


def feature_mlp(
    modality: Literal["image", "text"],
    features: int,
    hidden: Sequence[int],
    embedding_dim: int | None,
    dropout: float,
    feature_dropout: float,
    scale: float,
    name: str,
) -> Encoder:
    """An encoder of feature vectors.

    Args:
        modality: `image` or `text`, the name of its input.
        features: length of the vectors, F.
        hidden: units of each hidden layer.
        embedding_dim: D, or `None`: see `embedding_head`; without `hidden` the vectors then pass through as they are.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them.
        scale: what the vectors are multiplied by first, more than 0.
        name: the model's name.

    Returns:
        `Encoder` from float (B, F). It has no tokens.

    Raises:
        MmkerasError: a scale that is not more than 0.
    """
    if not scale > 0:
        raise MmkerasError(f"Expected a scale of more than 0. Received: scale={scale}")
    vectors = x = keras.Input((features,), name=modality)
    if scale != 1:
        x = keras.layers.Rescaling(scale, dtype="float32", name="scale")(x)
    as_they_are = not hidden and embedding_dim is None
    x = x if as_they_are else hidden_layers(x, hidden, dropout, feature_dropout)
    return Encoder(vectors, {"embedding": embedding_head(x, embedding_dim)}, name=name)
