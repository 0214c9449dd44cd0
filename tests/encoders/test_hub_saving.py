"""Models with hub modules: trained, checkpointed, saved without their handles and exported."""

import gc
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.export.saved_model import export_saved_model
from mmkeras.export.space import space_id
from mmkeras.training.checkpoint import load_checkpoint, save_checkpoint

from .hub_modules import STRINGS, TEXTS, batches, dual_encoder, hub_weights, text_encoder

# === Training ===


def test_training_moves_a_trained_module_and_no_frozen_one(sentences):
    for trainable in (False, True):
        model = dual_encoder(sentences, trainable)
        before = hub_weights(model)
        model.compile(keras.optimizers.Adam(0.1))
        model.fit(batches(), steps_per_epoch=3, verbose=0)
        after = hub_weights(model)
        assert before.keys() == {"hub/vectors", "hub/calls"}
        assert (np.abs(after["hub/vectors"] - before["hub/vectors"]).max() > 0.01) == trainable
        assert after["hub/calls"] == (3 if trainable else 0)


def test_a_frozen_module_may_be_trained_in_a_later_stage(sentences):
    encoder = text_encoder(sentences)
    layer = encoder.get_layer("hub")
    assert len(encoder.trainable_variables) == 5
    layer.trainable = True
    assert encoder.trainable_variables[0] is layer.weights[0]
    layer(STRINGS, training=True)
    assert layer.weights[1].numpy() == 1


def test_a_resumed_run_equals_an_uninterrupted_one(sentences, tmp_path):
    def fresh():
        keras.utils.set_random_seed(0)
        model = dual_encoder(sentences)
        model.compile()
        model.optimizer.build(model.trainable_variables)
        return model

    straight = fresh()
    straight.fit(batches(), steps_per_epoch=2, verbose=0)
    save_checkpoint(tmp_path / "checkpoint.npz", straight, 2)
    straight.fit(batches(), steps_per_epoch=2, verbose=0)
    resumed = fresh()
    assert load_checkpoint(tmp_path / "checkpoint.npz", resumed) == 2
    resumed.fit(batches(), steps_per_epoch=2, verbose=0)
    for own, other in zip(resumed.variables, straight.variables, strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), atol=1e-6, err_msg=own.path)


def test_the_module_is_part_of_the_space(sentences):
    model = dual_encoder(sentences)
    before = space_id(model)
    assert space_id(model) == before
    vectors = model.text_encoder.get_layer("hub").weights[0]
    vectors.assign(vectors + 1e-3)
    assert space_id(model) != before


# === Saving ===


def test_a_saved_model_needs_no_handle_and_goes_on_training(sentences, tmp_path):
    model = dual_encoder(sentences)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(batches(), steps_per_epoch=2, verbose=0)
    expected, identity, weights = model.encode_text(TEXTS), space_id(model), hub_weights(model)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(sentences)
    del model
    gc.collect()  # or the layer's files would be found in the one that was saved
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode_text(TEXTS), expected)
    assert space_id(loaded) == identity
    loaded.fit(batches(), steps_per_epoch=2, verbose=0)
    assert loaded.optimizer.iterations == 4
    assert np.abs(hub_weights(loaded)["hub/vectors"] - weights["hub/vectors"]).max() > 0.01
    assert np.abs(loaded.encode_text(TEXTS) - expected).max() > 0.01
    loaded.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again.encode_text(TEXTS), loaded.encode_text(TEXTS))


def test_a_copy_has_values_of_its_own(sentences):
    encoder = text_encoder(sentences, trainable=True)
    before = np.asarray(encoder(STRINGS)["embedding"])
    copy = keras.models.clone_model(encoder)
    copy.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(copy(STRINGS)["embedding"], before)
    copy.get_layer("hub").weights[0].assign(np.zeros((7, 4)))
    np.testing.assert_array_equal(encoder(STRINGS)["embedding"], before)
    assert np.abs(copy(STRINGS)["embedding"] - before).max() > 0.1


def test_a_config_alone_rebuilds_the_shapes_and_says_what_is_missing(sentences):
    encoder = text_encoder(sentences, trainable=True)
    config = json.loads(json.dumps(encoder.get_config()))
    shapes = [tuple(weight.shape) for weight in encoder.weights]
    shutil.rmtree(sentences)
    del encoder
    gc.collect()
    again = keras.Model.from_config(config)
    assert [tuple(weight.shape) for weight in again.weights] == shapes
    with pytest.raises(MmkerasError, match="built from a config alone.*Load the whole model from its .keras file"):
        again.get_layer("hub")(STRINGS)


def test_files_that_changed_are_not_saved_in_silence(sentences, tmp_path):
    encoder = text_encoder(sentences)
    (tmp_path / "sentences" / "assets" / "words.txt").write_text("other\nwords\nin\nit\n")
    with pytest.raises(MmkerasError, match="gone or no longer those that were loaded"):
        encoder.save(tmp_path / "encoder.keras")


def test_files_beside_the_module_are_not_taken_along(sentences, tmp_path):
    (tmp_path / "sentences" / "secret.txt").write_text("not part of it")
    layer = text_encoder(sentences).get_layer("hub")
    layer.save_assets(tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert "secret.txt" not in names
    assert {"saved_model.pb", "words.txt", "variables.index"} <= names


def test_a_copy_outlives_the_layer_whose_files_it_found(sentences, tmp_path):
    text_encoder(sentences).save(tmp_path / "first.keras")
    shutil.rmtree(sentences)
    gc.collect()
    loaded = keras.saving.load_model(tmp_path / "first.keras")
    copy = keras.models.clone_model(loaded)
    del loaded
    gc.collect()
    copy.save(tmp_path / "second.keras")
    again = keras.saving.load_model(tmp_path / "second.keras")
    np.testing.assert_array_equal(again(STRINGS)["embedding"], copy(STRINGS)["embedding"])


# === Export ===


def test_an_exported_model_gives_the_same_embeddings(sentences, tmp_path):
    model = dual_encoder(sentences)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(batches(), steps_per_epoch=2, verbose=0)
    export_saved_model(model, tmp_path / "exported")
    shutil.rmtree(sentences)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    received = exported.signatures["encode_text"](text=STRINGS)["embedding"]
    np.testing.assert_allclose(received, model.encode_text(TEXTS), atol=1e-6)
    assert exported.signatures["encode_text"](text=tf.constant([], tf.string))["embedding"].shape == (0, 5)
    assert (tmp_path / "exported" / "assets" / "words.txt").is_file()
