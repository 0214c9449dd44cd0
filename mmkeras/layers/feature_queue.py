"""The queue of a teacher's embeddings: candidates of earlier batches beside those of the present one."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.ids import NO_ID
from mmkeras.tensors import Array, Shape, Tensor, TensorLike

NO_PICTURE = -(2**63)  # the id of a place that no batch has filled yet


@keras.saving.register_keras_serializable("mmkeras")
class FeatureQueue(ConfigFromSignature, keras.layers.Layer):
    """First in, first out: embeddings of pictures and texts with their ids.

    Everything is a weight, and saved with the model. Until batches have filled it the queue holds random unit vectors
    under an id that no picture has: negatives of everything, and easy ones.

    Every batch fills whole places: `size` is a multiple of the batch, of all replicas together where there are several.

    Args:
        size: K, the pairs that it holds, 1 or more.
        embedding_dim: D.
        ids: W, the most ids that a picture or a text has, 1 or more.
        seed: int, which decides the random vectors.

    Call arguments:
        image_embedding: (B, D), of the teacher.
        text_embedding: (B, D), of the teacher.
        image_id: int64 (B,), or (B, S) for S ids a picture, W at most.
        text_id: int64 (B,) or (B, T).

    Returns:
        dict of the candidates, the batch's first: `image_embedding` and `text_embedding`, float32 (B + K, D), and
        `image_id` and `text_id`, int64 (B + K, W), rows with fewer ids filled with -1. Nothing is queued: see
        `enqueue`.

    Raises:
        ValueError: a size, an embedding_dim or ids below 1; a batch of one, or one that does not divide the size; more
            ids than the queue has room for.

    Example:
        >>> queue = FeatureQueue(size=4096, embedding_dim=256)
        >>> candidates = queue(image_embedding, text_embedding, image_id, text_id)
        >>> queue.enqueue(image_embedding, text_embedding, image_id, text_id)  # after the loss

    Reference:
        He et al. 2020 (MoCo, arXiv 1911.05722), section 3.2; for two modalities Li et al. 2021 (ALBEF, arXiv
        2107.07651), section 3.2.
    """

    def __init__(self, size: int, embedding_dim: int, ids: int = 1, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # an int64 id and a float32 embedding stay what they are
        if min(size, embedding_dim, ids) < 1:
            raise ValueError(
                f"Expected sizes of 1 or more. Received: size={size}, embedding_dim={embedding_dim}, ids={ids}"
            )
        self.size = size
        self.embedding_dim = embedding_dim
        self.ids = ids
        self.seed = seed
        self.image_queue = self._add_state("image_queue", (size, embedding_dim), _random_unit_rows(seed))
        self.text_queue = self._add_state("text_queue", (size, embedding_dim), _random_unit_rows(seed + 1))
        unknown = keras.initializers.Constant(NO_PICTURE)
        self.image_id_queue = self._add_state("image_id_queue", (size, ids), unknown, "int64")
        self.text_id_queue = self._add_state("text_id_queue", (size, ids), unknown, "int64")
        self.pointer = self._add_state("pointer", (), "zeros", "int64")
        self.built = True

    def build(self, *shapes: Shape) -> None:
        self.built = True

    def check_batch_size(self, batch_size: int) -> None:
        """Raise unless a batch, of all replicas together, may be queued.

        Raises:
            ValueError: a batch of one, or one that does not divide `size`: what is allowed is told.
        """
        if batch_size < 2 or self.size % batch_size:
            raise ValueError(
                f"Expected batches of 2 or more that divide the queue, size={self.size}"
                f"{self._nearest_sizes(batch_size)}. Received: batch_size={batch_size}"
            )

    def call(
        self, image_embedding: TensorLike, text_embedding: TensorLike, image_id: TensorLike, text_id: TensorLike
    ) -> dict[str, Tensor]:
        return {
            "image_embedding": ops.concatenate([ops.cast(image_embedding, "float32"), self.image_queue], axis=0),
            "text_embedding": ops.concatenate([ops.cast(text_embedding, "float32"), self.text_queue], axis=0),
            "image_id": ops.concatenate([self._filled("image_id", image_id), self.image_id_queue], axis=0),
            "text_id": ops.concatenate([self._filled("text_id", text_id), self.text_id_queue], axis=0),
        }

    def enqueue(self, image_embedding: Array, text_embedding: Array, image_id: Array, text_id: Array) -> None:
        """Put a batch in the place of the oldest one; takes what the call takes. No gradient comes through."""
        batch = image_embedding.shape[0]
        if batch is None:
            batch = ops.shape(image_embedding)[0]
            divides = tf.logical_and(batch > 1, self.size % batch == 0)
            tf.debugging.Assert(divides, ["Expected batches of 2 or more that divide the queue.", self.size, batch])
        else:
            self.check_batch_size(batch)
        pointer = ops.convert_to_tensor(self.pointer)
        places = ops.expand_dims((pointer + ops.arange(batch, dtype="int64")) % self.size, 1)  # (B, 1)
        for queue, rows in (
            (self.image_queue, image_embedding),
            (self.text_queue, text_embedding),
            (self.image_id_queue, self._filled("image_id", image_id)),
            (self.text_id_queue, self._filled("text_id", text_id)),
        ):
            rows = ops.stop_gradient(ops.cast(rows, queue.dtype))
            queue.assign(ops.scatter_update(ops.convert_to_tensor(queue), places, rows))
        self.pointer.assign((pointer + ops.cast(batch, "int64")) % self.size)

    def _filled(self, name, ids):
        """Ids (B,) or (B, S) as int64 (B, W)."""
        ids = ops.cast(ids, "int64")
        ids = ops.expand_dims(ids, 1) if len(ids.shape) == 1 else ids
        if ids.shape[1] > self.ids:
            raise ValueError(
                f"Expected at most {self.ids} ids a row, as the queue was made for. Received: {name} with "
                f"{ids.shape[1]}; make it with ids={ids.shape[1]}"
            )
        return ops.pad(ids, [[0, 0], [0, self.ids - ids.shape[1]]], constant_values=NO_ID)

    def _add_state(self, name, shape, initializer, dtype="float32"):
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",  # replicas write the same rows, gathered from all of them
            name=name,
        )

    def _nearest_sizes(self, batch_size):
        """Sizes of a queue around this one that the batch divides, for a message."""
        if batch_size < 2:
            return ""
        below = self.size - self.size % batch_size
        sizes = [size for size in (below, below + batch_size) if size]
        return f"; of that batch it holds {' or '.join(map(str, sizes))}"

    def compute_output_spec(
        self,
        image_embedding: keras.KerasTensor,
        text_embedding: keras.KerasTensor,
        image_id: keras.KerasTensor,
        text_id: keras.KerasTensor,
    ) -> dict[str, keras.KerasTensor]:
        batch = image_embedding.shape[0]
        rows = None if batch is None else batch + self.size
        embedding = keras.KerasTensor((rows, self.embedding_dim), "float32")
        return {
            "image_embedding": embedding,
            "text_embedding": embedding,
            "image_id": keras.KerasTensor((rows, self.ids), "int64"),
            "text_id": keras.KerasTensor((rows, self.ids), "int64"),
        }


def _random_unit_rows(seed):
    def initialize(shape, dtype=None):
        rows = keras.random.normal(shape, dtype=dtype or "float32", seed=seed)
        return rows / ops.norm(rows, axis=1, keepdims=True)

    return initialize
