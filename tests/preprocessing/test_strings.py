import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import StringPreprocessor

TEXTS = [" A Dog\t", "ÀÉ Ω", "", "\u00a0x"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, TEXTS),
        ({"lower": True}, [" a dog\t", "àé ω", "", "\u00a0x"]),
        ({"strip": True}, ["A Dog", "ÀÉ Ω", "", "\u00a0x"]),
        ({"lower": True, "strip": True}, ["a dog", "àé ω", "", "\u00a0x"]),
    ],
)
def test_nothing_changes_but_what_is_asked_for(settings, expected):
    preprocessor = StringPreprocessor(**settings)
    assert [text.decode() for text in preprocessor(TEXTS).numpy()] == expected
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(4).map(preprocessor)
    assert [text.decode() for text in next(iter(dataset)).numpy()] == expected


def test_its_config_is_its_settings():
    preprocessor = StringPreprocessor(lower=True)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(preprocessor))
    assert again.get_config() == {"lower": True, "strip": False}
    assert (again.vocabulary_size, again.sequence_length) == (None, None)


@pytest.mark.parametrize("texts", ["one text", [["a", "b"]]])
def test_other_ranks_are_refused(texts):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
        StringPreprocessor()(texts)
    function = tf.function(StringPreprocessor(), input_signature=[tf.TensorSpec(None, tf.string)])
    with pytest.raises(tf.errors.InvalidArgumentError):
        function(tf.constant(texts))


def test_an_argument_that_is_no_bool_is_refused():
    with pytest.raises(MmkerasError, match="Expected a bool. Received: lower='yes'"):
        StringPreprocessor(lower="yes")
    assert StringPreprocessor()(np.array([], dtype=object)).shape == (0,)
