import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.losses import modality_crossentropy, triplet_loss
from mmkeras.models import ModalityInvariant

from ..model_checks import no_user_warning
from .conftest import PRESET, TEXTS

ALTERNATING = {"classifier_steps": 2, "objective": "fooling", "gradient_penalty": 0.1}
ENCODERS = ["image_encoder", "text_encoder"]


def build(text_preprocessor, adversary=None, **arguments):
    keras.utils.set_random_seed(0)
    preset = {**PRESET, "model": "ModalityInvariant"}
    adversary = {"classifier_hidden": (16,)} | (adversary or {})
    return ModalityInvariant.from_preset(preset, text_preprocessor=text_preprocessor, adversary=adversary, **arguments)


@pytest.fixture
def pairs(images, text_preprocessor):
    """Six pictures with their texts, two of one id."""
    return {
        "image": images,
        "token_ids": text_preprocessor(TEXTS).numpy(),
        "image_id": np.array([0, 1, 2, 3, 4, 4]),
    }


def fit(model, batch, steps=4, epochs=1):
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    return model.fit(batches, steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False).history


def dense(gradient):
    """As an array; that of an embedding table comes as rows."""
    return tf.convert_to_tensor(gradient).numpy()


@pytest.mark.parametrize("negatives, form", [("sum", {}), ("hardest", ALTERNATING), ("semi_hard", {})])
def test_fitting_lowers_the_triplet_loss_and_names_every_part(text_preprocessor, pairs, negatives, form):
    model = build(text_preprocessor, negatives=negatives, adversary=form)
    with no_user_warning():
        model.compile(keras.optimizers.Adam(3e-3))
        history = fit(model, pairs, steps=8, epochs=3)
    assert history["triplet_loss"][-1] < 0.7 * history["triplet_loss"][0]
    parts = {"loss", "triplet_loss", "embedding_spread", "modality_loss", "modality_accuracy", "gradient_ratio"}
    assert set(history) == parts
    assert all(np.isfinite(values).all() for values in history.values())


def test_the_loss_is_the_weighted_sum_of_both(text_preprocessor, pairs):
    model = build(text_preprocessor, margin=0.5, triplet_weight=2.0, adversary={"weight": 0.3}, negatives="semi_hard")
    model.compile()
    found = model.evaluate(tf.data.Dataset.from_tensors(pairs), verbose=0, return_dict=True)
    image = model.encode_image(pairs["image"])
    text = model.text_encoder(pairs["token_ids"], training=False)["embedding"].numpy()
    triplet = float(np.mean(triplet_loss(image, text, 0.5, "semi_hard", pairs["image_id"])))
    logits = model.adversary.classifier(np.concatenate([image, text]))
    modality = float(np.mean(modality_crossentropy([1] * 6 + [0] * 6, logits)))
    assert found["triplet_loss"] == pytest.approx(triplet, rel=1e-4)
    assert found["modality_loss"] == pytest.approx(modality, rel=1e-4)
    assert found["loss"] == pytest.approx(2 * triplet + 0.3 * modality, rel=1e-4)
    spread = min(np.sqrt(np.var(rows, axis=0).sum()) for rows in (image, text))
    assert found["embedding_spread"] == pytest.approx(spread, rel=1e-4)


def test_the_encoders_get_the_triplet_gradient_less_the_reversed_one(text_preprocessor, pairs):
    """The joint step by plain gradient descent, against gradients taken apart."""
    model = build(text_preprocessor, adversary={"weight": 0.5, "reversal_strength": 0.4})
    variables = [*model.image_encoder.trainable_variables, *model.text_encoder.trainable_variables]
    classifier = model.adversary.classifier.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        embeddings = model({key: tf.constant(value) for key, value in pairs.items()}, training=True)
        image, text = embeddings["image_embedding"], embeddings["text_embedding"]
        triplet = tf.reduce_mean(triplet_loss(image, text, 0.2, "hardest", pairs["image_id"]))
        logits = model.adversary.classifier(tf.concat([image, text], axis=0))
        modality = tf.reduce_mean(modality_crossentropy([1.0] * 6 + [0.0] * 6, logits))
    before = [variable.numpy() for variable in (*variables, *classifier)]
    task, game = tape.gradient(triplet, variables), tape.gradient(modality, variables)
    expected = [dense(one) - 0.4 * 0.5 * dense(other) for one, other in zip(task, game, strict=True)]
    expected += [0.5 * gradient for gradient in tape.gradient(modality, classifier)]
    again = build(text_preprocessor, adversary={"weight": 0.5, "reversal_strength": 0.4})
    again.compile(keras.optimizers.SGD(1.0))
    fit(again, pairs, steps=1)
    parts = (again.image_encoder, again.text_encoder, again.adversary.classifier)
    after = [variable.numpy() for part in parts for variable in part.trainable_variables]
    for old, new, gradient in zip(before, after, expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=2e-5)


def test_a_stage_freezes_what_it_does_not_train_and_the_next_one_lets_it_go(text_preprocessor, pairs):
    model = build(text_preprocessor, adversary=ALTERNATING)
    everything = len(model.trainable_variables)
    model.set_stage(["modality_classifier"])
    assert not model.image_encoder.trainable_variables and model.adversary.classifier.trainable_variables
    model.compile()
    fit(model, pairs)  # the encoders' optimizer has nothing to do
    model.set_stage(ENCODERS, negatives="sum", adversary={"weight": 0.0})
    assert not model.adversary.classifier.trainable_variables and model.negatives == "sum"
    assert model.adversary.weight == 0.0
    model.set_stage()
    assert len(model.trainable_variables) == everything


def test_a_saved_model_has_its_arguments_and_answers_alike(text_preprocessor, pairs, tmp_path):
    model = build(text_preprocessor, margin=0.3, negatives="sum", adversary={"text_reversal": 0.1, **ALTERNATING})
    model.compile()
    fit(model, pairs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.margin, loaded.negatives, loaded.triplet_weight) == (0.3, "sum", 1.0)
    adversary = loaded.adversary
    assert (adversary.weight, adversary.text_reversal, adversary.classifier_steps) == (0.1, 0.1, 2)
    np.testing.assert_array_equal(loaded.encode_text(TEXTS), model.encode_text(TEXTS))
    assert int(loaded.optimizers["classifier"].iterations) == 8


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"margin": 0.0}, "margin to be more than 0"),
        ({"margin": "0.2"}, "margin to be more than 0.*'0.2'"),
        ({"triplet_weight": "1"}, "triplet_weight to be 0 or more.*'1'"),
        ({"negatives": "max"}, "sum, hardest, semi_hard"),
        ({"triplet_weight": -1.0}, "triplet_weight to be 0 or more"),
        ({"adversary": {"weight": float("nan")}}, "weight to be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(text_preprocessor, arguments, told):
    with pytest.raises(MmkerasError, match=told):
        build(text_preprocessor, **arguments)
