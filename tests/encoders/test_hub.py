import gc
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import HubLayer, build_image_encoder, build_text_encoder, hub_image_encoder, hub_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import StringPreprocessor

from ..model_checks import check_config, check_gradients, check_model, check_saving
from .hub_modules import IMAGES, STRINGS, TEXTS, image_encoder, text_encoder, traced


def vectors_of(handle, texts=STRINGS):
    return tf.saved_model.load(handle)(texts).numpy()


# === Image ===


@pytest.mark.parametrize("trainable", [False, True])
def test_image_encoder_is_a_sound_model(pictures, tmp_path, trainable):
    shapes = {"tokens": (3, 24, 5), "embedding": (3, 5)}
    # The norm before the MLP, its layer and the projection; of the module what the function uses, the kernel.
    check_model(
        lambda: image_encoder(pictures, trainable=trainable), IMAGES, shapes, tmp_path, 5 + trainable, half=("tokens",)
    )


def test_vectors_give_no_tokens(pictures):
    encoder = image_encoder(pictures, output_key="vector")
    assert set(encoder.output) == {"embedding"}
    assert (encoder.name, encoder.input.name) == ("image_encoder", "image")


@pytest.mark.parametrize(("scale", "low", "high"), [("0..1", 0, 1), ("-1..1", -1, 1), ("0..255", 0, 255)])
def test_the_module_sees_pixels_in_its_scale(pictures, scale, low, high):
    encoder = image_encoder(pictures, scale=scale)
    pixels = tf.constant(low + (high - low) * (IMAGES / 255), tf.float32)
    expected = tf.saved_model.load(pictures)(pixels)["map"]
    np.testing.assert_allclose(encoder(IMAGES)["tokens"], tf.reshape(expected, (3, 24, 5)), rtol=1e-4, atol=1e-5)


def test_regularisation_and_statistics_are_those_of_a_trained_module_only(pictures):
    for trainable in (False, True):
        layer = HubLayer(pictures, trainable=trainable, output_key="vector")
        inputs = tf.constant(IMAGES / 255, tf.float32)
        layer(inputs, training=False)
        assert layer.losses == []
        before = layer.get_weights()
        layer(inputs, training=True)
        kernel, mean = layer.weights
        assert np.abs(mean.numpy()).max() > 0.1 if trainable else (mean.numpy() == before[1]).all()
        assert [float(loss) for loss in layer.losses] == (
            [pytest.approx(0.5 * np.sum(kernel.numpy() ** 2), rel=1e-5)] if trainable else []
        )


# === Text ===


def test_text_encoder_takes_strings(sentences):
    encoder = text_encoder(sentences)
    assert (encoder.name, encoder.input.name, encoder.input.dtype) == ("text_encoder", "text", "string")
    np.testing.assert_allclose(np.linalg.norm(encoder(STRINGS)["embedding"], axis=-1), np.ones(3), rtol=1e-5)
    np.testing.assert_array_equal(encoder.get_layer("hub")(STRINGS), vectors_of(sentences))


@pytest.mark.parametrize("trainable", [False, True])
def test_text_encoder_is_a_sound_model(sentences, tmp_path, trainable):
    encoder = text_encoder(sentences, trainable=trainable)
    assert len(encoder.trainable_variables) == 5 + trainable
    check_config(encoder)
    check_saving(encoder, STRINGS, tmp_path)
    check_gradients(encoder, STRINGS)


def test_a_preprocessor_of_token_ids_is_refused(sentences):
    with pytest.raises(MmkerasError, match="Expected a StringPreprocessor.*vocabulary_size=60"):
        build_text_encoder("hub", handle=sentences, vocabulary_size=60, sequence_length=6)
    with pytest.raises(MmkerasError, match="'gru' takes token ids, and the text_preprocessor returns strings"):
        build_text_encoder("gru", vocabulary_size=None, sequence_length=None)


# === What is refused ===


def test_a_handle_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(MmkerasError, match="There is no folder '.*missing'"):
        HubLayer(str(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MmkerasError, match="'.*empty' is no SavedModel.*Found: nothing"):
        HubLayer(str(tmp_path / "empty"))
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"no protobuf")
    with pytest.raises(MmkerasError, match="Hub handle '.*empty': the SavedModel cannot be loaded"):
        HubLayer(str(tmp_path / "empty"))
    with pytest.raises(MmkerasError, match="Expected a hub handle.*handle=None"):
        HubLayer(None)


def test_a_download_without_network_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(MmkerasError, match="'https://127.0.0.1:1/module/1' cannot be downloaded: .+"):
        HubLayer("https://127.0.0.1:1/module/1")


def test_a_module_of_other_inputs_is_told_what_it_takes(pictures, sentences):
    with pytest.raises(MmkerasError, match=r"takes float32 \(1, 4, 6, 3\). Received: it takes string \(N,\)"):
        hub_image_encoder(sentences, 4, 6)
    with pytest.raises(MmkerasError, match=r"takes string \(1,\). Received: it takes float32 \(N, 4, 6, 3\)"):
        hub_text_encoder(pictures)
    with pytest.raises(MmkerasError, match=r"takes float32 \(1, 8, 8, 3\). Received: it takes float32 \(N, 4, 6, 3\)"):
        hub_image_encoder(pictures, 8, 8)


def test_outputs_of_another_rank_or_kind_are_refused(pictures):
    with pytest.raises(MmkerasError, match=r"floats \(N, W\) or \(N, h, w, W\). Received: int32 \(N,\)"):
        image_encoder(pictures, output_key="count")
    with pytest.raises(MmkerasError, match="one of count, map, vector. Received: output_key='feature'"):
        image_encoder(pictures, output_key="feature")
    with pytest.raises(MmkerasError, match="one of count, map, vector. Received: output_key=None"):
        image_encoder(pictures, output_key=None)


def test_an_output_key_of_a_module_with_one_tensor_is_refused(sentences):
    with pytest.raises(MmkerasError, match="expected a dict of outputs. Received: one tensor, output_key='vector'"):
        text_encoder(sentences, output_key="vector")


def test_an_unknown_scale_is_refused(pictures):
    with pytest.raises(MmkerasError, match="Expected a scale of 0..1, -1..1, 0..255. Received: scale='0-1'"):
        image_encoder(pictures, scale="0-1")


def test_kinds_are_built_by_name(pictures, sentences):
    image = build_image_encoder("hub", handle=pictures, height=4, width=6, channels=3, output_key="vector")
    text = build_text_encoder("hub", handle=sentences, vocabulary_size=None, sequence_length=None)
    assert image.output["embedding"].shape == text.output["embedding"].shape == (None, 256)


def test_a_preset_names_modules(pictures, sentences):
    preset = {
        "model": "DualEncoder",
        "image_preprocessor": {"height": 4, "width": 6},
        "image_encoder": {"kind": "hub", "handle": pictures, "output_key": "vector", "hidden": [6], "embedding_dim": 5},
        "text_encoder": {"kind": "hub", "handle": sentences, "hidden": [], "embedding_dim": 5},
    }
    model = DualEncoder.from_preset(preset, text_preprocessor=StringPreprocessor(lower=True))
    np.testing.assert_array_equal(model.encode_text(["A DOG"]), model.encode_text(["a dog"]))
    expected = np.sum(model.encode_image(IMAGES) * model.encode_text(TEXTS), axis=-1)
    np.testing.assert_allclose(model.match(IMAGES, model.text_preprocessor(TEXTS)), expected, atol=1e-6)


# === Signatures ===


def test_a_signature_is_used_where_the_module_cannot_be_called(tmp_path):
    """Keras' own export is such a module."""
    network = keras.Sequential([keras.Input((3,), name="vector"), keras.layers.Dense(2, name="dense")])
    network.export(tmp_path / "exported", verbose=False)
    inputs = np.ones((2, 3), "float32")
    layer = HubLayer(str(tmp_path / "exported"))
    np.testing.assert_allclose(layer(inputs), network(inputs), rtol=1e-6)
    assert len(layer.weights) == 2
    with pytest.raises(MmkerasError, match="one of serve, serving_default. Received: signature='other'"):
        HubLayer(str(tmp_path / "exported"), signature="other")
    with pytest.raises(MmkerasError, match="to train it: .*signature='serve'"):
        HubLayer(str(tmp_path / "exported"), signature="serve", trainable=True)
    with pytest.raises(MmkerasError, match="to train it: .*signature='serving_default'"):
        HubLayer(str(tmp_path / "exported"), trainable=True)


def test_the_old_format_works_frozen(tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, [None, 2])
        outputs = inputs @ v1.get_variable("kernel", initializer=[[1.0, 2.0], [3.0, 4.0]])
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "old"), {"x": inputs}, {"y": outputs})
    symbol = keras.Input((2,))
    model = keras.Model(symbol, HubLayer(str(tmp_path / "old"))(symbol))
    np.testing.assert_array_equal(model(np.array([[1.0, 1.0]])), [[4.0, 6.0]])
    model.get_layer(index=1).weights[0].assign([[0.0, 0.0], [1.0, 1.0]])
    model.save(tmp_path / "model.keras")
    shutil.rmtree(tmp_path / "old")
    del model
    gc.collect()
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(np.array([[1.0, 1.0]])), [[1.0, 1.0]])


def test_nothing_to_train_is_told(tmp_path):
    module = tf.train.Checkpoint()
    function = traced(module, lambda text, training=False: tf.ones((1, 2)), tf.TensorSpec((None,), tf.string))
    tf.saved_model.save(function, tmp_path / "fixed")
    with pytest.raises(MmkerasError, match="expected trainable variables. Received: trainable=True, and 0 variables"):
        HubLayer(str(tmp_path / "fixed"), trainable=True)
    symbol = keras.Input((), dtype="string")
    assert HubLayer(str(tmp_path / "fixed"))(symbol).shape == (None, 2)
