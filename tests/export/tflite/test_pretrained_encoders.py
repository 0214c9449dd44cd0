"""Encoders upon published networks for devices: their towers, the heads behind them, and a run of a pair."""

import json
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.cli import main
from mmkeras.encoders.text import build_text_encoder
from mmkeras.export.tflite import check_preset
from mmkeras.export.tflite.conversion import convert
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import custom_operators
from mmkeras.on_device import ImageEncoder, TextEncoder
from mmkeras.training.untrained_run import untrained_run

from ...encoders.published_folders import write_bert, write_clip, write_siglip
from ...hard_texts import names
from ...preprocessing.test_sentencepiece_tokenizer import SIGLIP, learnt_of
from ...training.test_frozen_training import write_captions

VOCABULARY, LENGTH = 1000, 8
TEXTS = names(140)
PUBLISHED = {"clip": write_clip, "siglip": write_siglip}


class WordIds:
    """Ids of whole words, a text's end behind them: for towers whose tokenizer is not at hand."""

    sequence_length, vocabulary_size = LENGTH, VOCABULARY

    def __call__(self, texts):
        ids = np.zeros((len(texts), LENGTH), np.int32)
        for row, text in zip(ids, texts, strict=True):
            found = [1 + zlib.crc32(word.encode()) % (VOCABULARY - 2) for word in text.split()][: LENGTH - 1]
            row[: len(found) + 1] = [*found, VOCABULARY - 1]
        return tf.constant(ids)


def built(folder, **settings):
    sizes = {"vocabulary_size": VOCABULARY, "sequence_length": LENGTH}
    return build_text_encoder("pretrained", **sizes, checkpoint=str(folder), **settings)


def cosines(received, expected):
    """Cosines of what texts do not have in common."""
    received, expected = (rows - expected.mean(axis=0) for rows in (received, expected))
    return np.sum(received * expected, axis=1) / np.linalg.norm(received, axis=1) / np.linalg.norm(expected, axis=1)


def converted(encoder, precision):
    """The cosines with Keras, over texts that the ranges were not measured on, of a network of builtin operators."""
    network = convert(encoder, WordIds(), "ids", precision, TEXTS[:100])
    assert custom_operators(network) == set()
    texts = [*TEXTS[100:], "", "a"]
    return cosines(NetworkRunner(network, WordIds()).encode(texts), encoder(WordIds()(texts))["embedding"].numpy())


@pytest.mark.parametrize("family", ["siglip", pytest.param("clip", marks=pytest.mark.slow)])
def test_text_towers_of_pairs_answer_nearly_as_keras_behind_their_heads(family, tmp_path):
    folder = PUBLISHED[family](tmp_path / family, VOCABULARY, width=64)
    encoder = built(folder, head="published")
    assert converted(encoder, "dynamic").min() > 0.995
    assert converted(encoder, "int8").min() > 0.98


def test_ids_beside_features_stay_what_they_are_in_integers(tmp_path):
    keras.utils.set_random_seed(1)
    encoder = built(write_bert(tmp_path / "bert", VOCABULARY), bag=VOCABULARY, embedding_dim=32)
    (bag,) = encoder.adapted_layers()
    bag.adapt(WordIds()(TEXTS * 3))
    assert converted(encoder, "int8").min() > 0.99


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder of a published pair, with captions beside it."""
    folder = tmp_path_factory.mktemp("pair")
    write_captions(folder)
    return write_siglip(folder / "siglip", VOCABULARY, learnt_of(SIGLIP))


@pytest.fixture(scope="module")
def device(pair, tmp_path_factory):
    """A run of a pair as it is, and what `mmkeras tflite` writes of it."""
    folder = tmp_path_factory.mktemp("device")
    captions, pictures = (str(pair.parent / name) for name in ("captions.jsonl", "pictures.zip"))
    run = untrained_run(folder / "run", str(pair), captions, pictures)
    assert main(["tflite", str(folder / "run"), "--out", str(folder / "files")]) == 0
    return run.load_model(), folder / "files"


def test_a_pair_answers_on_a_device_as_in_keras(device, litert):
    model, files = device
    described = json.loads((files / "device.json").read_text())
    assert sorted(described["files"]) == ["image_encoder_dynamic_pixels.tflite", "text_encoder_dynamic_ids.tflite"]
    assert "SentencePieceTokenizer; ids are possible" in described["left_out"]["text_encoder_dynamic_text.tflite"]
    encoder = TextEncoder(files / "text_encoder_dynamic_ids.tflite")
    texts = [*TEXTS[:20], "", "red and green", "x" * 999]
    np.testing.assert_array_equal(encoder.token_ids(texts), model.text_preprocessor(texts))
    assert cosines(encoder.encode_text(texts), model.encode_text(texts)).min() > 0.995
    encoder = ImageEncoder(files / "image_encoder_dynamic_pixels.tflite")
    pictures = list(np.random.default_rng(1).integers(0, 256, (6, 16, 16, 3), np.uint8))
    assert cosines(encoder.encode_image(pictures), model.encode_image(np.stack(pictures))).min() > 0.99
    assert main(["parity", str(files)]) == 0


def test_presets_upon_published_networks_are_checked_before_training(pair, capsys):
    encoder = {"kind": "pretrained", "checkpoint": str(pair), "head": "published"}
    published = {"kind": "published", "checkpoint": str(pair)}
    preset = {
        "model": "DualEncoder",
        "image_encoder": encoder,
        "text_encoder": {"kind": "pretrained", "checkpoint": str(pair), "hidden": [8], "embedding_dim": 16},
        "image_preprocessor": published,
        "text_preprocessor": published,
    }
    assert sorted(check_preset(preset)) == ["ids", "pixels"]
    for name in ("pretrained_pair", "photos_pretrained"):
        assert main(["tflite", "--check", name]) == 2
        assert f"Preset {name} names no pretrained network" in capsys.readouterr().err
