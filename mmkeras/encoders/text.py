"""Text encoders. Each takes `token_ids` (B, L), 0 is padding, and returns `tokens` (B, L, W) and `embedding` (B, D).

Padding is masked: more of it changes nothing, but for an encoder that says so, see `Encoder.padding_counts`. The kind
`hub` takes strings (B,) and the kind `features` vectors (B, F), both under the name `text`; they have no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

from mmkeras.encoders.bag_of_tokens import bag_of_tokens_encoder
from mmkeras.encoders.bert import bert_text_encoder
from mmkeras.encoders.embedding_head import build_by_kind, embedding_head, hidden_layers
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.feature_mlp import feature_mlp
from mmkeras.encoders.hub import HubLayer, check_hub_output
from mmkeras.encoders.pretrained import pretrained_text_encoder
from mmkeras.encoders.transformer_text import transformer_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.masked_pooling import MaskedMaxPooling


def text_cnn_encoder(
    vocabulary_size: int,
    sequence_length: int | None = None,
    width: int = 300,
    kernel_sizes: Sequence[int] = (3, 4, 5),
    filters: int = 100,
    hidden: Sequence[int] = (),
    embedding_dim: int | None = 256,
    dropout: float = 0.5,
    token_dropout: float = 0.0,
    name: str = "text_encoder",
) -> Encoder:
    """Kim's convolutional sentence encoder: filters of several widths, each pooled to its largest response.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: not used, taken so that all text encoders are built alike.
        width: length of a token's embedding.
        kernel_sizes: filter widths in tokens.
        filters: feature maps a width.
        hidden: units of hidden layers between the pooled maps and the projection.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate after pooling and after each hidden layer.
        token_dropout: rate at which whole tokens are hidden in training, so that a text with unknown words still lands
            where its known ones belong.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, L).

    Reference:
        Kim 2014 (arXiv 1408.5882), section 2.
    """
    # === Layers ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = ops.not_equal(token_ids, 0)
    x = layers.Embedding(vocabulary_size, width, name="embedding")(token_ids)
    x = layers.Dropout(token_dropout, noise_shape=(None, None, 1), name="token_dropout")(x)
    # A convolution near the end of a text must see zeros there, padded or not.
    x = layers.Multiply(name="hide_padding")([x, ops.cast(ops.expand_dims(mask, -1), x.dtype)])
    maps = [
        layers.Conv1D(filters, size, padding="same", activation="relu", name=f"conv_{size}")(x) for size in kernel_sizes
    ]
    tokens = layers.Concatenate(name="tokens")(maps)

    # === Functional Model ===
    pooled = layers.Dropout(dropout, name="dropout")(MaskedMaxPooling(name="pooling")(tokens, mask))
    pooled = hidden_layers(pooled, hidden, dropout) if hidden else pooled
    return Encoder(token_ids, {"tokens": tokens, "embedding": embedding_head(pooled, embedding_dim)}, name=name)


def gru_text_encoder(
    vocabulary_size: int,
    sequence_length: int | None = None,
    width: int = 300,
    units: int = 512,
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    name: str = "text_encoder",
) -> Encoder:
    """A one-layer GRU whose state after the last token is the sentence.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: not used, taken so that all text encoders are built alike.
        width: length of a token's embedding.
        units: numbers in the state of the GRU.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate on the embedded tokens.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, L).

    Reference:
        The text branch of VSE++ (Faghri et al. 2018, arXiv 1707.05612), section 3.
    """
    # === Layers ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = ops.not_equal(token_ids, 0)
    x = layers.Embedding(vocabulary_size, width, name="embedding")(token_ids)
    x = layers.Dropout(dropout, name="dropout")(x)
    tokens, state = layers.GRU(units, return_sequences=True, return_state=True, name="gru")(x, mask=mask)

    # === Functional Model ===
    return Encoder(token_ids, {"tokens": tokens, "embedding": embedding_head(state, embedding_dim)}, name=name)


def feature_text_encoder(
    features: int,
    vocabulary_size: int | None = None,
    sequence_length: int | None = None,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    scale: float = 1.0,
    name: str = "text_encoder",
) -> Encoder:
    """An MLP over feature vectors of texts that somebody else has computed.

    Args:
        features: length of the vectors, F.
        vocabulary_size: `None`, there being no tokens; taken so that all text encoders are built alike.
        sequence_length: `None`, there being no tokens.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out, and without `hidden` the features are the embedding.
        dropout: rate after each hidden layer.
        feature_dropout: rate on the normalised features before them; where pairs are few, a high one keeps them from
            being learnt by heart.
        scale: what the vectors are multiplied by first: see `feature_mlp_encoder`.
        name: the model's name.

    Returns:
        `Encoder` from `text`, float (B, F). It has no tokens.

    Raises:
        MmkerasError: a preprocessor of token ids before it.
    """
    if vocabulary_size is not None:
        raise MmkerasError(
            "Expected no text_preprocessor before a text encoder of kind 'features', which takes feature vectors. "
            f"Received: a text_preprocessor of token ids, vocabulary_size={vocabulary_size}"
        )
    return feature_mlp("text", features, hidden, embedding_dim, dropout, feature_dropout, scale, name)


def hub_text_encoder(
    handle: str,
    vocabulary_size: int | None = None,
    sequence_length: int | None = None,
    trainable: bool = False,
    signature: str | None = None,
    output_key: str | None = None,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    feature_dropout: float = 0.0,
    name: str = "text_encoder",
) -> Encoder:
    """A sentence encoder from TensorFlow Hub, from strings to vectors, with an MLP behind it.

    The module holds its own tokenizer, so that the preprocessing before it is a `StringPreprocessor`.

    Args:
        handle: path of a folder or URL.
        vocabulary_size: `None`, as a `StringPreprocessor` has it; taken so that all text encoders are built alike.
        sequence_length: not used.
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
        `Encoder` from `text`, string (B,). It has no tokens.

    Raises:
        MmkerasError: what `HubLayer` raises, a preprocessor of token ids, or a module whose outputs are not (N, W).
    """
    if vocabulary_size is not None:
        raise MmkerasError(
            "Expected a StringPreprocessor before a text encoder of kind 'hub', which takes strings. "
            f"Received: a text_preprocessor of token ids, vocabulary_size={vocabulary_size}"
        )
    # === Layers ===
    text = keras.Input((), dtype="string", name="text")
    output = HubLayer(handle, trainable, signature, output_key, name="hub")(text)
    check_hub_output(handle, output, ranks=(2,))

    # === Functional Model ===
    embedding = embedding_head(hidden_layers(output, hidden, dropout, feature_dropout), embedding_dim)
    return Encoder(text, {"embedding": embedding}, name=name)


TEXT_ENCODERS = {
    "bag_of_tokens": bag_of_tokens_encoder,
    "bert": bert_text_encoder,
    "features": feature_text_encoder,
    "transformer": transformer_text_encoder,
    "text_cnn": text_cnn_encoder,
    "gru": gru_text_encoder,
    "hub": hub_text_encoder,
    "pretrained": pretrained_text_encoder,
}


def build_text_encoder(
    kind: Literal["bag_of_tokens", "bert", "features", "transformer", "text_cnn", "gru", "hub", "pretrained"],
    **settings: Any,
) -> Encoder:
    """Build a text encoder by its name in presets, one of `TEXT_ENCODERS`."""
    if kind in TEXT_ENCODERS and kind not in ("features", "hub") and settings.get("vocabulary_size", 0) is None:
        raise MmkerasError(f"Encoder {kind!r} takes token ids, and the text_preprocessor returns strings")
    return build_by_kind(TEXT_ENCODERS, kind, settings)
