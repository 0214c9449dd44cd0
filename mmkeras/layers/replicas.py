"""What the devices of one step know of each other: rows, sums and draws of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mmkeras.tensors import Array, Tensor, TensorLike

SENT = (tf.float32, tf.float16, tf.float64, tf.int32, tf.int64)  # what TensorFlow's collective operations take


def replica_count() -> int:
    """Return the replicas, one a device, that compute the present step together: 1 outside of `Strategy.run`."""
    replicas = tf.distribute.get_replica_context()
    return 1 if replicas is None else replicas.num_replicas_in_sync


def gathered_from_replicas(rows: Array) -> Tensor:
    """Return the rows of the whole batch, in every replica the same and in the same order.

    Gradients come back: each replica gets those of its own rows, summed over what all replicas made of them. A loss
    that every replica computes of the whole batch has to be divided by `replica_count`, then.

    Args:
        rows: (B, ...), those of this replica; B may differ from replica to replica.

    Returns:
        (sum of all B, ...); `rows` itself where there is one replica, or none.

    Example:
        >>> candidates = queue(*map(gathered_from_replicas, (image_embedding, text_embedding, image_id, text_id)))
    """
    if replica_count() == 1:
        return rows
    rows = tf.convert_to_tensor(rows)
    sent = rows
    if rows.dtype not in SENT:
        sent = tf.cast(rows, "float32" if rows.dtype.is_floating else "int32")
    whole = _with_dense_gradient(tf.distribute.get_replica_context().all_gather(sent, axis=0))
    return tf.cast(tf.ensure_shape(whole, (None, *rows.shape[1:])), rows.dtype)


@tf.custom_gradient
def _with_dense_gradient(whole):
    return tf.identity(whole), tf.convert_to_tensor  # that of the few rows which are looked at comes as these rows


def total_rows(rows: Any) -> Any:
    """Return the rows of the whole batch, that of all replicas together, a number or a scalar tensor.

    Args:
        rows: B, the rows of this replica.
    """
    return rows if replica_count() == 1 else tf.reduce_sum(_counts(rows))


def own_rows(whole: Tensor, rows: Any, axis: int = 0) -> Tensor:
    """Return this replica's rows of what stands for the whole batch, such as random draws: as one device has them.

    Args:
        whole: tensor with `total_rows` along `axis`, in every replica the same.
        rows: B, the rows of this replica, a number or a scalar tensor.
        axis: where they are.
    """
    if replica_count() == 1:
        return whole
    first = tf.reduce_sum(_counts(rows)[: tf.distribute.get_replica_context().replica_id_in_sync_group])
    return tf.gather(whole, first + tf.range(rows), axis=axis)


def _counts(rows):
    return gathered_from_replicas(tf.reshape(tf.cast(rows, "int32"), [1]))


def mean_over_replicas(value: TensorLike) -> Tensor:
    """Return the mean of what each replica has, with gradients; of one replica the value itself.

    Args:
        value: tensor, of one shape in all replicas.
    """
    if replica_count() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce("mean", value)


def sum_over_replicas(values: Any) -> Any:
    """Return the sums of what each replica has, with gradients; of one replica the values themselves.

    Args:
        values: tensor or list of tensors, of one shape in all replicas; of an embedding's few rows too.
    """
    if replica_count() == 1 or (isinstance(values, Sequence) and not values):
        return values
    return tf.distribute.get_replica_context().all_reduce("sum", values)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over the whole batch: of what several replicas return, it is the mean.

    Args:
        values: float (N,), those of this replica; N may differ from replica to replica.
        weight: float (N,), 0 or more.

    Returns:
        Scalar, 0 where no value has a weight.
    """
    return tf.math.divide_no_nan(tf.reduce_sum(values * weight), mean_over_replicas(tf.reduce_sum(weight)))
