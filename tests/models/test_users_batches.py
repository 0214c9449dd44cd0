"""What a user of Keras tries first: tuples, no ids, floats in 0 to 1, weights, a loss; refused by name, or right."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder
from mmkeras.models.batch_ids import text_codes

from .conftest import PRESET

TEXTS = ["a red dog", "a blue dog", "a green dog", "a red dog"]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8")
BATCH = {"image": IMAGES, "text": np.array(TEXTS)}


def build(**arguments):
    keras.utils.set_random_seed(1)
    model = DualEncoder.from_preset(PRESET, texts=TEXTS)
    model.compile(**arguments)
    return model


def batches(*parts, **keys):
    return tf.data.Dataset.from_tensor_slices(parts or dict(BATCH, **keys)).batch(4)


def test_a_batch_without_ids_is_one_picture_a_row_and_equal_texts_are_no_negatives():
    model = build()
    outputs = model(BATCH, training=False)
    with_ids = model.compute_losses(BATCH | {"image_id": [0, 1, 2, 0]}, outputs)["loss"]
    alone = model.compute_losses(BATCH | {"image_id": [0, 1, 2, 3]}, outputs)["loss"]
    ours = model.compute_losses(BATCH | {"image_id": [0, 1, 2, 3], "text_id": [0, 1, 2, 3]}, outputs)["loss"]
    without = model.compute_losses(BATCH, outputs)["loss"]
    assert float(without) == float(with_ids) == float(alone)
    assert float(ours) > float(without) + 1e-3
    history = model.fit(batches(), verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_equal_texts_alone_have_one_code():
    ids = np.random.default_rng(0).integers(0, 50, (3000, 12))
    ids = np.concatenate([ids, ids[:7]])
    codes = text_codes(tf.constant(ids, tf.int32)).numpy()
    assert len(set(codes)) == len(np.unique(ids, axis=0))
    assert (codes[-7:] == codes[:7]).all() and (codes >= 0).all()
    zero = text_codes(tf.constant([[0.0, 1.0], [-0.0, 1.0], [0.0, 1.5]])).numpy()
    assert zero[0] == zero[1] != zero[2]
    strings = text_codes(tf.constant(["a", "b", "a"])).numpy()
    assert strings[0] == strings[2] != strings[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            lambda: batches(IMAGES, np.array(TEXTS)),
            r"a dict: `image` .*Received: an array of shape .*of \(image, text\) Keras takes the second",
        ),
        (lambda: batches(IMAGES), r"a dict: `image` .*Received: (a tuple of 1|an array of shape)"),
        (lambda: tf.data.Dataset.from_tensor_slices({"image": IMAGES}).batch(4), "Received: a dict of image"),
        (lambda: batches(image=np.zeros((4, 9, 8, 3), "uint8")), r"images of 8 x 8 x 3.*Received: .*9, 8, 3\)"),
        (lambda: batches().map(lambda batch: (batch, batch["image"])), "Received: targets y"),
        (lambda: batches().map(lambda batch: (batch, None, tf.ones(4))), "no sample_weight or class_weight"),
        (lambda: batches().unbatch().batch(1, drop_remainder=True), "2 or more pairs: .*a batch of one"),
    ],
)
def test_what_cannot_be_trained_on_is_told(data, message):
    with pytest.raises(MmkerasError, match=message):
        build().fit(data(), verbose=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: batches(image=(IMAGES / 255).astype("float32")), "values from 0 to 255. Received floats of at most 1"),
        (lambda: batches().unbatch().batch(3), "2 or more pairs: .*drop_remainder"),
    ],
)
def test_what_is_known_when_the_graph_runs_is_told_then(data, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        build().fit(data(), verbose=0)


def test_floats_up_to_255_are_right_and_floats_up_to_1_are_told():
    model = build()
    right = model.encode_image(IMAGES)
    np.testing.assert_allclose(model.encode_image(IMAGES.astype("float32")), right, atol=1e-6)
    with pytest.raises(MmkerasError, match="values from 0 to 255. Received: float64 with a maximum of 1; multiply by"):
        model.encode_image(IMAGES / 255)
    assert model.encode_image(np.zeros((1, 8, 8, 3), "float32")).shape == (1, 8)  # black either way


@pytest.mark.parametrize("name", ["loss", "metrics", "loss_weights", "weighted_metrics"])
def test_what_compile_would_not_heed_is_refused(name):
    with pytest.raises(MmkerasError, match=f"Expected no {name}: DualEncoder has its own loss"):
        build(**{name: "mse" if name == "loss" else ["mse"]})


def test_what_else_saves_and_exports_is_named(tmp_path):
    model = build()
    model.fit(batches(), verbose=0)
    for name in ("model.h5", "model", "model.hdf5"):
        with pytest.raises(MmkerasError, match="ends in .keras. .*export_saved_model"):
            model.save(tmp_path / name)
    with pytest.raises(MmkerasError, match=r"export_saved_model\(model, '.*exported'\)"):
        model.export(tmp_path / "exported")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))


def embedding(model, texts):
    return model.text_encoder(model.text_preprocessor(texts), training=False)["embedding"].numpy()


def test_encoding_goes_by_the_layers_as_they_are():
    model = build()
    before = model.encode_text(TEXTS)
    traced = model.batch_encoder._embed_text.embed
    model.encode_text(TEXTS[:1])
    assert model.batch_encoder._embed_text.embed is traced  # nothing changed
    dense = next(layer for layer in model.text_encoder.layers if isinstance(layer, keras.layers.Dense))
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.ones(dense.lora_kernel_b.shape))
    changed = model.encode_text(TEXTS)
    assert np.abs(changed - before).max() > 1e-3
    np.testing.assert_allclose(changed, embedding(model, TEXTS), atol=1e-6)
    convolution = next(layer for layer in model.image_encoder.layers if isinstance(layer, keras.layers.Conv2D))
    before = model.encode_image(IMAGES)
    convolution.activation = keras.activations.tanh
    assert np.abs(model.encode_image(IMAGES) - before).max() > 1e-3


def test_encoding_after_quantisation():
    model = build()
    before = model.encode_text(TEXTS)
    model.text_encoder.quantize("int8")
    after = model.encode_text(TEXTS)
    np.testing.assert_allclose(after, embedding(model, TEXTS), atol=1e-6)
    assert 0.9 < np.min(np.sum(after * before, axis=1)) < 1 - 1e-7


def test_weights_that_change_need_no_new_trace():
    model = build()
    model.encode_text(TEXTS)
    traced = model.batch_encoder._embed_text.embed
    model.fit(batches(), verbose=0)
    np.testing.assert_allclose(model.encode_text(TEXTS), embedding(model, TEXTS), atol=1e-6)
    assert model.batch_encoder._embed_text.embed is traced


def test_bytes_that_are_no_text_are_refused():
    model = build()
    picture = b"\x89PNG\r\n\x1a\n\x00\x00"
    with pytest.raises(MmkerasError, match=r"Expected Unicode text. Received: text 1 = b'\\x89PNG.*encode_image takes"):
        model.encode_text(["a dog", picture])
    with pytest.raises(MmkerasError, match="Expected Unicode text. Received: text 0"):
        model.encode_text(["half \ud83d a pair"])


def test_gradients_are_not_gathered_over_the_steps_of_one_batch():
    """CMGAN's pathways take several steps a batch: their gradients would be gathered in place of batches."""

    class Twice(DualEncoder):
        @property
        def roles(self):
            return {"main": 2}

    model = Twice.from_preset(PRESET | {"model": "Twice"}, texts=TEXTS)
    optimizer = keras.optimizers.Adam(gradient_accumulation_steps=4)
    with pytest.raises(MmkerasError, match="no gradient_accumulation_steps for main: it takes 2 steps a batch"):
        model.compile(optimizer)
    build(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=4))
