"""BERT as a text encoder."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers, ops

from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.activations import ActivationName
from mmkeras.layers.fused.fused_dropout import FusedDropout
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.masked_pooling import MaskedMeanPooling
from mmkeras.layers.prepend_token import PrependToken
from mmkeras.layers.token_and_position_embedding import TokenAndPositionEmbedding
from mmkeras.layers.transformer_block import TransformerBlock


def bert_text_encoder(
    vocabulary_size: int,
    sequence_length: int,
    width: int = 768,
    depth: int = 6,
    heads: int = 12,
    mlp_ratio: float = 4,
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    class_id: int | None = 2,
    types: int = 2,
    batch_norm: bool = False,
    initializer_range: float | None = 0.02,
    pooling: Literal["class", "mean"] = "class",
    activation: ActivationName = "gelu",
    epsilon: float = 1e-12,
    name: str = "text_encoder",
) -> Encoder:
    """BERT, post-norm, whose class token, or the mean of all tokens, becomes the embedding.

    The defaults are the lower half of BERT-base, ALBEF's text encoder, which `load_bert` fills; its upper half is
    `FusionEncoder`. The encoder itself puts the class token before a text: an id that the preprocessor reserves and
    never gives to a word, so that whatever hands it a text, in training, in a server or on a device, is served alike,
    and the class token is a row of the token table like any other. Hence there is one token more than ids;
    `Encoder.ids_of_tokens` returns the ids that stand behind the tokens.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: the longest sequence of ids, L.
        width: W, a multiple of `heads`.
        depth: transformer blocks.
        heads: attention heads.
        mlp_ratio: hidden units of the feed-forward part over W, which are rounded.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate on the embedded tokens and in every block.
        class_id: the id put before every text: 2 is what `TextPreprocessor` reserves for it; `None` where the ids begin
            with one already, as those of a WordPiece tokenizer do ([CLS], 101).
        types: segment types in the embedding; all tokens are of the first.
        batch_norm: whether the projection ends in batch normalisation as the other encoders' does; ALBEF's does not.
        initializer_range: standard deviation of the kernels' start; `None` is Glorot, for narrow nets.
        pooling: what becomes the embedding: the `"class"` token, or the `"mean"` of all tokens that are there, the
            class token among them, as in Sentence-BERT.
        activation: of the feed-forward parts, see `activation_named`.
        epsilon: what the normalisations add to a variance.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, l <= L), 0 is padding; `tokens` are (B, 1 + l, W), or (B, l, W) with
        `class_id=None`.

    Raises:
        MmkerasError: another pooling.

    Example:
        >>> encoder = bert_text_encoder(vocabulary_size=8000, sequence_length=25)
        >>> encoder(token_ids)["tokens"].shape
        (8, 26, 768)

    Reference:
        Devlin et al. 2019 (arXiv 1810.04805), section 3; its halves are of Li et al. 2021 (arXiv 2107.07651), section
        3.1. The mean is Reimers & Gurevych 2019 (arXiv 1908.10084), section 3.
    """
    if pooling not in ("class", "mean"):
        raise MmkerasError(f"Expected a pooling of 'class' or 'mean'. Received: pooling={pooling!r}")
    # === Layers ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    ids, positions = token_ids, sequence_length
    if class_id is not None:
        ids, positions = PrependToken(class_id, name="class_token")(token_ids), sequence_length + 1
    mask = ops.not_equal(ids, 0)
    x = TokenAndPositionEmbedding(vocabulary_size, positions, width, types, name="embedding")(ids)
    x = FusedLayerNormalization(epsilon=epsilon, name="embedding_norm")(x)
    x = FusedDropout(dropout, name="embedding_dropout")(x)
    for index in range(depth):
        block = TransformerBlock(
            heads,
            round(mlp_ratio * width),
            dropout,
            post_norm=True,
            epsilon=epsilon,
            initializer_range=initializer_range,
            activation=activation,
            name=f"block_{index}",
        )
        x = block(x, mask)
    tokens = layers.Identity(name="tokens")(x)
    pooled = tokens[:, 0] if pooling == "class" else MaskedMeanPooling(name="pooling")(tokens, mask)

    # === Functional Model ===
    outputs = {"tokens": tokens, "embedding": embedding_head(pooled, embedding_dim, batch_norm)}
    return Encoder(token_ids, outputs, name=name)
