import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.losses import category_crossentropy, modality_crossentropy
from mmkeras.models import AdversarialBackprop

from ..model_checks import config_text, no_user_warning
from .conftest import PRESET, TEXTS

NAMES = ("letter", "arrow", "box")
IMAGE_LABEL = np.array([0, 0, 1, 2, 1, 0], "int32")
TEXT_LABEL = np.array([0, 0, 0, 1, 1, 2], "int32")
ALTERNATING = {"classifier_steps": 3, "objective": "fooling", "gradient_penalty": 0.1, "text_reversal": 0.0}
FORMS = [{}, ALTERNATING]
ENCODERS = ("image_encoder", "text_encoder")


def build(text_preprocessor, label_names=NAMES, adversary=None, **arguments):
    keras.utils.set_random_seed(0)
    preset = {**PRESET, "model": "AdversarialBackprop"}
    adversary = {"classifier_hidden": (16,)} | (adversary or {})
    return AdversarialBackprop.from_preset(
        preset, text_preprocessor=text_preprocessor, label_names=label_names, adversary=adversary, **arguments
    )


@pytest.fixture
def unpaired(images, text_preprocessor):
    """Six pictures and six texts that have nothing to do with each other."""
    return {
        "image": images,
        "image_label": IMAGE_LABEL,
        "token_ids": text_preprocessor(TEXTS).numpy(),
        "text_label": TEXT_LABEL,
    }


def endless(batch):
    return tf.data.Dataset.from_tensors(batch).repeat()


def fit(model, batch, steps=4, epochs=1):
    return model.fit(endless(batch), steps_per_epoch=steps, epochs=epochs, verbose=0, shuffle=False).history


def embed(model, batch, training=True):
    return model({key: tf.constant(value) for key, value in batch.items()}, training=training)


def classifier_loss(model, embeddings, is_image=(1,) * 6 + (0,) * 6):
    both = tf.concat([embeddings["image_embedding"], embeddings["text_embedding"]], axis=0)
    return tf.reduce_mean(modality_crossentropy(tf.constant(is_image, tf.float32), model.adversary.classifier(both)))


@pytest.mark.parametrize("form", FORMS, ids=["joint", "alternating"])
def test_fitting_lowers_the_category_loss_and_names_every_part(text_preprocessor, unpaired, form):
    model = build(text_preprocessor, adversary=form)
    with no_user_warning():
        model.compile(keras.optimizers.Adam(1e-2))
        history = fit(model, unpaired, steps=10, epochs=4)
    assert history["category_loss"][-1] < 0.5 * history["category_loss"][0]
    assert set(history) == {"loss", "category_loss", "modality_loss", "modality_accuracy", "gradient_ratio"}
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(0 <= value <= 1 for value in history["modality_accuracy"])


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_loss_is_the_weighted_sum_of_both(text_preprocessor, unpaired, multi_label):
    model = build(text_preprocessor, multi_label=multi_label, category_weight=2.0, adversary={"weight": 0.3})
    if multi_label:
        hot = {key: np.eye(3, dtype="uint8")[unpaired[key]] for key in ("image_label", "text_label")}
        hot["text_label"][0] = [1, 1, 0]
        unpaired = {**unpaired, **hot}
    model.compile()
    found = model.evaluate(endless(unpaired).take(1), verbose=0, return_dict=True)
    embeddings = embed(model, unpaired, training=False)
    category = sum(
        np.mean(category_crossentropy(unpaired[f"{side}_label"], model.category_head(embeddings[f"{side}_embedding"])))
        for side in ("image", "text")
    )
    modality = float(classifier_loss(model, embeddings))
    assert found["category_loss"] == pytest.approx(category, rel=1e-4)
    assert found["modality_loss"] == pytest.approx(modality, rel=1e-4)
    assert found["loss"] == pytest.approx(2 * category + 0.3 * modality, rel=1e-4)


def test_labels_of_which_an_item_has_few_are_expected_to_be_few(text_preprocessor):
    """From a probability of 1 / C each; from 1/2 all pictures of a training with 108 labels ended in one point."""
    names = tuple(f"word {position}" for position in range(108))
    model = build(text_preprocessor, label_names=names, multi_label=True)
    away = model.category_head(np.zeros((1, model.embedding_dim), "float32"))  # the bias alone
    np.testing.assert_allclose(keras.ops.sigmoid(away), np.full((1, 108), 1 / 108), rtol=1e-5)
    assert not np.any(build(text_preprocessor, label_names=names).category_head.bias)


PARTS = (*ENCODERS, "category_head", "modality_classifier")


def changes(model, batch, **compiled):
    """How one step of plain gradient descent at rate 1 changes the variables of each part: {part: [array, ...]}."""
    model.compile(keras.optimizers.SGD(1.0), **compiled)
    before = {part: [v.numpy() for v in model.parts[part].trainable_variables] for part in PARTS}
    model.train_on_batch(batch)
    return {
        part: [v.numpy() - old for v, old in zip(model.parts[part].trainable_variables, before[part], strict=True)]
        for part in PARTS
    }


def gradients_of(model, loss_of, batch):
    """The gradients of a loss of the embeddings, {part: [array, ...]}."""
    with tf.GradientTape() as tape:
        loss = loss_of(embed(model, batch))
    variables = {part: [v.value for v in model.parts[part].trainable_variables] for part in PARTS}
    found = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {part: [tf.convert_to_tensor(gradient).numpy() for gradient in found[part]] for part in PARTS}


def assert_moved_by(factor, gradients, moved, part):
    for change, gradient in zip(moved[part], gradients[part], strict=True):
        np.testing.assert_allclose(change, factor * gradient, rtol=1e-3, atol=2e-6, err_msg=part)


@pytest.mark.parametrize("image_share, text_share", [(1.0, 1.0), (1.0, 0.0), (0.5, 2.0)])
def test_one_joint_step_descends_for_the_classifier_and_climbs_for_the_encoders_by_their_shares(
    text_preprocessor, unpaired, image_share, text_share
):
    shares = {"image_reversal": image_share, "text_reversal": text_share}
    arguments = {"category_weight": 0.0, "adversary": {"reversal_strength": 0.4, **shares}}
    model = build(text_preprocessor, **arguments)
    gradients = gradients_of(model, lambda embeddings: classifier_loss(model, embeddings), unpaired)
    moved = changes(build(text_preprocessor, **arguments), unpaired)
    for encoder, share in zip(ENCODERS, (image_share, text_share), strict=True):
        assert_moved_by(0.4 * share, gradients, moved, encoder)
        assert max(np.abs(gradient).max() for gradient in gradients[encoder]) > 1e-3
    assert_moved_by(-1.0, gradients, moved, "modality_classifier")
    assert_moved_by(0.0, gradients, moved, "category_head")


def test_fooling_descends_on_the_loss_of_the_wrong_answer(text_preprocessor, unpaired):
    adversary = {"reversal_strength": 0.5, "objective": "fooling", "classifier_steps": 1}
    arguments = {"category_weight": 0.0, "adversary": adversary}
    model = build(text_preprocessor, **arguments)
    gradients = gradients_of(
        model, lambda embeddings: classifier_loss(model, embeddings, (0,) * 6 + (1,) * 6), unpaired
    )
    # The classifier stands still, so that the encoders meet the one above.
    moved = changes(
        build(text_preprocessor, **arguments), unpaired, optimizers={"classifier": keras.optimizers.SGD(0.0)}
    )
    for encoder in ENCODERS:
        assert_moved_by(-0.5, gradients, moved, encoder)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_the_classifiers_own_step_descends_on_its_loss_and_penalty(text_preprocessor, unpaired, penalty):
    """The penalty's slopes by finite differences: the squared norm of each logit's gradient, averaged over the rows."""
    model = build(text_preprocessor, adversary={"classifier_steps": 1, "gradient_penalty": penalty})
    twin = build(text_preprocessor, adversary={"classifier_steps": 1, "gradient_penalty": penalty})
    twin.set_weights(model.get_weights())
    embeddings = embed(twin, unpaired)
    both = tf.concat(list(embeddings.values()), axis=0)
    eps = 1e-3
    with tf.GradientTape() as tape:
        loss = classifier_loss(twin, embeddings)
        slopes = [
            (twin.adversary.classifier(both + eps * axis) - twin.adversary.classifier(both - eps * axis)) / (2 * eps)
            for axis in tf.eye(both.shape[1])
        ]
        loss += penalty * tf.reduce_mean(sum(slope**2 for slope in slopes))
    variables = twin.adversary.classifier.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    moved = changes(model, unpaired, optimizers={"classifier": keras.optimizers.SGD(1.0)})["modality_classifier"]
    for change, gradient in zip(moved, gradients, strict=True):
        np.testing.assert_allclose(change, -gradient, rtol=2e-2, atol=2e-4)


def test_each_optimizer_moves_its_own_variables_only(text_preprocessor, unpaired):
    model = build(text_preprocessor, adversary=ALTERNATING)
    model.compile()
    lists = [model.variables_of(role) for role in ("encoders", "classifier")]
    paths = [{v.path for v in variables} for variables in lists]
    assert not paths[0] & paths[1]
    assert paths[0] | paths[1] == {v.path for v in model.trainable_variables}
    fit(model, unpaired, steps=2)
    assert (int(model.optimizer.iterations), int(model.optimizers["classifier"].iterations)) == (2, 6)
    # With the main optimizer at a standstill only the classifier moves, and the other way round.
    for rates, still in (((0.0, 0.1), 0), ((0.1, 0.0), 1)):
        model.compile(keras.optimizers.SGD(rates[0]), {"classifier": keras.optimizers.SGD(rates[1])})
        before = [[v.numpy() for v in variables] for variables in lists]
        fit(model, unpaired, steps=1)
        unchanged = [
            all(np.array_equal(v, old) for v, old in zip(*pair, strict=True))
            for pair in zip(lists, before, strict=True)
        ]
        assert unchanged == [still == 0, still == 1]


def test_the_gradient_ratio_is_that_of_the_two_gradients_at_the_embeddings(text_preprocessor, unpaired):
    model = build(text_preprocessor, adversary={"reversal_strength": 0.5, "weight": 0.8}, category_weight=2.0)
    embeddings = embed(model, unpaired)
    pair = list(embeddings.values())
    norms = []
    for loss_of in (
        lambda: classifier_loss(model, embeddings),
        lambda: sum(
            tf.reduce_mean(category_crossentropy(label, model.category_head(part)))
            for label, part in zip((IMAGE_LABEL, TEXT_LABEL), pair, strict=True)
        ),
    ):
        with tf.GradientTape() as tape:
            tape.watch(pair)
            loss = loss_of()
        norms.append(np.sqrt(sum(np.sum(np.square(gradient)) for gradient in tape.gradient(loss, pair))))
    model.compile(keras.optimizers.SGD(0.0))
    ratio = fit(model, unpaired, steps=1)["gradient_ratio"][0]
    assert ratio == pytest.approx(0.5 * 0.8 * norms[0] / (2.0 * norms[1]), rel=1e-3)


@pytest.mark.parametrize("form", FORMS, ids=["joint", "alternating"])
def test_who_stands_beside_whom_changes_nothing(text_preprocessor, unpaired, form):
    """Texts in another order, with their labels: every loss and every update is the same. No pair can be learnt."""
    order = [4, 2, 0, 5, 1, 3]
    shuffled = {**unpaired, **{key: unpaired[key][order] for key in ("token_ids", "text_label")}}
    runs = []
    for batch in (unpaired, shuffled):
        model = build(text_preprocessor, adversary=form)
        model.compile(keras.optimizers.SGD(0.1))  # of each role one
        runs.append((fit(model, batch, steps=3), model.get_weights()))
    for key in runs[0][0]:
        np.testing.assert_allclose(runs[0][0][key], runs[1][0][key], rtol=1e-3, err_msg=key)
    for one, other in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=["joint", "alternating"])
@pytest.mark.parametrize(
    "policy", ["float32", *(pytest.param(f"mixed_{half}", marks=pytest.mark.slow) for half in ("float16", "bfloat16"))]
)
def test_a_loaded_model_goes_on_as_if_it_had_not_been_away(text_preprocessor, unpaired, tmp_path, form, policy):
    keras.config.set_dtype_policy(policy)
    model = build(text_preprocessor, adversary=form)
    model.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.1))
    model.adversary.gradient_reversal.strength.assign(0.7)
    fit(model, unpaired, steps=12)
    keras.config.set_dtype_policy("float32")
    with no_user_warning():
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is AdversarialBackprop
    assert config_text(loaded) == config_text(model)
    assert float(loaded.adversary.gradient_reversal.strength) == pytest.approx(0.7)
    for one, other in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(loaded.optimizers) == ["encoders", *(["classifier"] if form else [])]
    for role, theirs in loaded.optimizers.items():
        ours = model.optimizers[role]
        assert type(ours) is type(theirs) and int(ours.iterations) == int(theirs.iterations) > 0
    assert embed(loaded, unpaired)["image_embedding"].dtype == "float32"
    one, other = fit(model, unpaired), fit(loaded, unpaired)
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert one["modality_loss"] == pytest.approx(other["modality_loss"], rel=1e-2)


def test_probabilities(text_preprocessor, images):
    model = build(text_preprocessor)
    for found in (model.classify_image(images), model.classify_text(TEXTS)):
        assert found.shape == (6, 3) and found.dtype == np.float32
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    logits = np.asarray(model.category_head(model.encode_text(TEXTS)))
    multi = build(text_preprocessor, multi_label=True)
    multi.set_weights(model.get_weights())
    np.testing.assert_allclose(multi.classify_text(TEXTS), 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_a_system_without_categories_says_so(model):
    assert model.label_names == ()
    with pytest.raises(MmkerasError, match="DualEncoder, which has none"):
        model.classify_text(TEXTS)


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"label_names": ("one",)}, "two categories or more"),
        ({"adversary": {"weight": -1.0}}, "weight to be 0 or more"),
        ({"adversary": {"objective": "hinge"}}, "'hinge'"),
        ({"adversary": {"text_reversal": -0.1}}, "text_reversal to be 0 or more"),
        ({"adversary": {"gradient_penalty": 0.1}}, "classifier_steps=0"),
        ({"adversary": {"objective": "fooling"}}, "classifier_steps=0"),
    ],
)
def test_what_does_not_fit_is_refused(text_preprocessor, arguments, told):
    with pytest.raises(MmkerasError, match=told):
        build(text_preprocessor, **arguments)
