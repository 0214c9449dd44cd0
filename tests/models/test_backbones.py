"""An optimizer of their own for pretrained networks: one gradient, and two steps down."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.models import AdversarialBackprop, DualEncoder, ModalityInvariant
from mmkeras.training.checkpoint import load_checkpoint, save_checkpoint

from ..model_checks import no_user_warning
from .small_towers import tower_batch, towers
from .test_dual_encoder import fit

SYSTEMS = {
    "dual encoder": lambda encoders: DualEncoder(*encoders),
    "joint": lambda encoders: ModalityInvariant(*encoders),
    "alternating": lambda encoders: ModalityInvariant(*encoders, adversary={"classifier_steps": 2}),
    "categories": lambda encoders: AdversarialBackprop(*encoders, label_names=("one", "other")),
}


def built(system="dual encoder", **options):
    keras.utils.set_random_seed(0)
    return SYSTEMS[system](towers(**options))


def values(variables):
    return [variable.numpy() for variable in variables]


def backbone_variables(model):
    return [v for name in ("image_backbone", "text_backbone") for v in model.parts[name].trainable_variables]


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_variable_is_moved_by_one_optimizer(system):
    model = built(system)
    first = next(iter(model.roles))
    model.compile(keras.optimizers.SGD(0.1), {"backbones": keras.optimizers.SGD(0.01)})
    assert list(model.optimizers) == [*model.roles, "backbones"]
    lists = model.optimizer_roles(model.optimizers)
    assert {id(v) for v in lists["backbones"]} == {id(v) for v in backbone_variables(model)}
    moved = [id(variable) for variables in lists.values() for variable in variables]
    assert len(moved) == len(set(moved)) and set(moved) == {id(v) for v in model.trainable_variables}
    assert float(model.optimizers["backbones"].learning_rate) == pytest.approx(0.01)
    whole = model.optimizer_roles()
    assert "backbones" not in whole and len(whole[first]) == len(lists[first]) + len(lists["backbones"])


@pytest.mark.parametrize("system", ["dual encoder", "alternating"])
def test_both_descend_on_one_gradient(system):
    """Plain descent: what a step changes is the gradient times the rate, of either optimizer."""
    batch, steps = tower_batch(), []
    for optimizers in ({}, {"backbones": keras.optimizers.SGD(0.01)}):
        model = built(system)
        model.compile(keras.optimizers.SGD(0.1), optimizers)
        theirs = backbone_variables(model)
        others = [v for v in model.variables_of(next(iter(model.roles))) if not any(v is one for one in theirs)]
        before = values(theirs), values(others)
        fit(model, batch, steps=1)
        after = values(theirs), values(others)
        steps.append([[b - a for a, b in zip(*each, strict=True)] for each in zip(before, after, strict=True)])
    (alone, head), (slow, same_head) = steps
    assert max(np.abs(one).max() for one in alone) > 1e-4
    for one, tenth in zip(alone, slow, strict=True):
        np.testing.assert_allclose(tenth, one / 10, atol=2e-7)
    for one, other in zip(head, same_head, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-7)


def test_the_losses_of_both_are_scaled_by_what_is_small_enough_for_both():
    """The scale of the heads may be 2^5 of the networks': the step is that of equal scales, bit by bit."""
    steps = []
    for scale in (2.0**5, 2.0**10):
        keras.config.set_dtype_policy("mixed_float16")
        model = built()
        model.compile(keras.optimizers.SGD(0.1), {"backbones": keras.optimizers.SGD(0.1)})
        assert {type(one).__name__ for one in model.optimizers.values()} == {"LossScaleOptimizer"}
        model.optimizer.dynamic_scale.assign(scale)
        model.optimizers["backbones"].dynamic_scale.assign(2.0**5)
        before = values(model.trainable_variables)
        fit(model, tower_batch(), steps=1)
        steps.append([b - a for a, b in zip(before, values(model.trainable_variables), strict=True)])
        assert [int(one.inner_optimizer.iterations) for one in model.optimizers.values()] == [1, 1]
    assert max(np.abs(one).max() for one in steps[0]) > 1e-3
    for one, other in zip(*steps, strict=True):
        np.testing.assert_array_equal(other, one)


def test_an_overflow_that_one_sees_lowers_the_scale_of_both():
    """At a scale of 2^100 nothing is finite: both refuse steps until the lower scale is low enough, and go on."""
    keras.config.set_dtype_policy("mixed_float16")
    model = built()
    model.compile(keras.optimizers.SGD(0.1), {"backbones": keras.optimizers.SGD(0.1)})
    for optimizer in model.optimizers.values():
        optimizer.dynamic_scale.assign(2.0**100)
    fit(model, tower_batch(), steps=100)
    assert all(int(optimizer.inner_optimizer.iterations) > 5 for optimizer in model.optimizers.values())
    assert all(np.isfinite(value).all() for value in values(model.trainable_variables))


def test_a_loaded_model_and_a_checkpoint_go_on_as_if_they_had_not_been_away(tmp_path):
    whole, resumed = built(dropout=0.2), built(dropout=0.2)
    for model in (whole, resumed):
        model.compile(keras.optimizers.Adam(1e-2), {"backbones": keras.optimizers.Adam(1e-4)})
    fit(whole, tower_batch(), steps=3)
    save_checkpoint(tmp_path / "checkpoint.npz", whole, 3)
    with no_user_warning():
        whole.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert load_checkpoint(tmp_path / "checkpoint.npz", resumed) == 3
    assert list(loaded.optimizers) == ["main", "backbones"]
    for role, optimizer in whole.optimizers.items():
        for a, b in zip(optimizer.variables, loaded.optimizers[role].variables, strict=True):
            np.testing.assert_array_equal(a, b)
    for model in (whole, resumed):
        fit(model, tower_batch(seed=1), steps=2)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_networks_leave_their_optimizer_idle():
    model = built(trainable=False)
    model.compile(keras.optimizers.SGD(0.1), {"backbones": keras.optimizers.SGD(0.1)})
    assert model.optimizer_roles(model.optimizers)["backbones"] == []
    assert np.isfinite(fit(model, tower_batch(), steps=2)).all()


def test_a_model_without_a_pretrained_network_has_no_such_role(model):
    with pytest.raises(MmkerasError, match="Expected roles of DualEncoder in this stage: main. Received: backbones"):
        model.compile(optimizers={"backbones": "sgd"})


def test_the_step_of_a_model_with_one_role_is_keras_own(model, batch):
    """The same weights as after Keras' own `train_step`."""
    start = model.get_weights()
    model.compile(keras.optimizers.Adam(1e-2))
    ours = fit(model, batch, steps=3), model.get_weights()
    model.set_weights(start)
    model.compile(keras.optimizers.Adam(1e-2))
    model.train_step = lambda data: keras.Model.train_step(model, data)
    theirs = fit(model, batch, steps=3), model.get_weights()
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_rows_of_an_embedding_are_rescaled_as_rows():
    from mmkeras.models.role_optimizers import rescaled

    rows = tf.IndexedSlices(tf.constant([[1.0, 2.0]]), tf.constant([1]), tf.constant([3, 2]))
    sparse, dense, none = rescaled([rows, tf.constant([3.0]), None], 0.5)
    assert tf.convert_to_tensor(sparse).numpy().tolist() == [[0, 0], [0.5, 1], [0, 0]]
    assert (dense.numpy().tolist(), none) == ([1.5], None)
    assert isinstance(sparse, tf.IndexedSlices)
