"""An encoder's network as devices compute it best."""

import functools

import keras
import numpy as np
import tensorflow as tf

from mmkeras.encoders.backbone import Backbone
from mmkeras.layers.token_and_position_embedding import TokenAndPositionEmbedding

_BATCH = 32  # examples that go through the encoder at a time
_FIXED_POINT = 2**30  # of the rows' scales, which as floats the converter would round to 8 bits


def prepared_for_devices(encoder, precision="float32", examples=None):
    """Return an encoder of the same function as device runtimes compute it best.

    The embedding's length is bounded before its root is taken: some kernels of a device make NaN of a vector of zeros.
    In 8 bits a table of tokens loses less than the converter's, which has one scale: here each row has its own, so that
    rare words, whose vectors are short, keep their 8 bits. The precision `dynamic` rounds what a projection multiplies:
    of the projection's input the mean is taken off before and what it amounts to added behind, in float, so that only
    what differs from text to text is rounded (the features of a text-CNN are positive, their mean is most of them).
    The layers of a `Backbone` are laid open, so that all this is done within it too.

    Args:
        encoder: `Encoder`.
        precision: `float32`, `float16`, `dynamic` or `int8`.
        examples: array (N, ...) of what it takes, by which the mean is taken; for `dynamic` alone.

    Returns:
        Functional model on the encoder's own layers, with the output `embedding` alone.
    """
    encoder = _laid_open(encoder)
    inputs = keras.Input(encoder.input.shape[1:], dtype=encoder.input.dtype, name=encoder.input.name)

    def call(layer, *arguments, **named):
        if isinstance(layer, keras.layers.UnitNormalization):
            return _step(f"{layer.name}_bounded", _of_unit_length, arguments[0], arguments[0].shape)
        if precision not in ("dynamic", "int8"):
            return layer(*arguments, **named)
        # Of exactly this class: one that follows from it may compute something else.
        if type(layer) in (keras.layers.Embedding, TokenAndPositionEmbedding):
            return _rows(layer, arguments[0])
        is_linear = isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear
        if is_linear and precision == "dynamic":
            mean = _mean(keras.Model(inputs, arguments[0]), examples)
            centred = functools.partial(_centred, layer, mean, mean @ layer.kernel.numpy())
            return _step(f"{layer.name}_centred", centred, arguments[0], (*arguments[0].shape[:-1], layer.units))
        return layer(*arguments, **named)

    return _on_the_same_layers(encoder, inputs, call)


def _laid_open(encoder):
    """An encoder with the layers of a `Backbone` in the place of it."""

    def call(layer, *arguments, **named):
        return (layer.call if isinstance(layer, Backbone) else layer)(*arguments, **named)

    return _on_the_same_layers(encoder, None, call)


def _on_the_same_layers(encoder, inputs, call):
    return keras.models.clone_model(
        encoder, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    )


def _rows(layer, token_ids):
    """The vectors of ids, of a table in 8 bits; where they have places in the sequence, with the vectors of these."""
    has_places = isinstance(layer, TokenAndPositionEmbedding)
    embedding = layer.token_embedding if has_places else layer
    look_up = functools.partial(_look_up, *_rows_in_eight_bits(embedding.embeddings.numpy()))
    rows = _step(f"{layer.name}_rows", look_up, token_ids, (*token_ids.shape, embedding.output_dim))
    if not has_places:
        return rows
    places = layer.position_embedding.numpy() + (layer.type_embedding.numpy()[0] if layer.types else 0)
    return _step(f"{layer.name}_places", functools.partial(_placed, places), rows, rows.shape)


def _placed(places, rows):
    return rows + places[: rows.shape[1]]


def _step(name, function, x, shape):
    return keras.layers.Lambda(function, output_shape=shape[1:], name=name)(x)


def _of_unit_length(vectors):
    squares = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    return vectors * tf.math.rsqrt(tf.maximum(squares, 1e-12))


def _mean(features, examples):
    """The mean of the last axis of features over all examples, a few of which are in memory at a time."""
    batches = np.array_split(examples, -(-len(examples) // _BATCH))
    values = [features(batch, training=False).numpy() for batch in batches]
    return np.concatenate([value.reshape(-1, value.shape[-1]) for value in values]).mean(axis=0)


def _centred(layer, mean, offset, features):
    return layer(features - mean) + offset


def _rows_in_eight_bits(table):
    """A table (V, W) as int8 with a scale a row, int32 (V, 1), in units of the third value."""
    scales = abs(table).max(axis=1, keepdims=True) / 127
    unit = max(float(scales.max()), 1e-30) / _FIXED_POINT
    fixed = (scales / unit).round().astype("int32")
    rounded = (table / scales.clip(1e-30)).round().clip(-127, 127).astype("int8")
    return rounded, fixed, unit


def _look_up(table, scales, unit, token_ids):
    rows = tf.cast(tf.gather(tf.constant(table), token_ids), tf.float32)
    return rows * (tf.cast(tf.gather(tf.constant(scales), token_ids), tf.float32) * unit)
