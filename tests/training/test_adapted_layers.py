"""Layers that take statistics of the training data have them before the first step, and keep them."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from mmkeras.data import PairedData
from mmkeras.encoders import feature_mlp_encoder, pretrained_image_encoder, pretrained_text_encoder
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import WordPieceTokenizer
from mmkeras.training import Recipe, Run, adapted_layers, train
from mmkeras.training.adapted_layers import adapt_layers

from ..encoders.published_folders import write_bert, write_siglip
from .test_frozen_training import PRESET, write_captions

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "cat", "runs", "sits", "red", "blue", "[MASK]"]
TEXTS = ["a dog runs", "a red dog sits", "a cat", "blue cat runs", "a red cat", "a dog"]
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), "uint8")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return str(write_siglip(folder / "siglip")), str(write_bert(folder / "bert"))


@pytest.fixture(scope="module")
def data():
    rows = np.arange(6)
    return PairedData("toy", PIXELS, TEXTS, rows, rows, np.stack([rows, rows], 1).astype("int32"))


def model_of(published):
    siglip, bert = published
    image = pretrained_image_encoder(16, 16, checkpoint=siglip, scaling="data", embedding_dim=4)
    text = pretrained_text_encoder(12, 8, checkpoint=bert, scaling="data", bag=3, embedding_dim=4)
    return DualEncoder(image, text, text_preprocessor=WordPieceTokenizer(VOCABULARY, 8))


def statistics(model):
    encoders = model.given_encoders().values()
    return [weight.numpy() for encoder in encoders for layer in encoder.adapted_layers() for weight in layer.weights]


def test_each_layer_sees_what_stands_before_it(published, data):
    model = model_of(published)
    adapt_layers(model, data)
    scaling, *text_layers = [layer for one in model.given_encoders().values() for layer in one.adapted_layers()]
    features = model.given_encoders()["image_encoder"].frozen_backbone()(PIXELS).numpy()
    np.testing.assert_allclose(scaling.mean, features.mean(axis=0), atol=1e-5)
    ids = model.text_preprocessor(TEXTS).numpy()
    joined = model.given_encoders()["text_encoder"].frozen_backbone()(ids).numpy()
    by_name = {layer.name: layer for layer in text_layers}
    np.testing.assert_allclose(by_name["input_scaling"].deviation, joined[:, :-8].std(axis=0), atol=1e-5)
    weights = by_name["bag"].weights_of_ids.numpy()
    # Of the words in three texts or more: "a" stands in 5, "dog" and "cat" in 3 each.
    np.testing.assert_allclose(weights[4:7], np.log([6 / 5, 2, 2]), rtol=1e-5)
    assert np.count_nonzero(weights) == 3


def test_features_that_were_computed_before_give_the_same(published, data):
    model = model_of(published)
    adapt_layers(model, data)
    expected = statistics(model)
    image, text = model.given_encoders()["image_encoder"], model.given_encoders()["text_encoder"]
    frozen = dataclasses.replace(
        data,
        images=image.frozen_backbone()(PIXELS).numpy(),
        text_inputs=text.frozen_backbone()(model.text_preprocessor(TEXTS)).numpy(),
    )
    keras.utils.set_random_seed(1)
    other = model_of(published)
    adapt_layers(other, frozen)
    for ours, theirs in zip(statistics(other), expected, strict=True):
        if ours.shape != (3, 4):  # the table is random
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_of_very_many_items_some_are_taken(published, data, monkeypatch):
    monkeypatch.setattr(adapted_layers, "ITEMS", 4)
    model = model_of(published)
    adapt_layers(model, data)
    features = model.given_encoders()["image_encoder"].frozen_backbone()(PIXELS).numpy()
    mean = model.given_encoders()["image_encoder"].adapted_layers()[0].mean.numpy()
    chosen = np.sort(np.random.default_rng(0).choice(6, 4, replace=False))
    np.testing.assert_allclose(mean, features[chosen].mean(axis=0), atol=1e-5)


def test_an_encoder_without_such_layers_is_not_even_called():
    encoder = feature_mlp_encoder(4, hidden=(), embedding_dim=4)
    assert encoder.adapted_layers() == []
    adapted_layers._adapt(encoder, None)


def test_a_training_adapts_them_and_one_that_begins_with_it_does_not(published, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    encoder = {"kind": "pretrained", "checkpoint": published[0], "scaling": "root", "embedding_dim": 8}
    preset = PRESET | {"image_preprocessor": {"height": 16, "width": 16}, "image_encoder": encoder}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    places = [write_captions(tmp_path / name, seed=seed) for seed, name in enumerate(("first", "second"))]

    def trained(place, *settings):
        own = [f"preset={tmp_path / 'preset.json'}", f"data={place}", f"image_folder={place.parent / 'pictures.zip'}"]
        own += ["limit=0", "batch_size=8", "deterministic=false", "epochs=1", "augment_shift=0", *settings]
        return train(Run.create(tmp_path / f"run-{place.parent.name}", "own", Recipe.load("glyphs_tiny", own)), 0)

    first = statistics(trained(places[0]))
    assert np.abs(first[0]).max() > 0
    second = statistics(trained(places[1], f"initial_weights={tmp_path / 'run-first'}"))
    for ours, theirs in zip(second, first, strict=True):
        np.testing.assert_array_equal(ours, theirs)
