"""The six losses of `CMGAN` and who moves what, against a plain NumPy implementation in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from .test_cm_gan import LABEL, build, feature_batch, train
from .test_roles import ROLES

OTHER = {"image": "text", "text": "image"}


def parameters(model):
    """All trainable variables by their paths, and their values in float64."""
    variables = {variable.path: variable for variable in model.trainable_variables}
    assert len(variables) == len(model.trainable_variables)
    return {path: variable.numpy().astype("float64") for path, variable in variables.items()}


class Plain:
    """The losses of one step by their roles, written anew from the paper's and the code's formulas."""

    def __init__(self, parameters, batch, mismatch="paper"):
        self.p = parameters
        self.h = {side: batch[side].astype("float64") for side in ("image", "text")}
        self.wrong = {side: batch[f"other_{side}"].astype("float64") for side in ("image", "text")}
        self.mismatch = mismatch

    def linear(self, name, x):
        return x @ self.p[f"{name}/kernel"] + self.p[f"{name}/bias"]

    def block(self, name, x):
        x = self.linear(f"{name}/projection", x)
        x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
        x = self.p[f"{name}/gamma"] * x + self.p[f"{name}/beta"]
        return np.where(x > 0, x, 0.2 * x)

    def s(self, side, h):
        second = "shared_encoder" if "shared_encoder/gamma" in self.p else f"{side}_encoder_2"
        return self.block(second, self.block(f"{side}_encoder_1", h))

    def r(self, side):
        return self.linear(f"{side}_output", self.block(f"{side}_decoder", self.s(side, self.h[side])))

    def intra(self, side, x):
        return self.linear(f"{side}_intra/logit", x)[:, 0]

    def inter(self, side, s, h):
        x = self.block(f"{side}_inter/block", np.concatenate([s, h], axis=1))
        return self.linear(f"{side}_inter/logit", x)[:, 0]

    def loss(self, role):
        side, _, kind = role.partition("_")
        other, h = OTHER[side], self.h[side]
        if kind == "intra":
            return bce(self.intra(side, self.r(side)), 0) + bce(self.intra(side, h), 1)
        if kind == "inter":
            beside = h if self.mismatch == "paper" else self.wrong[side]
            return (
                bce(self.inter(side, self.s(side, h), h), 1)
                + 0.5 * bce(self.inter(side, self.s(other, self.h[other]), h), 0)
                + 0.5 * bce(self.inter(side, self.s(side, self.wrong[side]), beside), 0)
            )
        fooled = bce(self.inter(other, self.s(side, h), self.h[other]), 1) + bce(self.intra(side, self.r(side)), 1)
        logits = self.linear(f"{side}_category_head", self.s(side, h))
        return fooled + np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(h)), LABEL])


def bce(logits, target):
    probability = 1 / (1 + np.exp(-logits))
    return -np.mean(np.log(probability if target else 1 - probability))


def logged(role):
    side, _, kind = role.partition("_")
    return f"{side}_generator_loss" if kind == "generator" else f"{role}_discriminator_loss"


@pytest.mark.parametrize(
    "arguments", [{}, {"mismatch": "released_code"}, {"autoencoder": {"share_weights": False}}], ids=str
)
def test_all_six_losses_equal_a_plain_implementation(arguments):
    model = build(**arguments)
    model.compile(keras.optimizers.SGD(0.0))
    logs = train(model, feature_batch())
    plain = Plain(parameters(model), feature_batch(), model.mismatch)
    for role in ROLES:
        assert logs[logged(role)] == pytest.approx(plain.loss(role), rel=1e-4), role
    assert logs["loss"] == pytest.approx(plain.loss("image_generator") + plain.loss("text_generator"), rel=1e-4)
    for side in OTHER:
        terms = [logs[f"{side}_{name}_loss"] for name in ("correlation", "reconstruction", "category")]
        assert sum(terms) == pytest.approx(logs[f"{side}_generator_loss"], rel=1e-5)


def test_the_forms_of_a_mismatch_differ_in_what_stands_beside_the_wrong_representation():
    """It stands beside the right feature, or beside its own: no difference where the wrong pair is the right one."""
    batch = feature_batch()
    same_pair = batch | {"other_image": batch["image"], "other_text": batch["text"]}
    losses = {}
    for mismatch in ("paper", "released_code"):
        model = build(mismatch=mismatch)
        model.compile(keras.optimizers.SGD(0.0))
        for name, shown in (("other", batch), ("same", same_pair)):
            losses[mismatch, name] = train(model, shown)["image_inter_discriminator_loss"]
            model.reset_metrics()
    assert losses["paper", "same"] == pytest.approx(losses["released_code", "same"], rel=1e-6)
    assert abs(losses["paper", "other"] - losses["released_code", "other"]) > 1e-3


OWN = {  # what each role moves; {} is its modality
    "generator": {"{}_encoder_1", "shared_encoder", "{}_decoder", "{}_output", "{}_category_head"},
    "intra": {"{}_intra"},
    "inter": {"{}_inter"},
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_descends_on_its_own_loss_and_moves_its_own_variables_only(role):
    """Gradient descent at rate 1 for one role, 0 for the others: every change is the loss's central difference."""
    model = build()
    model.compile(keras.optimizers.SGD(0.0))
    model.optimizers[role].learning_rate.assign(1.0)
    before = parameters(model)
    train(model, feature_batch())
    after = parameters(model)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    side, _, kind = role.partition("_")
    assert {path.partition("/")[0] for path in moved} == {name.format(side) for name in OWN[kind]}
    assert moved <= {variable.path for variable in model.variables_of(role)}
    plain = Plain(before, feature_batch())
    for path in moved:
        value = before[path]
        gradient = np.zeros_like(value)
        for index in np.ndindex(value.shape):
            at = value[index]
            sides = []
            for step in (1e-5, -1e-5):
                value[index] = at + step
                sides.append(plain.loss(role))
            value[index] = at
            gradient[index] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(after[path] - value, -gradient, rtol=2e-3, atol=2e-5, err_msg=path)


def test_the_discriminators_go_first_and_the_pictures_before_the_texts():
    """Each sees what those before it have changed: the losses are those of weights that change in this order."""
    model = build()
    model.compile(keras.optimizers.SGD(0.5))
    order = []
    descend = model._descend

    def watched(role, compute):
        order.append(role)
        plain = Plain(parameters(model), feature_batch()).loss(role)
        losses = descend(role, compute)
        assert float(losses["loss"]) == pytest.approx(plain, rel=1e-3), role
        return losses

    model._descend = watched
    model.generator_steps = 2
    train(model, feature_batch())
    generators = ["image_generator", "text_generator"]
    assert order == ["text_intra", "image_intra", "text_inter", "image_inter", *generators, *generators]


def test_accuracies_count_each_kind_of_rows_as_its_loss_does():
    """A discriminator that calls everything real is right about the real half of what it is shown."""
    model = build()
    model.compile(keras.optimizers.SGD(0.0))
    for name, bias, expected in (("intra", 50.0, 0.5), ("inter", -50.0, 0.5)):
        for side in OTHER:
            discriminator = getattr(model.discriminators, f"{side}_{name}")
            discriminator.logit.bias.assign([bias])
        logs = train(model, feature_batch())
        for side in OTHER:
            assert logs[f"{side}_{name}_discriminator_accuracy"] == pytest.approx(expected)


@pytest.mark.slow
def test_fitting_in_a_graph_lowers_the_losses_that_can_fall():
    """Traced, with several updates of the pathways a batch."""
    model, batch = build(generator_steps=5), feature_batch()
    model.compile(keras.optimizers.Adam(5e-3, beta_1=0.5))
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    history = model.fit(batches, steps_per_epoch=10, epochs=3, verbose=0, shuffle=False).history
    assert history["image_category_loss"][-1] < 0.5 * history["image_category_loss"][0]
    assert history["text_category_loss"][-1] < 0.7 * history["text_category_loss"][0]
    assert all(np.isfinite(values).all() for values in history.values())
    assert [int(model.optimizer.iterations), int(model.optimizers["image_intra"].iterations)] == [150, 30]


def test_evaluating_measures_what_the_pathways_descend_on_and_no_discriminator():
    model = build()
    model.compile(run_eagerly=True)
    found = model.test_on_batch(feature_batch(), return_dict=True)
    assert found["loss"] == pytest.approx(found["image_generator_loss"] + found["text_generator_loss"], rel=1e-5)
    label = np.log(model.classify_text(feature_batch()["text"])[np.arange(6), LABEL])
    assert found["text_category_loss"] == pytest.approx(-label.mean(), rel=1e-4)
    assert not any("discriminator" in name for name in found)
