"""Rows of all replicas, for losses over the whole batch under `tf.distribute`."""

from __future__ import annotations

import tensorflow as tf

from mmkeras.tensors import Array, Tensor


def gathered_from_replicas(rows: Array) -> Tensor:
    """Rows of the whole batch, in every replica the same and in the same order.

    For what has no gradient: a teacher's embeddings, ids.

    Args:
        rows: (B, ...), those of this replica; B may differ from replica to replica.

    Returns:
        (sum of all B, ...); `rows` itself where there is one replica, or none.

    Example:
        >>> candidates = queue(*map(gathered_from_replicas, (image_embedding, text_embedding, image_id)))
    """
    replicas = tf.distribute.get_replica_context()
    if replicas is None or replicas.num_replicas_in_sync == 1:
        return rows
    return replicas.all_gather(rows, axis=0)
