"""`bag_of_tokens_encoder`: a text is the mean of its tokens."""

import keras
from keras import layers, ops

from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.encoders.encoder import Encoder
from mmkeras.layers.masked_pooling import MaskedMeanPooling


def bag_of_tokens_encoder(
    vocabulary_size: int,
    sequence_length: int | None = None,
    width: int = 512,
    embedding_dim: int | None = 256,
    dropout: float = 0.7,
    token_dropout: float = 0.3,
    name: str = "text_encoder",
) -> Encoder:
    """The mean of the tokens' embeddings, whatever their order, and a projection.

    The choice for a few thousand texts, of which an encoder that sees the order learns whole texts by heart.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        sequence_length: not used, taken so that all text encoders are built alike.
        width: length of a token's embedding.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate on the mean.
        token_dropout: rate at which whole tokens are hidden in training.
        name: the model's name.

    Returns:
        `Encoder` from `token_ids`, int32 (B, L).
    """
    # === Layers ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    mask = ops.not_equal(token_ids, 0)
    tokens = layers.Embedding(
        vocabulary_size, width, embeddings_initializer=keras.initializers.RandomNormal(stddev=0.03), name="embedding"
    )(token_ids)
    tokens = layers.Dropout(token_dropout, noise_shape=(None, None, 1), name="token_dropout")(tokens)

    # === Functional Model ===
    pooled = layers.Dropout(dropout, name="dropout")(MaskedMeanPooling(name="pooling")(tokens, mask))
    return Encoder(token_ids, {"tokens": tokens, "embedding": embedding_head(pooled, embedding_dim)}, name=name)
