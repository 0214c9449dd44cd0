"""Signatures over tf.Example, which TensorFlow Serving's Classify calls."""

import numpy as np
import tensorflow as tf


def example_signature(classify, spec, bounds):
    """Return the signature that makes a classify function callable by PredictionService.Classify.

    Classify hands a signature one string vector of serialized examples, under the name `inputs`, and reads `classes`
    and `scores` (tensorflow_serving/servables/tensorflow/classifier.cc). Categories come in the order of the model's
    `label_names`, all of them, not sorted by score.

    An example holds one feature, named as the input of `classify`: `text` or `image_bytes` of one value, or `image` of
    as many floats as the model takes. Others are passed over. One that lacks it, or holds another type or number of
    values, fails the batch with INVALID_ARGUMENT and the feature's name.

    Args:
        classify: function of a batch that returns `probabilities` (N, C) and `labels` (N, C).
        spec: `tf.TensorSpec` of its input.
        bounds: `RequestBounds` of the examples.

    Returns:
        (function, [tf.TensorSpec]).
    """
    feature = {spec.name: tf.io.FixedLenFeature(spec.shape[1:], spec.dtype)}

    def classify_examples(inputs):
        examples = bounds.rows(tf.ensure_shape(inputs, [None]))
        answer = classify(tf.io.parse_example(examples, feature)[spec.name])
        return {"classes": answer["labels"], "scores": answer["probabilities"]}

    return classify_examples, [tf.TensorSpec([None], tf.string, name="inputs")]


def serialized_examples(name, rows):
    """Return the rows of one feature as serialized tf.Examples.

    Args:
        name: the feature's name.
        rows: array (N,) of byte strings or (N, F) of floats.

    Returns:
        Byte-string array (N,).
    """
    return np.array([_serialized(name, row) for row in rows])


def _serialized(name, row):
    if isinstance(row, bytes):
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[row]))
    else:
        feature = tf.train.Feature(float_list=tf.train.FloatList(value=row))
    # A byte-string array drops zeros at an end. This feature, which nobody asks for, sorts last and ends in 1.
    end = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    features = tf.train.Features(feature={name: feature, "~": end})
    return tf.train.Example(features=features).SerializeToString(deterministic=True)
