"""SoftMask: what its losses are over given weights, and what it refuses; its teacher is in test_momentum_teacher.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers import word_attention
from mmkeras.models import SoftMask, wrong_pairs
from mmkeras.preprocessing import WordPieceTokenizer

from ..model_checks import check_config
from .small_soft_mask import BATCH, CONTRAST_ALONE, IMAGES, LOSSES, TOKEN_IDS, build, encoders, measure, train


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def of_pairs(model, image_rows, text_rows):
    """Log-probabilities of the matching head for pairs of rows of the batch, (n, 2)."""
    encoded = model({"image": IMAGES[image_rows], "token_ids": TOKEN_IDS[text_rows]}, training=False)
    mask = np.pad(TOKEN_IDS[text_rows] != 0, ((0, 0), (1, 0)), constant_values=True)
    np.testing.assert_array_equal(encoded["mask"], mask)
    return log_softmax(np.asarray(model.fusion.matching_logits(encoded)))


@pytest.fixture
def next_rows(monkeypatch):
    """The negative of each row is the one two after it, which never shows its picture; the fifth has none."""
    rows, found = np.roll(np.arange(6), -2), np.arange(6) != 4
    negatives = (tf.constant(rows, tf.int32), tf.constant(found))
    monkeypatch.setattr(wrong_pairs, "sample_hard_negatives", lambda *arguments: negatives)
    return rows, found


# --- Losses ---


def test_without_focus_the_contrast_is_a_cross_entropy_over_batch_and_queue():
    model = build(gamma=0.0)
    image, text = (np.asarray(model(BATCH, training=False)[f"{name}_embedding"]) for name in ("image", "text"))
    own = BATCH["image_id"][:, None] == BATCH["image_id"]
    positives = np.concatenate([own, np.zeros((6, 12))], axis=1) / own.sum(axis=1, keepdims=True)
    expected = 0.0
    queue = model.teacher.queue
    for rows, others, queued in ((image, text, queue.text_queue), (text, image, queue.image_queue)):
        logits = rows @ np.concatenate([others, queued.numpy()]).T / 0.07
        expected -= 0.5 * (positives * log_softmax(logits)).sum(axis=1).mean()
    assert measure(model)["contrastive_loss"] == pytest.approx(expected, rel=1e-4)
    model.gamma = 2.0
    assert measure(model)["contrastive_loss"] < 0.999 * expected


def test_matching_is_asked_of_pairs_wrong_pictures_and_wrong_texts(next_rows):
    model, (rows, found) = build(loss_weights={"soft_matching": 0.0}), next_rows
    every = np.arange(6)
    right, picture, text = of_pairs(model, every, every), of_pairs(model, rows, every), of_pairs(model, every, rows)
    terms = [*right[:, 1], *picture[found, 0], *text[found, 0]]
    assert len(terms) == 16
    logs = measure(model)
    assert logs["matching_loss"] == pytest.approx(-np.mean(terms), rel=1e-4)
    hits = [*(right[:, 1] > right[:, 0]), *(np.concatenate([picture[found], text[found]]) @ [1, -1] > 0)]
    assert logs["matching_accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)


@pytest.mark.parametrize("temperature, drawn_by", [(0.0, 0.07), (0.3, 0.3)])
def test_wrong_pairs_are_drawn_by_a_temperature_of_their_own(monkeypatch, temperature, drawn_by):
    model, asked = build(negatives_temperature=temperature), []
    sample = wrong_pairs.sample_hard_negatives
    monkeypatch.setattr(
        wrong_pairs, "sample_hard_negatives", lambda *given: (asked.append(given[0]), sample(*given))[1]
    )
    measure(model)
    image, text = (np.asarray(model(BATCH, training=False)[f"{name}_embedding"]) for name in ("image", "text"))
    for logits, cosines in zip(asked, (image @ text.T, text @ image.T), strict=True):
        np.testing.assert_allclose(logits, cosines / drawn_by, rtol=1e-4, atol=1e-4)


def test_without_a_mask_soft_matching_is_matching_of_the_same_pairs(next_rows):
    model, (rows, found) = build(soft_masking={"mask_mode": "none"}), next_rows
    every = np.arange(6)
    terms = [*of_pairs(model, every, every)[:, 1], *of_pairs(model, every, rows)[found, 0]]
    logs = measure(model)
    assert logs["mask"] == 0
    assert logs["soft_matching_loss"] == pytest.approx(-np.mean(terms), rel=1e-4)
    masked = measure(build())
    assert 0 < masked["mask"] < 1
    assert abs(masked["soft_matching_loss"] - logs["soft_matching_loss"]) > 1e-4


@pytest.mark.parametrize("block", [0, 1])
def test_attention_is_the_grad_cam_of_finite_differences(block):
    model = build(fusion={"depth": 3, "attention_block": block, "initializer_range": 0.5})
    encoded = model({"image": IMAGES[:2], "token_ids": TOKEN_IDS[:2]}, training=False)
    fused, attention = model.fusion.with_attention(encoded)
    fusion = model.fusion.encoder
    whole = fusion(encoded["text_tokens"], encoded["image_tokens"], encoded["mask"])
    np.testing.assert_allclose(fused, whole, rtol=1e-4, atol=1e-5)
    assert attention.shape == (2, 5, 4)
    row = 1
    tokens, patches, mask = (encoded[name][row : row + 1] for name in ("text_tokens", "image_tokens", "mask"))
    if block:
        tokens = fusion(tokens, patches, mask, stop=block)
    places = 2 * 5 * 5  # heads, tokens of the text, tokens of the picture
    step = 1e-2 * np.concatenate([np.eye(places), -np.eye(places)]).reshape(-1, 2, 5, 5).astype("float32")
    tokens, patches, mask = (np.repeat(np.asarray(part), len(step), axis=0) for part in (tokens, patches, mask))
    moved, probabilities = fusion(tokens, patches, mask, start=block, probe=step, return_probabilities=True)
    score = np.asarray(model.fusion.matching_head(moved[:, 0]))[:, 1]
    slope = ((score[:places] - score[places:]) / 2e-2).reshape(1, 2, 5, 5)
    unmoved = np.asarray(probabilities)[:1] - step[:1]
    expected = np.asarray(word_attention(unmoved, slope))[0]
    assert expected[:3].max() > 1e-4
    np.testing.assert_allclose(attention[row], expected, atol=2e-2 * expected.max())


def test_a_mask_is_never_for_a_special_token():
    special = {**BATCH, "token_ids": np.array([[1, 2, 3, 0]] * 6, "int32")}  # unknown, begin and the hidden word
    assert measure(build(), special)["mask"] == 0


def test_hidden_words_are_hidden_from_every_loss():
    model = build(token_masking={"rate": 1.0})
    found = model(BATCH, training=True)
    words = TOKEN_IDS > 3
    np.testing.assert_array_equal(found["targets"], np.where(words, TOKEN_IDS, -1))
    ids = np.asarray(found["token_ids"])
    np.testing.assert_array_equal(ids[~words], TOKEN_IDS[~words])
    assert (ids[words] == 3).mean() > 0.5
    expected = model.text_encoder(ids)["embedding"]
    np.testing.assert_allclose(found["text_embedding"], expected, rtol=1e-5)
    assert "targets" not in model(BATCH, training=False)


def test_the_text_may_be_hidden_from_the_language_loss_alone():
    model = build(mask_text=False)
    found = model(BATCH, training=True)
    assert "targets" not in found
    np.testing.assert_array_equal(found["token_ids"], TOKEN_IDS)
    assert 0 < train(model)["language_loss"] < 10


def test_one_pass_of_the_pictures(monkeypatch):
    model, passes = build(), []
    call = type(model.image_encoder).call
    monkeypatch.setattr(
        type(model.image_encoder), "call", lambda self, *a, **k: (passes.append(self), call(self, *a, **k))[1]
    )
    train(model)
    assert [passed for passed in passes if passed is model.image_encoder] == [model.image_encoder]
    assert [passed for passed in passes if passed is model.teacher.copies["image_encoder"]] == [
        model.teacher.copies["image_encoder"]
    ]


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_loss_without_weight_is_left_out(loss):
    name = loss.removesuffix("_loss")
    model = build(loss_weights={name: 0.0})
    logs = measure(model)
    assert LOSSES - set(logs) == {loss}
    assert logs["loss"] == pytest.approx(sum(logs[other] for other in LOSSES - {loss}), rel=1e-5)
    model.set_stage(loss_weights={name: 2.0})
    logs = measure(model)
    assert logs["loss"] == pytest.approx(sum(logs[other] for other in LOSSES) + logs[loss], rel=1e-5)


def test_contrast_alone_fuses_nothing(monkeypatch):
    model = build(loss_weights=CONTRAST_ALONE)
    monkeypatch.setattr(type(model.fusion), "call", None)
    assert set(measure(model)) == {"loss", "contrastive_loss", "temperature", "alpha"}


def test_the_temperature_is_learnt_within_its_limits():
    model = build(temperature={"initial": 0.1, "lowest": 0.09, "highest": 0.11})
    model.compile(keras.optimizers.SGD(10.0), run_eagerly=True)
    train(model)
    assert any(float(model.temperature.value) == pytest.approx(limit) for limit in (0.09, 0.11))


# --- Files ---


def test_the_config_is_complete():
    masks = {"mask_mode": "hard", "threshold": 0.3}
    model = build(
        compiled=False, soft_masking=masks, token_masking={"special_ids": (0, 1, 2, 3, 4)}, teacher={"alpha": 0.1}
    )
    check_config(model)
    again = SoftMask.from_config(model.get_config())
    assert again.token_masking.special_ids == (0, 1, 2, 3, 4)
    assert (again.soft_masking.threshold, again.teacher.alpha, again.fusion.depth) == (0.3, 0.1, 2)


# --- Matching ---


def test_match_is_the_probability_of_the_matching_head():
    model = build(compiled=False)
    found = np.asarray(model.match(IMAGES, TOKEN_IDS))
    every = np.arange(6)
    np.testing.assert_allclose(found, np.exp(of_pairs(model, every, every)[:, 1]), rtol=1e-5)
    padded = np.pad(TOKEN_IDS[:2, :3], ((0, 0), (0, 1)))
    np.testing.assert_allclose(model.match(IMAGES[:2], TOKEN_IDS[:2, :3]), model.match(IMAGES[:2], padded), rtol=1e-5)


# --- Errors ---


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"fusion": {"attention_block": 1}}, "not its last. Received: attention_block=1, depth=2"),
        ({"gamma": -1}, "Expected gamma to be 0 or more"),
        ({"teacher": {"alpha": 1.5}}, r"Expected alpha in \[0, 1\]. Received: alpha=1.5"),
        ({"teacher": {"momentum": 2}}, r"Expected momentum in \[0, 1\]"),
        ({"loss_weights": {"language": -1}}, "Expected loss_weights.language to be 0 or more"),
        ({"loss_weights": {"speech": 1}}, "contrastive, .*language. Received: loss_weights.speech=1"),
        ({"fusion": {"width": 1}}, "Expected arguments of PairFusion: depth, .*Received: width"),
        ({"loss_weights": CONTRAST_ALONE | {"contrastive": 0.0}}, "Expected a loss with a weight"),
        ({"temperature": {"initial": 0.9}}, "Expected temperatures with 0 < lowest"),
        ({"negatives_temperature": -0.1}, "Expected negatives_temperature to be 0 or more"),
        ({"mask_text": "no"}, "Expected mask_text to be true or false. Received: mask_text='no'"),
        ({"soft_masking": {"mask_mode": "blur"}}, "Expected mask_mode to be one of soft, hard, random, none"),
    ],
)
def test_arguments_out_of_their_range_are_told(arguments, told):
    with pytest.raises(ValueError, match=told):
        build(compiled=False, **arguments)


def test_words_are_hidden_by_the_ids_of_the_tokenizer():
    vocabulary = ["[PAD]", *"abcdefghijklmno", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    model = build(compiled=False, text_preprocessor=WordPieceTokenizer(vocabulary, 4))
    assert (model.token_masking.mask_id, model.token_masking.special_ids) == (19, (0, 16, 17, 18, 19))
    assert build(compiled=False).token_masking.special_ids == (0, 1, 2, 3)
    with pytest.raises(MmkerasError, match="Expected mask_id"):
        build(compiled=False, text_preprocessor=WordPieceTokenizer(vocabulary[:-1], 4))


def test_encoders_without_class_tokens_are_refused():
    image, text = encoders()
    conv = build_image_encoder("conv", height=8, width=8, widths=[4], embedding_dim=6)
    cnn = build_text_encoder("text_cnn", vocabulary_size=20, embedding_dim=6)
    with pytest.raises(MmkerasError, match="Expected image_encoder of kind 'vit'"):
        SoftMask(conv, text)
    with pytest.raises(MmkerasError, match="Expected text_encoder of kind 'bert'"):
        SoftMask(image, cnn)


# --- As a whole ---


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_the_losses_fall_in_a_graph(policy):
    keras.config.set_dtype_policy(policy)
    model = build(compiled=False, dropout=0.1, token_masking={"rate": 0.5}, seed=None)
    model.compile(keras.optimizers.AdamW(3e-3))
    batches = tf.data.Dataset.from_tensors(BATCH).repeat()
    history = model.fit(batches, steps_per_epoch=60, epochs=3, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"]).all()
    for name in LOSSES:
        assert history[name][-1] < history[name][0], name
    score = np.asarray(model.match(IMAGES, TOKEN_IDS))
    assert score.mean() > np.asarray(model.match(IMAGES, np.roll(TOKEN_IDS, 2, axis=0))).mean()


def test_compute_losses_has_no_side_effects():
    """Asked twice it moves no teacher, queue, count of steps or mean; a step of training moves them all."""
    model = build()
    # The other losses draw, from states that a checkpoint holds.
    model.set_stage(["image_encoder", "text_encoder"], loss_weights=CONTRAST_ALONE)
    model.compile("sgd", run_eagerly=True)
    state = [*(v for weights in model.kept_for_training().values() for v in weights), *model.metrics_variables]

    def seen():
        return [variable.numpy() for variable in state]

    before, encoded = seen(), model(BATCH, training=False)
    first = model.compute_losses(BATCH, encoded)
    second = model.compute_losses(BATCH, encoded)
    assert {name: float(value) for name, value in first.items()} == {
        name: float(value) for name, value in second.items()
    }
    assert float(model.compute_loss(BATCH, y_pred=encoded)) == float(first["loss"])
    assert all(np.array_equal(a, b) for a, b in zip(before, seen(), strict=True))
    train(model)
    assert int(model.teacher.steps) == 1 and int(model.teacher.queue.pointer) == 6
