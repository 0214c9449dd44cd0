"""A published BERT on a device: of WordPiece ids, within 25 MB, and close to Keras."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders.bert import bert_text_encoder
from mmkeras.encoders.text import build_text_encoder
from mmkeras.export.tflite.conversion import convert, encoder_input
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import custom_operators
from mmkeras.preprocessing.published_tokenizer import published_tokenizer

LENGTH = 46


def test_a_tokenizer_without_operators_of_a_device_leaves_ids():
    keras.utils.set_random_seed(1)
    encoder = bert_text_encoder(50, LENGTH, width=16, depth=1, heads=2, embedding_dim=8)

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
    tokenizer = published_tokenizer(folder, sequence_length=LENGTH)
    encoder = build_text_encoder(
        "pretrained", vocabulary_size=30522, sequence_length=LENGTH, checkpoint=str(folder), head="published"
    )
    captions = {"train": [], "dev": []}
    with open(real_data / "flickr8k" / "captions.jsonl") as lines:
        for line in map(json.loads, lines):
            captions[line["split"]].append(line["captions"][0])
    network = convert(encoder, tokenizer, "ids", "dynamic", captions["train"][:100])
    assert custom_operators(network) == set()
    assert len(network) + (folder / "vocab.txt").stat().st_size < 25e6
    for texts, least in ((captions["dev"][:300], 0.997), (["", "?!", "日本語", "dog " * 100], 0.985)):
        received = NetworkRunner(network, tokenizer).encode(texts)
        expected = encoder.predict(tokenizer(texts), verbose=0)["embedding"]
        cosines = np.sum(received * expected, axis=1) / np.linalg.norm(received, axis=1)
        assert cosines.min() > least
