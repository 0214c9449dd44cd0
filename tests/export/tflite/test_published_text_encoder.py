"""A published BERT on a device: of WordPiece ids, within 25 MB, and close to Keras."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import Encoder
from mmkeras.encoders.bert import bert_text_encoder
from mmkeras.encoders.pretrained_weights import load_bert
from mmkeras.export.tflite.conversion import convert, encoder_input
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import custom_operators
from mmkeras.layers.masked_pooling import MaskedMeanPooling

LENGTH = 46


class IdsOfLibrary:
    """Ids that the library `tokenizers` makes, where a model has its tokenizer."""

    sequence_length = LENGTH

    def __init__(self, file):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.enable_truncation(LENGTH)
        self.tokenizer.enable_padding(length=LENGTH)

    def __call__(self, texts):
        return tf.constant([one.ids for one in self.tokenizer.encode_batch(list(texts))], tf.int32)


def sentence_encoder(depth, **sizes):
    encoder = bert_text_encoder(depth=depth, class_id=None, embedding_dim=None, **sizes)
    pooled = MaskedMeanPooling()(encoder.output["tokens"], keras.ops.not_equal(encoder.input, 0))
    unit = keras.layers.UnitNormalization(dtype="float32", name="unit_norm")(pooled)
    return encoder, Encoder(encoder.input, {"embedding": unit})


def test_a_tokenizer_without_operators_of_a_device_leaves_ids():
    keras.utils.set_random_seed(1)
    _, encoder = sentence_encoder(1, vocabulary_size=50, sequence_length=LENGTH, width=16, heads=2)

    class Another:
        sequence_length = LENGTH

        def __call__(self, ids):
            return tf.constant(ids)

    ids = np.random.default_rng(0).integers(1, 50, (20, LENGTH), np.int32)
    ids[::2, 9:] = 0
    source = encoder_input(encoder, Another())
    assert source.impossible("ids", "dynamic") == ""
    assert source.impossible("mediapipe", "dynamic").startswith("no device runtime has the operators of a Another")
    network = convert(encoder, Another(), "ids", "float32")
    expected = encoder(ids, training=False)["embedding"].numpy()
    np.testing.assert_allclose(NetworkRunner(network, Another()).encode(ids), expected, atol=2e-6)


@pytest.mark.slow
def test_minilm_is_close_to_keras_within_25_megabytes(real_data):
    folder = real_data / "all_minilm_l6_v2"
    preprocessor = IdsOfLibrary(folder / "tokenizer.json")
    bert, encoder = sentence_encoder(6, vocabulary_size=30522, sequence_length=LENGTH, width=384, heads=12)
    load_bert(bert, folder / "model.safetensors")
    captions = {"train": [], "dev": []}
    with open(real_data / "flickr8k" / "captions.jsonl") as lines:
        for line in map(json.loads, lines):
            captions[line["split"]].append(line["captions"][0])
    network = convert(encoder, preprocessor, "ids", "dynamic", captions["train"][:100])
    assert custom_operators(network) == set()
    assert len(network) + (folder / "vocab.txt").stat().st_size < 25e6
    texts = captions["dev"][:300]
    received = NetworkRunner(network, preprocessor).encode(texts)
    expected = encoder.predict(preprocessor(texts), verbose=0)["embedding"]
    cosines = np.sum(received * expected, axis=1) / np.linalg.norm(received, axis=1)
    assert cosines.min() > 0.995 and cosines.mean() > 0.998
    hard = preprocessor(["", "?!", "日本語", "dog " * 100])
    received = NetworkRunner(network, lambda ids: ids).encode(hard)
    expected = encoder.predict(hard, verbose=0)["embedding"]
    assert np.sum(received * expected, axis=1).min() > 0.985
