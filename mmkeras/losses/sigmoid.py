"""The sigmoid loss over the pairs of a batch, a part of the batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.ids import NO_ID
from mmkeras.losses.shared_ids import share_id
from mmkeras.tensors import Tensor, TensorLike

CHUNK = 512  # pictures that are compared with all texts at a time


def sigmoid_contrast(
    image_embedding: TensorLike,
    text_embedding: TensorLike,
    temperature: TensorLike,
    bias: TensorLike,
    image_id: TensorLike | None = None,
    text_id: TensorLike | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Sigmoid loss over all combinations of a batch: whether a picture and a text are a pair, of each by itself.

    With l_ij = <v_i, t_j> / temperature + bias,

        loss_i = - log s(l_ii) - sum_{j in N(i)} log s(-l_ij)

    where s is the logistic function and N(i) is every j that is no right answer, as the ids say: two captions of one
    picture are neither a pair nor none, and are left out. The mean over the rows is the loss of the paper.

    A row needs no sum over the others before its gradient is known: a batch of B is compared `chunk` pictures at a
    time, and each part is computed again for the gradient, which is written out. It takes O(B chunk) memory, and not
    the O(B^2) of `info_nce`.

    Args:
        image_embedding: (B, D), unit norm.
        text_embedding: (B, D), unit norm; row i belongs to row i.
        temperature: positive scalar.
        bias: scalar. Of B combinations one is a pair: a bias of -10 begins with the answer that none is.
        image_id: int (B,), or (B, S) for several ids a picture, see `share_id`; without it every other row is a
            negative.
        text_id: int (B,), or (B, T); by default `image_id`.
        chunk: pictures that are compared with all texts at a time, 1 or more.

    Returns:
        float32 (B,).

    Reference:
        Zhai et al. 2023 (SigLIP, arXiv 2303.15343), equation 1 and algorithm 1; in parts as in its section 3.3, which
        has one device hold each.
    """
    images, texts = (tf.cast(tf.convert_to_tensor(each), "float32") for each in (image_embedding, text_embedding))
    scale, bias = (tf.cast(tf.convert_to_tensor(each), "float32") for each in (temperature, bias))
    ids = None if image_id is None else tf.cast(tf.convert_to_tensor(image_id), "int64")
    text_ids = ids if text_id is None else text_id
    batch = ops.shape(images)[0]
    chunk = min(chunk, batch) if isinstance(batch, int) else tf.minimum(chunk, batch)
    chunks = -(-batch // chunk)

    def in_chunks(rows):
        """Rows (B, ...) as (chunks, chunk, ...), filled up with zeros."""
        padding = [[0, chunks * chunk - batch], *[[0, 0]] * (len(rows.shape) - 1)]
        return tf.reshape(tf.pad(rows, padding), tf.stack([chunks, chunk, *ops.shape(rows)[1:]]))

    def joined(rows):
        return tf.reshape(rows, tf.stack([chunks * chunk, *ops.shape(rows)[2:]]))[:batch]

    def compared(part, images, texts, scale, bias):
        """What a part of the pictures is to all texts, each (chunk, B): the sign 1 or -1, or 0 where left out; l."""
        own = tf.equal((part * chunk + tf.range(chunk))[:, None], tf.range(batch)[None, :])
        sign = tf.where(own, 1.0, -1.0)
        if ids is not None:
            related = share_id(in_chunks(ids)[part], text_ids)
            sign = tf.where(related & ~own, 0.0, sign)
        return sign, tf.matmul(images, texts, transpose_b=True) / scale + bias

    @tf.custom_gradient
    def contrast(images, texts, scale, bias):
        parts = in_chunks(images)

        def losses_of(part):
            sign, logits = compared(part, parts[part], texts, scale, bias)
            return tf.reduce_sum(tf.abs(sign) * tf.nn.softplus(-sign * logits), axis=1)

        def gradient(upstream):
            shares = in_chunks(upstream)

            def add(part, of_images, of_texts, of_scale, of_bias):
                sign, logits = compared(part, parts[part], texts, scale, bias)
                slope = -sign * tf.sigmoid(-sign * logits) * shares[part][:, None]  # of the loss by l
                of_images = of_images.write(part, tf.matmul(slope, texts) / scale)
                of_texts += tf.matmul(slope, parts[part], transpose_a=True) / scale
                of_scale -= tf.reduce_sum(slope * (logits - bias)) / scale
                return part + 1, of_images, of_texts, of_scale, of_bias + tf.reduce_sum(slope)

            rows = tf.TensorArray("float32", chunks)
            start = 0, rows, tf.zeros_like(texts), tf.zeros_like(scale), tf.zeros_like(bias)
            _, rows, *others = tf.while_loop(lambda part, *_: part < chunks, add, start, parallel_iterations=1)
            return joined(rows.stack()), *others

        losses = tf.map_fn(losses_of, tf.range(chunks), fn_output_signature="float32", parallel_iterations=1)
        return joined(losses), gradient

    return contrast(images, texts, scale, bias)


def numbered_ids(image_id: TensorLike, text_id: TensorLike) -> tuple[Tensor, Tensor]:
    """Return ids that say the same in small numbers, 0 to fewer than there are; -1 stays -1.

    Keras casts what a loss compares with to float32, where the ids 16777216 and 16777217 would be one.

    Args:
        image_id: int (B,) or (B, S).
        text_id: int (B,) or (B, T).
    """
    both = [tf.cast(tf.convert_to_tensor(ids), "int64") for ids in (image_id, text_id)]
    flat = tf.concat([tf.reshape(ids, [-1]) for ids in both], axis=0)
    order = tf.argsort(flat)
    ranked = tf.gather(flat, order)
    rank = tf.cumsum(tf.concat([[0], tf.cast(ranked[1:] != ranked[:-1], "int32")], axis=0))
    numbers = tf.scatter_nd(order[:, None], rank, tf.shape(flat))  # `tf.unique` XLA would not compile
    numbers = tf.split(tf.where(flat == NO_ID, NO_ID, numbers), [tf.size(ids) for ids in both])
    image, text = (tf.reshape(number, tf.shape(ids)) for number, ids in zip(numbers, both, strict=True))
    return image, text


@keras.saving.register_keras_serializable("mmkeras")
class SigmoidContrast(ConfigFromSignature, keras.losses.Loss):
    """`sigmoid_contrast` as a Keras loss.

    The choice where a model was trained with it, as SigLIP's are, or where a batch is so large that the matrix of all
    combinations is the largest tensor of a step. It asks of each combination by itself whether it is a pair; `InfoNCE`
    asks which of the batch is the pair, and needs no bias.

    Args:
        chunk: pictures that are compared with all texts at a time, 1 or more.

    Call arguments:
        y_true: pair of `image_id`, int (B,) or (B, S), and `text_id`, int (B,) or (B, T), where ids of 64 bits stay
            apart; or `image_id` alone, of pictures and texts alike.
        y_pred: tuple of image embeddings (B, D), text embeddings (B, D), the temperature and the bias (scalars).

    Returns:
        Scalar, the mean over the batch under the default reduction.

    Raises:
        ValueError: a chunk of less than 1.

    Example:
        >>> loss = SigmoidContrast()((image_id, text_id), (image_embedding, text_embedding, 0.1, -10.0))
    """

    def __init__(self, chunk: int = CHUNK, name: str = "sigmoid_contrast", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if chunk < 1:
            raise ValueError(f"Expected a chunk of 1 or more. Received: chunk={chunk}")
        self.chunk = chunk

    def __call__(
        self,
        y_true: TensorLike | Sequence[TensorLike],
        y_pred: Sequence[TensorLike],
        sample_weight: TensorLike | None = None,
    ) -> Tensor:
        image_id, text_id = y_true if isinstance(y_true, tuple) else (y_true, y_true)
        return super().__call__(numbered_ids(image_id, text_id), y_pred, sample_weight)

    def call(self, y_true: Sequence[TensorLike], y_pred: Sequence[TensorLike]) -> Tensor:
        image_id, text_id = (ops.cast(ids, "int64") for ids in y_true)
        image_embedding, text_embedding, temperature, bias = y_pred
        return sigmoid_contrast(image_embedding, text_embedding, temperature, bias, image_id, text_id, self.chunk)
