"""CMGAN's parts and flags; losses and updates are in test_cross_modal_game.py, files in test_roles.py."""

import json

import keras
import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.models import CMGAN

from .conftest import PRESET, TEXTS

NAMES = ("letter", "arrow", "box")
LABEL = np.array([0, 0, 1, 2, 1, 0], "int32")


def build(label_names=NAMES, **arguments):
    """Over features as they are, 5 a picture and 3 a text, with 4-d representations."""
    keras.utils.set_random_seed(0)
    encoders = (
        builder("features", features=width, hidden=[], embedding_dim=None)
        for builder, width in ((build_image_encoder, 5), (build_text_encoder, 3))
    )
    return CMGAN(*encoders, label_names=label_names, **small(**arguments))


def small(autoencoder=None, discriminators=None, **arguments):
    """Arguments with 4 units everywhere, where they say nothing else."""
    parts = {
        "autoencoder": {"units": 4} | (autoencoder or {}),
        "discriminators": {"hidden": 4} | (discriminators or {}),
    }
    return {"generator_steps": 1, **parts, **arguments}


def feature_batch(seed=0):
    generator = np.random.default_rng(seed)
    widths = {"image": 5, "text": 3, "other_image": 5, "other_text": 3}
    batch = {key: generator.normal(size=(6, width)).astype("float32") for key, width in widths.items()}
    return {**batch, "label": LABEL, "other_label": (LABEL + 1) % 3}


def end_to_end(text_preprocessor, **arguments):
    keras.utils.set_random_seed(0)
    preset = {**PRESET, "model": "CMGAN"}
    return CMGAN.from_preset(preset, text_preprocessor=text_preprocessor, label_names=NAMES, **small(**arguments))


@pytest.fixture
def mismatched(images, text_preprocessor):
    token_ids = text_preprocessor(TEXTS).numpy()
    return {
        "image": images,
        "token_ids": token_ids,
        "label": LABEL,
        "other_image": images[::-1],
        "other_token_ids": token_ids[::-1],
    }


def train(model, batch, steps=1):
    """The logs of the last of some steps, run eagerly: tracing a step takes longer than a few of them."""
    model.run_eagerly = True
    return [model.train_on_batch(batch, return_dict=True) for _ in range(steps)][-1]


def weights(layer):
    return [variable.numpy() for variable in layer.trainable_variables]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


# --- What it is ---


def test_features_go_in_as_they_are_and_unit_embeddings_come_out():
    model, batch = build(), feature_batch()
    for modality in ("image", "text"):
        encode, represent = (getattr(model, f"{verb}_{modality}") for verb in ("encode", "represent"))
        representation = np.asarray(model.autoencoder.encode(modality, batch[modality]))
        np.testing.assert_allclose(represent(batch[modality]), representation, rtol=1e-5, atol=1e-6)
        norms = np.linalg.norm(representation, axis=1, keepdims=True)
        np.testing.assert_allclose(encode(batch[modality]), representation / norms, rtol=1e-4, atol=1e-6)
        assert represent(batch[modality][:0]).shape == (0, 4)
    assert model.feature_heads == {}  # there is nothing to teach features that are a file's


def test_categories_are_read_off_the_raw_representation_by_a_head_for_each_modality():
    model, batch = build(), feature_batch()
    for modality in ("image", "text"):
        head = getattr(model.autoencoder, f"{modality}_category_head")
        logits = getattr(model, f"represent_{modality}")(batch[modality]) @ head.kernel.numpy() + head.bias.numpy()
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(getattr(model, f"classify_{modality}")(batch[modality]), expected, rtol=1e-4)


def test_texts_that_are_no_features_of_its_length_are_refused():
    model = build()
    for texts in (["a text"], np.ones((2, 4), "float32"), "text"):
        with pytest.raises(MmkerasError, match=r"Expected an array \(N, 3\), features of texts"):
            model.encode_text(texts)


def test_it_starts_as_published():
    model = build(autoencoder={"units": 256}, discriminators={"hidden": 64})
    for layer, inputs in (
        (model.autoencoder.image_encoder_1.projection, 5),
        (model.autoencoder.image_encoder_2.projection, 256),
        (model.autoencoder.text_output, 256),
        (model.autoencoder.image_category_head, 256),
        (model.discriminators.image_inter.block.projection, 256 + 5),
        (model.discriminators.text_intra.logit, 3),
    ):
        bound = inputs**-0.5
        values = np.concatenate([np.ravel(layer.kernel), np.ravel(layer.bias)])
        assert np.abs(values).max() <= bound
        if values.size > 500:
            assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    assert np.std(model.autoencoder.image_encoder_1.gamma) == pytest.approx(0.02, rel=0.2)


def test_from_a_preset_over_features_there_is_nothing_to_learn_of_texts():
    preset = {
        "model": "CMGAN",
        "arguments": {"autoencoder": {"units": 4}},
        "image_encoder": {"kind": "features", "features": 5, "hidden": [], "embedding_dim": None},
        "text_encoder": {"kind": "features", "features": 3, "hidden": [], "embedding_dim": None},
    }
    for texts in (None, feature_batch()["text"]):
        model = CMGAN.from_preset(preset, texts=texts, label_names=NAMES)
        assert model.text_preprocessor is None and model.text_encoder.input.shape == (None, 3)


# --- Flags ---


DISCRIMINATORS = {"image_intra", "text_intra", "image_inter", "text_inter"}
DECODERS = {"image_decoder", "text_decoder", "image_output", "text_output"}


@pytest.mark.parametrize(
    "flag, still, silent",
    [
        ("adversarial", DISCRIMINATORS | DECODERS, {"intra", "inter", "correlation", "reconstruction"}),
        ("use_intra_discriminator", {"image_intra", "text_intra"} | DECODERS, {"intra", "reconstruction"}),
        ("use_inter_discriminator", {"image_inter", "text_inter"}, {"inter", "correlation"}),
        ("semantic_constraint", {"image_category_head", "text_category_head"}, {"category"}),
    ],
)
def test_a_flag_leaves_out_what_it_says_and_nothing_else(flag, still, silent):
    model = build(**{flag: False})
    model.compile(keras.optimizers.SGD(0.1))
    parts = {layer.name: layer for part in (model.autoencoder, model.discriminators) for layer in part._layers}
    before = {name: weights(layer) for name, layer in parts.items()}
    logs = train(model, feature_batch())
    assert {name for name, layer in parts.items() if same(before[name], weights(layer))} == still
    terms = {"intra", "inter", "correlation", "reconstruction", "category"}
    assert {word for word in terms if not any(word in name for name in logs)} == silent
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("share", [True, False])
def test_what_moves_the_pictures_last_encoder_moves_the_texts_where_it_is_shared(share):
    model = build(autoencoder={"share_weights": share})
    image, text = (model.get_layer(f"{side}_encoder").layers for side in ("image", "text"))
    assert {layer.name for layer in set(image) & set(text)} == ({"shared_encoder"} if share else set())
    model.compile(keras.optimizers.SGD(0.0))
    model.optimizer.learning_rate.assign(0.1)  # the pictures' pathway alone moves
    before = weights(model.autoencoder.text_encoder_2), weights(model.autoencoder.text_encoder_1)
    train(model, feature_batch())
    assert same(before[0], weights(model.autoencoder.text_encoder_2)) != share
    assert same(before[1], weights(model.autoencoder.text_encoder_1))


def test_one_category_head_for_both_is_moved_by_both_pathways():
    model = build(autoencoder={"share_category_head": True})
    head = model.autoencoder.image_category_head
    assert model.autoencoder.text_category_head is head
    for role in ("image_generator", "text_generator"):
        model.compile(keras.optimizers.SGD(0.0))
        model.optimizers[role].learning_rate.assign(0.1)
        before = weights(head)
        train(model, feature_batch())
        assert not same(before, weights(head))
    again = CMGAN.from_config(json.loads(json.dumps(model.get_config())))
    assert again.autoencoder.text_category_head is again.autoencoder.image_category_head


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"label_names": ("one",)}, "two categories or more"),
        ({"multi_label": True}, "targets = category. Received: .*multi_label=True"),
        ({"generator_steps": 0}, "generator_steps of 1 or more. Received: generator_steps=0"),
        ({"autoencoder": {"units": 0}}, "Received: units=0"),
        ({"autoencoder": {"dropout": 1.0}}, "dropout in .0, 1.. Received: dropout=1.0"),
        ({"discriminators": {"units": 3}}, "Expected arguments of CrossModalDiscriminators: .*hidden. Received: units"),
        ({"mismatch": "code"}, "Expected mismatch to be one of paper, released_code. Received: 'code'"),
        ({"semantic_constraint": False, "adversarial": False}, "or a discriminator to train by. Received: neither"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, told):
    with pytest.raises(MmkerasError, match=told):
        build(**arguments)


# --- Features end to end ---


def test_the_game_leaves_the_features_alone_and_a_stage_of_their_own_trains_them(text_preprocessor, mismatched):
    model = end_to_end(text_preprocessor)
    networks = model.networks.values()
    assert set(model.feature_heads) == {"image", "text"}

    def state():
        return [[v.numpy() for v in network.weights if "seed" not in v.path] for network in networks]

    first = state()
    model.set_stage(["autoencoder", "discriminators"])
    model.compile()
    logs = train(model, mismatched)
    assert all(same(a, b) for a, b in zip(first, state(), strict=True))
    assert "image_generator_loss" in logs and "image_feature_loss" not in logs

    model.set_stage(["image_encoder", "text_encoder"])
    model.compile(keras.optimizers.Adam(0.05))
    game = [v.numpy() for part in (model.autoencoder, model.discriminators) for v in part.variables]
    losses = [train(model, mismatched) for _ in range(6)]
    assert set(losses[0]) == {"loss", "image_feature_loss", "text_feature_loss"}
    assert losses[-1]["loss"] < 0.5 * losses[0]["loss"]
    assert not any(same(a, b) for a, b in zip(first, state(), strict=True))
    after = [v.numpy() for part in (model.autoencoder, model.discriminators) for v in part.variables]
    assert same(game, after)

    model.set_stage(["image_encoder"])
    model.compile()
    before = state()
    train(model, mismatched)
    assert [same(a, b) for a, b in zip(before, state(), strict=True)] == [False, True]


def test_a_stage_may_train_one_side_of_the_game():
    model = build()
    for part, other in (("autoencoder", "discriminators"), ("discriminators", "autoencoder")):
        model.set_stage([part])
        model.compile(keras.optimizers.SGD(0.1))
        before = {name: weights(model.parts[name]) for name in (part, other)}
        frozen = [variable.numpy() for variable in model.parts[other].variables]
        train(model, feature_batch())
        assert same(frozen, [variable.numpy() for variable in model.parts[other].variables])
        model.set_stage()
        assert not same(before[part], weights(model.parts[part]))
