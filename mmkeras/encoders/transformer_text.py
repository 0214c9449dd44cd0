"""A pre-norm transformer as a text encoder: our own, or CLIP's and SigLIP's."""

from __future__ import annotations

from typing import Literal

import keras
from keras import ops

from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.activations import ActivationName
from mmkeras.layers.end_token_pooling import EndTokenPooling
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.last_token_pooling import LastTokenPooling
from mmkeras.layers.masked_pooling import MaskedMeanPooling
from mmkeras.layers.token_and_position_embedding import TokenAndPositionEmbedding
from mmkeras.layers.transformer_block import TransformerBlock


def transformer_text_encoder(
    vocabulary_size: int,
    sequence_length: int,
    width: int = 128,
    depth: int = 2,
    heads: int = 4,
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    mlp_ratio: float = 4,
    pooling: Literal["mean", "end", "last"] = "mean",
    end_id: int | None = None,
    activation: ActivationName = "gelu",
    epsilon: float = 1e-6,
    name: str = "text_encoder",
) -> Encoder:
    """A transformer encoder, pre-norm; by default with masked mean pooling, BERT's attention and padding that id 0 is.

    The other poolings are those of published towers, and bring their attention with them. With `"end"`, as in CLIP, a
    token looks at those before it alone, and the one that ends the text is its embedding: what stands behind it changes
    nothing, and 0 is an id like others. With `"last"`, as in SigLIP, all `sequence_length` places look at each other,
    padding too, and the last is the embedding: a text has to be padded as the published model's were, see
    `Encoder.padding_counts`.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: the longest sequence, L; the only one with `"last"`.
        width: W, a multiple of `heads`.
        depth: transformer blocks.
        heads: attention heads.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate in every block.
        mlp_ratio: hidden units of the feed-forward part over W, which are rounded.
        pooling: `"mean"`, `"end"` or `"last"`.
        end_id: with `"end"`, the id that ends a text; `None` takes the highest id of the row, see `EndTokenPooling`.
        activation: of the feed-forward parts, see `activation_named`.
        epsilon: what the normalisations add to a variance.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, l <= L), or (B, L) with `"last"`.

    Raises:
        MmkerasError: another pooling, or an `end_id` without `"end"`.

    Reference:
        Devlin et al. 2019 (arXiv 1810.04805), section 3; `"end"` is Radford et al. 2021 (arXiv 2103.00020), section
        2.4, `"last"` Zhai et al. 2023 (arXiv 2303.15343).
    """
    if pooling not in ("mean", "end", "last") or (end_id is not None and pooling != "end"):
        raise MmkerasError(
            "Expected a pooling of 'mean', 'end' or 'last', and an end_id with 'end' alone. "
            f"Received: pooling={pooling!r}, end_id={end_id}"
        )
    # === Layers ===
    token_ids = keras.Input((sequence_length if pooling == "last" else None,), dtype="int32", name="token_ids")
    mask = (ops.not_equal(token_ids, 0),) if pooling == "mean" else ()
    x = TokenAndPositionEmbedding(vocabulary_size, sequence_length, width, name="embedding")(token_ids)
    for index in range(depth):
        block = TransformerBlock(
            heads,
            round(mlp_ratio * width),
            dropout,
            epsilon=epsilon,
            activation=activation,
            causal=pooling == "end",
            name=f"block_{index}",
        )
        x = block(x, *mask)
    tokens = FusedLayerNormalization(epsilon=epsilon, name="final_norm")(x)
    if pooling == "mean":
        pooled = MaskedMeanPooling(name="pooling")(tokens, *mask)
    elif pooling == "end":
        pooled = EndTokenPooling(end_id, name="pooling")(tokens, token_ids)
    else:
        pooled = LastTokenPooling(name="pooling")(tokens)

    # === Functional Model ===
    return Encoder(token_ids, {"tokens": tokens, "embedding": embedding_head(pooled, embedding_dim)}, name=name)
