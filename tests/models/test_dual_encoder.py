import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.losses import info_nce
from mmkeras.models import DualEncoder, FusedAdam

from ..model_checks import config_text, no_user_warning
from .conftest import PRESET, TEXTS

EXCLUDED = ("bias", "gamma", "beta", "log_temperature")


def endless(batch):
    return tf.data.Dataset.from_tensors(batch).repeat()


def fit(model, batch, steps=4, epochs=1):
    # `shuffle=False` is Keras' own wish for a tf.data.Dataset.
    return model.fit(endless(batch), steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False).history["loss"]


def decayed(optimizer, variables):
    """The variables that an optimizer shrinks when every gradient is 0 and its weight decay is large."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [variable for variable in variables if inner._use_weight_decay(variable)]


def test_fitting_lowers_the_loss_without_a_warning(model, batch):
    with no_user_warning():
        model.compile()
        history = fit(model, batch, steps=5, epochs=4)
    assert history[-1] < 0.5 * history[0]
    assert history[-1] < math.log(6) / 2
    similarity = model.encode_image(batch["image"]) @ model.encode_text(TEXTS).T
    assert set(model.metrics_names) == {"loss"}
    assert np.trace(similarity) > similarity.sum() / 6


def test_the_loss_is_info_nce_of_the_embeddings(model, batch):
    model.compile()
    batch = {**batch, "image_id": np.array([0, 1, 0, 2, 3, 3])}
    loss = model.evaluate(endless(batch).take(1), verbose=0)
    embeddings = model.encode_image(batch["image"]), model.encode_text(TEXTS)
    assert loss == pytest.approx(np.mean(info_nce(*embeddings, 0.07, batch["image_id"])), rel=1e-4)


def test_compile_alone_is_adam_with_weight_decay(model):
    model.compile()
    optimizer = model.optimizer
    assert isinstance(optimizer, FusedAdam)
    assert (float(optimizer.learning_rate), optimizer.weight_decay, optimizer.global_clipnorm) == (
        pytest.approx(1e-3),
        0.01,
        1.0,
    )
    assert not model.jit_compile


def test_weight_decay_is_for_matrices_only(model, batch):
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=1.0))
    before = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.apply([tf.zeros_like(v.value) for v in model.trainable_variables], model.trainable_variables)
    assert {variable.name for variable in model.trainable_variables} >= set(EXCLUDED)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        factor = 1.0 if variable.name in EXCLUDED else 0.9
        np.testing.assert_allclose(variable, factor * value, rtol=1e-5)


def test_compiling_again_keeps_the_exclusions_of_a_used_optimizer(model, batch):
    model.compile("adamw")
    fit(model, batch)
    model.compile(model.optimizer)
    assert not any(v.name in EXCLUDED for v in decayed(model.optimizer, model.trainable_variables))
    fit(model, batch)


def test_texts_may_come_as_strings(model, batch):
    with_strings = {key: value for key, value in batch.items() if key != "token_ids"} | {"text": np.array(TEXTS)}
    one, other = (model.predict(tf.data.Dataset.from_tensors(b), verbose=0) for b in (batch, with_strings))
    np.testing.assert_allclose(one["text_embedding"], other["text_embedding"], atol=1e-6)
    model.compile()
    assert np.isfinite(fit(model, with_strings)).all()


def test_predict_gives_the_embeddings_of_a_whole_data_set(model, batch):
    embeddings = model.predict(tf.data.Dataset.from_tensor_slices(batch).batch(4), verbose=0)
    np.testing.assert_allclose(embeddings["image_embedding"], model.encode_image(batch["image"]), atol=1e-6)
    np.testing.assert_allclose(embeddings["text_embedding"], model.encode_text(TEXTS), atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_a_loaded_model_goes_on_as_if_it_had_not_been_away(text_preprocessor, batch, tmp_path, policy):
    """Weights, the optimizer's state, its exclusions and its loss scale; the process has gone back to float32."""
    keras.config.set_dtype_policy(policy)
    model = DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor)
    model.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.1))
    fit(model, batch, steps=12)
    keras.config.set_dtype_policy("float32")
    with no_user_warning():
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is DualEncoder
    assert config_text(loaded) == config_text(model)
    assert loaded.dtype_policy.name == policy
    assert type(loaded.optimizer) is type(model.optimizer)
    assert isinstance(loaded.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) > 0  # float16 skips its first steps
    for group in ("variables", "optimizer"):
        ours, theirs = (m.variables if group == "variables" else m.optimizer.variables for m in (model, loaded))
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    matrices = [v.path for v in model.trainable_variables if v.name not in EXCLUDED]
    assert [v.path for v in decayed(loaded.optimizer, loaded.trainable_variables)] == matrices
    np.testing.assert_array_equal(loaded.encode_image(batch["image"]), model.encode_image(batch["image"]))
    np.testing.assert_array_equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    assert fit(loaded, batch) == pytest.approx(fit(model, batch), rel=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_with_embeddings_in_float32(text_preprocessor, batch, policy):
    keras.config.set_dtype_policy(policy)
    model = DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor)
    embeddings = model({key: tf.constant(value) for key, value in batch.items()})
    assert {value.dtype.name for value in embeddings.values()} == {"float32"}
    assert model.temperature.value.dtype == "float32"
    model.compile(keras.optimizers.AdamW(1e-2))
    history = fit(model, batch, steps=5, epochs=3)
    assert history[-1] < 0.7 * history[0]
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_config_tells_everything_but_the_weights(text_preprocessor, images, policy):
    keras.config.set_dtype_policy(policy)
    model = DualEncoder.from_preset(
        PRESET, text_preprocessor=text_preprocessor, temperature={"initial": 0.3}, name="mine"
    )
    keras.config.set_dtype_policy("float32")
    again = DualEncoder.from_config(model.get_config())
    assert config_text(again) == config_text(model)
    assert (again.name, again.temperature.initial, again.dtype_policy.name) == ("mine", 0.3, policy)
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.encode_text(TEXTS), model.encode_text(TEXTS))
    np.testing.assert_array_equal(again.encode_image(images), model.encode_image(images))


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_the_temperature_stays_within_its_range(model, batch, direction):
    """Under steps of 100 in its logarithm, either way; and it can come back from the border."""
    model.compile(keras.optimizers.SGD(100.0))
    gradients = [tf.zeros_like(variable.value) for variable in model.trainable_variables]
    place = [variable.name for variable in model.trainable_variables].index("log_temperature")
    gradients[place] = tf.constant(direction)
    model.optimizer.apply(gradients, model.trainable_variables)
    assert float(model.temperature.value) == pytest.approx(0.01 if direction > 0 else 1.0, rel=1e-5)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, y_pred=model(batch, training=True))
    assert abs(float(tape.gradient(loss, model.temperature.learnt.value))) > 1e-6


def test_a_huge_learning_rate_leaves_the_temperature_within_its_range(model, batch):
    model.compile(keras.optimizers.Adam(10.0))
    for _ in range(3):
        fit(model, batch, steps=1)
        assert 0.0099 < float(model.temperature.value) < 1.0001


def test_the_temperature_stops_at_its_floor(model, batch):
    floored = DualEncoder(model.image_encoder, model.text_encoder, temperature={"initial": 0.2, "lowest": 0.2})
    again = DualEncoder.from_config({**model.get_config(), "temperature": {"initial": 0.5, "lowest": 0.2}})
    assert DualEncoder.from_config(again.get_config()).temperature.lowest == 0.2
    for candidate in (floored, again):
        candidate.compile(keras.optimizers.SGD(1e3))
        for _ in range(3):
            candidate.train_on_batch(batch)
        assert 0.1999 < float(candidate.temperature.value) <= 1.0


@pytest.mark.parametrize("temperature", [0.0, 0.009, 1.1, -1.0])
def test_a_temperature_out_of_range_is_refused(model, temperature):
    with pytest.raises(MmkerasError, match=f"initial={temperature}"):
        DualEncoder(model.image_encoder, model.text_encoder, temperature={"initial": temperature})


@pytest.mark.slow
def test_a_vision_transformer_and_bert_are_encoders_like_the_others(batch, text_preprocessor, tmp_path):
    sizes = {"depth": 1, "heads": 2, "embedding_dim": 8, "initializer_range": None}
    preset = {
        **PRESET,
        "image_encoder": {"kind": "vit", "patch": 4, "token_width": 16, **sizes},
        "text_encoder": {"kind": "bert", "width": 16, **sizes},
    }
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor)
    with no_user_warning():
        model.compile()
        history = fit(model, batch, steps=8, epochs=4)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert history[-1] < 0.7 * history[0]
    np.testing.assert_array_equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    np.testing.assert_array_equal(loaded.encode_image(batch["image"]), model.encode_image(batch["image"]))
