"""Converted text encoders: builtin operators, Keras' own answers, equal bytes, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import Encoder
from mmkeras.encoders.text import build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.conversion import _check_operators, convert, encoder_input
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import TEXT_OPERATORS, custom_operators, for_mediapipe, operators
from mmkeras.export.tflite.preparation import prepared_for_devices
from mmkeras.preprocessing import StringPreprocessor, TextPreprocessor

from ...hard_texts import names

TEXTS = names(60)
SIZES = {
    "text_cnn": {"width": 16, "filters": 8, "kernel_sizes": [1, 3]},
    "bert": {"width": 16, "depth": 1, "heads": 2, "initializer_range": None},
    "transformer": {"width": 16, "depth": 1, "heads": 2},
    "gru": {"width": 8, "units": 8},
}


@pytest.fixture(scope="module")
def preprocessor():
    return TextPreprocessor.train(TEXTS, 150, 10)


def build(kind, preprocessor):
    keras.utils.set_random_seed(1)
    sizes = {"vocabulary_size": preprocessor.vocabulary_size, "sequence_length": 10}
    return build_text_encoder(kind, embedding_dim=16, **sizes, **SIZES[kind])


def answers(encoder, preprocessor, texts):
    return encoder(preprocessor(texts), training=False)["embedding"].numpy()


@pytest.mark.parametrize("kind", SIZES)
def test_every_kind_of_text_encoder_has_builtin_operators_and_keras_answers(kind, preprocessor):
    encoder = build(kind, preprocessor)
    network = convert(encoder, preprocessor, "ids", "float32")
    assert custom_operators(network) == set()
    texts = [*TEXTS[:8], "", "a", "one two three four five six seven eight nine"]  # padded and not
    received = NetworkRunner(network, preprocessor).encode(texts)
    np.testing.assert_allclose(received, answers(encoder, preprocessor, texts), atol=2e-6)


def test_masks_survive_full_integers(preprocessor):
    encoder = build("bert", preprocessor)
    texts = ["a", "arrow", *TEXTS[:20]]  # most of the short ones' tokens are padding
    network = convert(encoder, preprocessor, "ids", "int8", TEXTS)
    received = NetworkRunner(network, preprocessor).encode(texts)
    assert np.sum(received * answers(encoder, preprocessor, texts), axis=1).min() > 0.99
    assert operators(network)["QUANTIZE"] >= 2


def test_equal_weights_give_equal_bytes(preprocessor):
    encoder = build("text_cnn", preprocessor)
    first = convert(encoder, preprocessor, "ids", "dynamic", TEXTS)
    build("bert", preprocessor)  # moves Keras' counters of names
    again = keras.models.clone_model(encoder)
    again.set_weights(encoder.get_weights())
    assert convert(again, preprocessor, "ids", "dynamic", TEXTS) == first


def test_strings_go_in_by_two_operators_and_by_mediapipes_name(preprocessor):
    encoder = build("text_cnn", preprocessor)
    network = convert(encoder, preprocessor, "text", "float32")
    assert custom_operators(network) == TEXT_OPERATORS
    renamed = for_mediapipe(network)
    assert len(renamed) == len(network)
    assert custom_operators(renamed) == {"TFSentencepieceTokenizeOp", "RaggedTensorToTensor"}
    texts = ["GREEK small", "", "日本 x", "a\0b\0", "x" * 10_000]
    for content in (network, renamed):
        received = NetworkRunner(content, None).encode(texts)
        np.testing.assert_allclose(received, answers(encoder, preprocessor, texts), atol=2e-6)
    with pytest.raises(MmkerasError, match="Expected an operator TFText"):
        for_mediapipe(renamed)


@pytest.mark.parametrize("precision", ["dynamic", "int8"])
@pytest.mark.parametrize("kind", ["text_cnn", "bert"])
def test_preparing_for_eight_bits_changes_next_to_nothing(kind, precision, preprocessor):
    encoder = build(kind, preprocessor)
    ids = preprocessor(TEXTS)
    prepared = prepared_for_devices(encoder, precision, ids.numpy())
    assert any(layer.name.endswith("_rows") for layer in prepared.layers)
    received = prepared(ids, training=False)["embedding"].numpy()
    assert np.sum(received * answers(encoder, preprocessor, TEXTS), axis=1).min() > 0.9999


def test_other_operators_are_listed(preprocessor):
    token_ids = keras.Input((10,), dtype="int32", name="token_ids")
    table = keras.layers.Embedding(preprocessor.vocabulary_size, 4)(token_ids)
    strange = keras.layers.Lambda(lambda x: tf.math.erfinv(x))(table)
    encoder = Encoder(token_ids, {"embedding": keras.layers.GlobalAveragePooling1D()(strange)})
    with pytest.raises(MmkerasError, match=r"builtin operators\. Received: Erfinv, which no device"):
        convert(encoder, preprocessor, "ids", "float32")
    with pytest.raises(MmkerasError, match="Received: Erfinv, which no device"):
        convert(encoder, preprocessor, "text", "float32")


def test_lost_weights_are_told(preprocessor):
    encoder = build("text_cnn", preprocessor)
    spec = tf.TensorSpec([1, 10], tf.int32)
    function = tf.function(lambda ids: encoder(ids)["embedding"], input_signature=[spec]).get_concrete_function()
    # The route that the module leaves out: it ends without an error, in a file without a weight.
    network = tf.lite.TFLiteConverter.from_concrete_functions([function], encoder).convert()
    assert len(network) < 30_000
    with pytest.raises(MmkerasError, match="lost its weights: it reads them from READ_VARIABLE, VAR_HANDLE"):
        _check_operators(network, encoder_input(encoder, preprocessor), "ids")


def test_what_cannot_be_is_refused(preprocessor):
    gru, cnn = build("gru", preprocessor), build("text_cnn", preprocessor)
    features = build_text_encoder("features", features=5, hidden=[], embedding_dim=4)
    for arguments, message in (
        (
            (gru, preprocessor, "ids", "int8", TEXTS),
            "than int8 of ids: the quantiser does not survive",
        ),
        (
            (gru, preprocessor, "mediapipe", "float32"),
            "than float32 of mediapipe: MediaPipe takes a",
        ),
        ((cnn, preprocessor, "ids", "int4"), "precision='int4'"),
        ((cnn, preprocessor, "pixels"), "Expected one of ids, text, mediapipe. Received: kind='pixels'"),
        ((cnn, preprocessor, "ids", "dynamic", []), "Expected texts of the training data, by which dynamic is set up"),
        ((features, None, "ids", "float32"), "over feature vectors"),
        ((cnn, None, "ids", "float32"), "no text_preprocessor"),
        ((cnn, StringPreprocessor(), "ids", "float32"), "holds its own tokenizer"),
    ):
        with pytest.raises(MmkerasError, match=message):
            convert(*arguments)
