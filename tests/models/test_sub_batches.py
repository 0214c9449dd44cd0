"""A step whose activations are those of a part of the batch at a time is the plain step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.losses import info_nce
from mmkeras.models import DualEncoder
from mmkeras.models.sub_batches import Tower, embeddings_by_parts, gradients_by_parts
from mmkeras.training.checkpoint import load_checkpoint, save_checkpoint

from .small_towers import tower_batch, towers
from .test_dual_encoder import fit


def built(sub_batch=0, loss="info_nce", **options):
    keras.utils.set_random_seed(0)
    return DualEncoder(*towers(**options), sub_batch=sub_batch, loss=loss)


def values(variables):
    return [variable.numpy() for variable in variables]


def step_of(model, batch, optimizer=None):
    """What one step changes in each variable, and its loss."""
    model.compile(keras.optimizers.SGD(1.0), optimizer)
    before = values(model.trainable_variables)
    loss = fit(model, batch, steps=1)
    return loss, [b - a for a, b in zip(before, values(model.trainable_variables), strict=True)]


@pytest.mark.parametrize(
    ("size", "batch_norm", "loss"), [(4, False, "info_nce"), (5, True, "info_nce"), (64, True, "sigmoid")]
)
def test_the_step_is_the_plain_one_to_rounding(size, batch_norm, loss):
    """Twelve rows in parts of 4, of 5, 5 and 2, and in one; the statistics of the head are of all rows."""
    batch = tower_batch()
    plain, parts = built(0, loss, batch_norm=batch_norm), built(size, loss, batch_norm=batch_norm)
    (expected, moved), (found, ours) = step_of(plain, batch), step_of(parts, batch)
    assert found == pytest.approx(expected, rel=1e-5)
    assert np.mean([np.abs(one).max() > 1e-3 for one in moved]) > 0.8
    for one, other, variable in zip(moved, ours, plain.trainable_variables, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5 * max(np.abs(one).max(), 0.1), err_msg=variable.path)
    for one, other in zip(plain.non_trainable_variables, parts.non_trainable_variables, strict=True):
        if "seed" not in one.path:
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_what_is_dropped_is_the_same_both_times(run_eagerly):
    """The gradients are those of one tape over all parts, which draws once; the random states move on once too."""
    batch = tower_batch()
    one, other = built(4, dropout=0.5), built(4, dropout=0.5)

    def of(model):
        return [tower for _, tower in model.towers(batch, training=True)]

    def plain(model):
        variables, made = model.trainable_variables, []
        with tf.GradientTape() as tape:
            for start in range(0, 12, 4):
                made.append([t.encoder(t.rows[start : start + 4], training=True)["embedding"] for t in of(model)])
            image, text = (tf.concat(side, axis=0) for side in zip(*made, strict=True))
            loss = tf.reduce_mean(info_nce(image, text, model.temperature.value, batch["image_id"], batch["text_id"]))
        return tape.gradient(loss, variables)

    def by_parts(model):
        def loss_of(image, text):
            losses = model.compute_losses(batch, {"image_embedding": image, "text_embedding": text})
            return losses, losses["loss"]

        return gradients_by_parts(of(model), 4, loss_of, model.trainable_variables)[1]

    if not run_eagerly:
        plain, by_parts = tf.function(plain), tf.function(by_parts)
    for expected, found in zip(plain(one), by_parts(other), strict=True):
        np.testing.assert_allclose(*map(tf.convert_to_tensor, (found, expected)), rtol=1e-3, atol=1e-6)
    for a, b in zip(one.non_trainable_variables, other.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any("seed" in v.path and v.numpy()[1] == 3 for v in one.non_trainable_variables)  # three parts, each once


@pytest.mark.parametrize(("policy", "rounding"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.2)])
def test_it_is_the_plain_step_under_mixed_precision_too(policy, rounding):
    """As far as halves tell: the parts' gradients are rounded before they are added up."""
    keras.config.set_dtype_policy(policy)

    def moved(size):
        model = built(size)
        model.compile(keras.optimizers.SGD(1.0))
        if policy == "mixed_float16":
            model.optimizer.dynamic_scale.assign(64.0)  # the first one would refuse some steps
        before = values(model.trainable_variables)
        fit(model, tower_batch(), steps=1)
        after = values(model.trainable_variables)
        return np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)])

    plain, parts = moved(0), moved(5)
    assert np.linalg.norm(plain) > 0.1
    assert np.linalg.norm(parts - plain) < rounding * np.linalg.norm(plain)


def test_networks_with_an_optimizer_of_their_own_take_their_step_too():
    batch = tower_batch()
    (_, moved), (_, ours) = (step_of(built(size), batch, {"backbones": keras.optimizers.SGD(0.1)}) for size in (0, 4))
    for one, other in zip(moved, ours, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-6)


def test_frozen_networks_are_run_once_and_stay():
    model = built(4, trainable=False)
    before = values(model.parts["image_backbone"].weights)
    _, moved = step_of(model, tower_batch())
    assert len(moved) == 5 and all(np.abs(one).max() > 0 for one in moved[:4])
    for one, other in zip(before, values(model.parts["image_backbone"].weights), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_goes_on_to_equal_weights(tmp_path):
    whole, resumed = built(5, dropout=0.2, batch_norm=True), built(5, dropout=0.2, batch_norm=True)
    for model in (whole, resumed):
        model.compile(keras.optimizers.Adam(1e-2))
    fit(whole, tower_batch(), steps=2)
    save_checkpoint(tmp_path / "checkpoint.npz", whole, 2)
    load_checkpoint(tmp_path / "checkpoint.npz", resumed)
    for model in (whole, resumed):
        fit(model, tower_batch(seed=1), steps=2)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_measured_without_training_is_computed_by_parts_too():
    plain, parts, batch = built(0, batch_norm=True), built(5, batch_norm=True), tower_batch()
    for name, embedding in plain(batch, training=False).items():
        np.testing.assert_allclose(parts(batch, training=False)[name], embedding, atol=1e-6)
    for model in (plain, parts):
        model.compile()
    data = tf.data.Dataset.from_tensors(batch)
    assert parts.evaluate(data, verbose=0) == pytest.approx(plain.evaluate(data, verbose=0), rel=1e-5)


def test_a_loss_on_activations_is_refused():
    image, text = towers()
    regularised = keras.layers.ActivityRegularization(l2=0.1)(image.output["embedding"])
    model = DualEncoder(Encoder(image.input, {"embedding": regularised}), text, sub_batch=4)
    model.compile()
    with pytest.raises(MmkerasError, match="Expected encoders without losses on their activations"):
        fit(model, tower_batch(), steps=1)


def test_regularised_weights_are_regularised_once():
    """The loss of a weight is that of the plain step, whatever the number of parts."""

    def of(size):
        model = built(size)
        kernel = model.image_encoder.get_layer("projection")
        kernel.kernel.regularizer = keras.regularizers.L2(0.5)
        return step_of(model, tower_batch())

    (expected, moved), (found, ours) = of(0), of(4)
    assert found == pytest.approx(expected, rel=1e-5)
    for one, other in zip(moved, ours, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-6)


def test_the_argument_is_checked_kept_and_may_change_in_a_stage(tmp_path):
    model = built(4)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").sub_batch == 4
    model.set_stage(sub_batch=0)
    assert model.sub_batch == 0
    with pytest.raises(MmkerasError, match="Expected sub_batch as a number of rows, 0 for all. Received: sub_batch=-1"):
        built(-1)


def test_parts_of_one_tower():
    encoder, _ = towers(batch_norm=True)
    images = tower_batch()["image"]
    (embedding,) = embeddings_by_parts([Tower(encoder, images, False)], 5)
    np.testing.assert_allclose(embedding, encoder(images, training=False)["embedding"], atol=1e-6)
