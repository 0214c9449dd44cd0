"""What holds for every tokenizer: checked for each of them by its own tests."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ..hard_texts import hard_texts

# What keeps something between calls, which the texts of clients could fill.
GROWING = (
    "MutableHashTable",
    "MutableDenseHashTable",
    "Queue",
    "Stack",
    "Barrier",
    "TensorArrayV2",
    "LookupTableInsert",
)


def check_everywhere(tokenizer, tmp_path, fresh):
    """The ids are the same eagerly, in tf.data, in a SavedModel and from a config, which holds everything."""
    texts = hard_texts(1500)
    eager = tokenizer(texts).numpy()
    assert eager.dtype == np.int32 and eager.shape == (1500, tokenizer.sequence_length)
    assert 0 <= eager.min() and eager.max() < tokenizer.vocabulary_size
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(400).map(tokenizer, num_parallel_calls=2)
    assert batches.element_spec.shape.as_list() == [None, tokenizer.sequence_length]
    np.testing.assert_array_equal(eager, np.concatenate(list(batches.as_numpy_iterator())))
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(tokenizer)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(tokenizer) and again.get_config() == tokenizer.get_config()
    np.testing.assert_array_equal(eager, again(texts))
    module = tf.Module()
    module.resources = fresh.resources()
    # Its operation is first made inside of the graph.
    module.serve = tf.function(fresh.__call__, input_signature=[tf.TensorSpec(None, tf.string)])
    tf.saved_model.save(module, str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served")).serve
    np.testing.assert_array_equal(eager, served(tf.constant(texts)))
    assert served(tf.zeros([0], tf.string)).shape == (0, tokenizer.sequence_length)
    assert tokenizer(tf.zeros([0], tf.string)).shape == (0, tokenizer.sequence_length)
    for wrong in ("a", [["a"]]):
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="shape"):
            tokenizer(wrong)
        with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
            served(tf.constant(wrong))
    used = operations(tmp_path / "served")
    assert not [name for name in used if any(word in name for word in GROWING)]
    return used


def operations(folder):
    """The operations of a SavedModel, a set of names."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    return {node.op for node in graph.node} | {
        node.op for function in graph.library.function for node in function.node_def
    }


def check_counts(tokenizer, longer):
    """`count_ids` counts what a row of `longer` holds, whose pad is no end, and `count_cut` what a short one cannot."""
    texts = hard_texts(800)
    rows = longer(texts).numpy()
    counted = tokenizer.count_ids(texts)
    assert counted.dtype == np.int64 and tokenizer.count_ids([]).shape == (0,)
    fitting = counted <= longer.sequence_length
    assert 0.9 < fitting.mean()
    filled = longer.sequence_length - (rows[:, ::-1] == longer.pad_id).argmin(axis=1)
    fitting &= (rows != longer.pad_id).any(axis=1)
    np.testing.assert_array_equal(filled[fitting], counted[fitting])
    assert tokenizer.count_cut(texts) == (counted > tokenizer.sequence_length).sum() > 0


def check_normalized(tokenizer):
    """Texts that are equal when normalised have the same ids, and `normalized` changes nothing twice."""
    texts = hard_texts(1500)
    normalized = tokenizer.normalized(texts)
    assert tokenizer.normalized([]) == []
    by_text: dict[str, bytes] = {}
    shared = 0
    for text, row in zip(normalized, tokenizer(texts).numpy(), strict=True):
        shared += text in by_text
        assert by_text.setdefault(text, row.tobytes()) == row.tobytes()
    assert shared > 20


def check_words(tokenizer, texts):
    """The places of words are those of all ids that are no special ones, each once and in order."""
    for row in tokenizer(texts).numpy():
        words = tokenizer.words(row)
        places = [place for _, span in words for place in span]
        # What is unknown is a word, unless its id is that of an end.
        unknown = {tokenizer.unknown_id} - {tokenizer.begin_id, tokenizer.end_id}
        framing = set(tokenizer.special_ids) - unknown
        assert places == [place for place, token_id in enumerate(row.tolist()) if token_id not in framing]
        assert all(word for word, _ in words)
