"""`PairFusion`: a fusion encoder that tells whether a text describes an image, and where it looks for each word."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.encoders.fusion import FusionEncoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.layers.replicas import gathered_from_replicas, weighted_mean
from mmkeras.layers.soft_masking import word_attention
from mmkeras.losses.matching import MATCHING, matching_crossentropy
from mmkeras.tensors import Arrays, Shape, Tensor, Tensors


@keras.saving.register_keras_serializable("mmkeras")
class PairFusion(ConfigFromSignature, keras.layers.Layer):
    """A `FusionEncoder` with a matching head on its class token: a part of a model, with its losses.

    What it takes is a dict, called `encoded` here: `text_tokens` (B, T, W), `image_tokens` (B, 1 + N, V) and `mask`,
    bool (B, T), where there is a token. Row i of the images belongs to row i of the texts.

    Args:
        depth: blocks of the fusion encoder.
        heads: attention heads of each block, which divide W.
        mlp_ratio: hidden units of the blocks' feed-forward parts, in multiples of W.
        dropout: rate of dropout in the blocks.
        initializer_range: deviation that the kernels begin with, see `kernel_initializer`; `None` for narrow nets.
        attention_block: the block, from 0, whose attention makes soft masks; not the last, after which words do not
            reach the class token, and the score.

    Attributes:
        encoder: the `FusionEncoder`, once it is built.

    Call arguments:
        encoded: dict.
        training: whether the encoder drops out.

    Returns:
        (B, T, W), the fused tokens, the class token first.

    Raises:
        MmkerasError: an `attention_block` that is none of the encoder's, or its last.

    Example:
        >>> fusion = PairFusion(depth=2, heads=4, attention_block=0)
        >>> fusion.build((None, None, 96), (None, None, 96))
        >>> fusion.matching_logits(encoded).shape
        (8, 2)

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), sections 3.1 and 3.2; the soft masks are Park & Han 2023 (arXiv
        2304.00719).
    """

    def __init__(
        self,
        depth: int = 6,
        heads: int = 12,
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        initializer_range: float | None = 0.02,
        attention_block: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "fusion", **kwargs})
        if not 0 <= attention_block < depth - 1:
            raise MmkerasError(
                "Expected attention_block to be a block of the fusion encoder, from 0, and not its last. "
                f"Received: attention_block={attention_block}, depth={depth}"
            )
        self.depth = depth
        self.heads = heads
        self.mlp_ratio = mlp_ratio
        self.dropout = dropout
        self.initializer_range = initializer_range
        self.attention_block = attention_block

    def build(self, text_tokens_shape: Shape, image_tokens_shape: Shape) -> None:
        self.encoder = FusionEncoder(
            self.depth,
            self.heads,
            self.mlp_ratio,
            self.dropout,
            self.initializer_range,
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.encoder.build(text_tokens_shape, image_tokens_shape)
        # float32 also under mixed precision: a gradient for masks, and a score to rank by.
        kernel = kernel_initializer(self.initializer_range)
        self.matching_head = keras.layers.Dense(2, kernel_initializer=kernel, dtype="float32", name="matching_head")
        self.matching_head.build((None, text_tokens_shape[-1]))

    def call(self, encoded: Arrays, training: bool | None = None) -> Tensor:
        return self.encoder(*_inputs(encoded), training=training)

    def matching_logits(self, encoded: Arrays, training: bool = False) -> Tensor:
        """Return the logits of whether a text describes an image, float32 (B, 2), the second of "it does".

        Args:
            encoded: dict.
            training: whether the encoder drops out.
        """
        return self.matching_head(self.encoder(*_inputs(encoded), class_only=True, training=training)[:, 0])

    def log_odds(self, encoded: Arrays) -> Tensor:
        """Return the log-odds of a match, float32 (B,); likely pairs, all with a probability near 1, differ here."""
        logits = self.matching_logits(encoded)
        return logits[:, MATCHING] - logits[:, 1 - MATCHING]

    def with_attention(self, encoded: Arrays, training: bool = False) -> tuple[Tensor, Tensor]:
        """Fuse each text with its image, and see what each word looks at.

        Args:
            encoded: dict.
            training: whether the encoder drops out.

        Returns:
            Pair: the fused tokens (B, T, W), and `word_attention` float32 (B, T, N), by the matching score of the pair
            and block `attention_block`. Only the blocks from that one on are differentiated for it.
        """
        tokens, patches, mask = _inputs(encoded)
        block = self.attention_block
        if block:
            tokens = self.encoder(tokens, patches, mask, stop=block, training=training)
        batch, length = ops.shape(tokens)[:2]
        probe = tf.zeros((batch, self.heads, length, ops.shape(patches)[1]))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(probe)
            fused, probabilities = self.encoder(
                tokens, patches, mask, start=block, probe=probe, return_probabilities=True, training=training
            )
            score = ops.sum(self.matching_head(fused[:, 0])[:, MATCHING])
        return fused, word_attention(probabilities, tape.gradient(score, probe))

    # --- Losses ---

    def matching_losses(self, encoded: Arrays, fused: Tensor, negatives: Arrays, training: bool) -> Tensors:
        """Tell pairs from each text with a wrong image, and from each image with a wrong text.

        Args:
            encoded: dict.
            fused: (B, T, W), what the call made of it.
            negatives: dict of int (B,) `text` and `image`, rows of a wrong text for each image and of a wrong image for
                each text, in the batch of all devices, and bool (B,) `text_found` and `image_found`, whether there is
                one.
            training: whether the encoder drops out.

        Returns:
            dict of scalars: `matching_loss`; `matching_accuracy`, in [0, 1]; one pair in three belongs together.
        """
        wrong_image = _with_rows(encoded, ("image_tokens",), negatives["image"])
        wrong = _stacked(wrong_image, _with_texts(encoded, negatives["text"]))
        logits = ops.concatenate([self.matching_head(fused[:, 0]), self.matching_logits(wrong, training)], axis=0)
        found = ops.concatenate([negatives["image_found"], negatives["text_found"]], axis=0)
        matches, weight = _answers(found, ops.shape(fused)[0])
        right = ops.cast(ops.equal(ops.argmax(logits, axis=1), ops.cast(matches, "int32")), "float32")
        return {
            "matching_loss": weighted_mean(matching_crossentropy(matches, logits), weight),
            "matching_accuracy": weighted_mean(right, weight),
        }

    def soft_matching_loss(self, encoded: Arrays, image_tokens: Tensor, negatives: Arrays, training: bool) -> Tensor:
        """Tell pairs from each image with a wrong text, with images that soft masks have dimmed.

        Args:
            encoded: dict.
            image_tokens: (B, 1 + N, V), the dimmed ones.
            negatives: dict, see `matching_losses`.
            training: whether the encoder drops out.

        Returns:
            Scalar.
        """
        encoded = {**encoded, "image_tokens": image_tokens}
        logits = self.matching_logits(_stacked(encoded, _with_texts(encoded, negatives["text"])), training)
        matches, weight = _answers(negatives["text_found"], ops.shape(image_tokens)[0])
        return weighted_mean(matching_crossentropy(matches, logits), weight)


def _inputs(encoded):
    return encoded["text_tokens"], encoded["image_tokens"], encoded["mask"]


def _with_texts(encoded, rows):
    """The same images with the texts of other rows."""
    return _with_rows(encoded, ("text_tokens", "mask"), rows)


def _with_rows(encoded, names, rows):
    return encoded | {name: ops.take(gathered_from_replicas(encoded[name]), rows, axis=0) for name in names}


def _stacked(*parts):
    names = ("text_tokens", "image_tokens", "mask")
    return {name: ops.concatenate([part[name] for part in parts], axis=0) for name in names}


def _answers(found, positives):
    """What matching should answer to so many positives and then the negatives, and the weight of each."""
    ones = ops.ones((positives,), "float32")
    found = ops.cast(found, "float32")
    return ops.concatenate([ones, ops.zeros_like(found)], axis=0), ops.concatenate([ones, found], axis=0)
