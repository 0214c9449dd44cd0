"""The space id changes with everything that decides what an embedding means, and with nothing else."""

import json

import keras
import numpy as np
import pytest

from mmkeras.export import space_id
from mmkeras.export.space import preprocessing_settings
from mmkeras.models import DualEncoder

TEXTS = ["LATIN SMALL LETTER A", "GREEK SMALL LETTER OMEGA", "SNOWMAN", "DIGIT ONE"] * 5


@pytest.fixture
def small_model(small_preset):
    """A function that builds one untrained model, with changes of its image preprocessor."""
    preset = json.loads(small_preset.read_text())

    def build(**changes):
        keras.utils.set_random_seed(0)
        image_preprocessor = {**preset["image_preprocessor"], **changes}
        return DualEncoder.from_preset({**preset, "image_preprocessor": image_preprocessor}, texts=TEXTS)

    return build


def test_a_run_has_one_space_however_often_it_is_loaded(tiny_run, tiny_model):
    identity = space_id(tiny_model)
    assert len(identity) == 64 and int(identity, 16)
    # Each load draws new seeds for the dropouts: they decide nothing that is served.
    assert space_id(tiny_run.load_model()) == identity


def test_a_training_step_of_dropout_is_no_other_space_but_its_weights_are(tiny_run):
    model = tiny_run.load_model()
    identity = space_id(model)
    model.encode_text(["SNOWMAN"])
    model.text_encoder(np.ones((1, 12), np.int32), training=True)
    batch_norm = [layer for layer in model.text_encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert space_id(model) != identity  # the moving statistics moved
    model = tiny_run.load_model()
    assert space_id(model) == identity and batch_norm
    model.temperature.learnt.assign(-1.0)  # only the loss reads it
    assert space_id(model) == identity


def test_every_weight_counts(small_model):
    model = small_model()
    seen = {space_id(model)}
    for encoder in (model.image_encoder, model.text_encoder):
        for variable in encoder.weights:
            variable.assign_add(np.full(variable.shape, 1e-3, variable.dtype))
            seen.add(space_id(model))
    assert len(seen) == 1 + len(model.image_encoder.weights) + len(model.text_encoder.weights)


def test_preprocessing_counts(small_model):
    identity = space_id(small_model())
    assert space_id(small_model()) == identity
    for change in ({"aspect": "crop"}, {"background": 0}, {"antialias": False}):
        assert space_id(small_model(**change)) != identity


def test_preprocessing_settings_rebuild_the_preprocessors(tiny_model):
    settings = preprocessing_settings(tiny_model)
    text = keras.saving.deserialize_keras_object(settings["text_preprocessor"])
    np.testing.assert_array_equal(text(["snowman"]), tiny_model.text_preprocessor(["snowman"]))
    image = keras.saving.deserialize_keras_object(settings["image_preprocessor"])
    assert image.get_config() == tiny_model.image_preprocessor.get_config()
