"""What is seen of `SoftMask`, word by word: what its training computes of the same words."""

import types

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError

from .small_soft_mask import BATCH, IMAGES, TOKEN_IDS, build, values

TEXTS = [f"text {row}" for row in range(6)]
WIDE = {"initializer_range": 0.5}  # attention that differs from place to place


def words(token_ids):
    """A word an id, `w5`, but for 10 and 11, which make up one."""
    places = [range(place, place + 1) for place, one in enumerate(token_ids) if one]
    if token_ids[0] == 10:
        places[:2] = [range(2)]
    return [(f"w{token_ids[place[0]]}", place) for place in places]


def see(model, images=IMAGES, texts=TEXTS):
    """`word_masks` of a model whose tokenizer knows the six texts of `BATCH`."""
    ids = dict(zip(TEXTS, TOKEN_IDS, strict=True))
    model.batch_encoder.checked_texts = lambda asked: np.stack([ids[text] for text in asked])
    model.text_preprocessor = types.SimpleNamespace(words=words)
    return model.word_masks(images, texts)


def steps(model, monkeypatch):
    """Attention (B, T, N) and the masks (B, T, N) of steps, one a place of the text, whose word it draws in each."""
    layer, masks = type(model.soft_masking), []
    call = layer.call

    def seen(self, tokens, attention, words):
        masks.append((np.asarray(attention), np.asarray(call(self, tokens, attention, words)["mask"])))
        return call(self, tokens, attention, words)

    monkeypatch.setattr(layer, "call", seen)
    for place in range(5):
        monkeypatch.setattr(layer, "_drawn", lambda self, words, place=place: tf.where(words[:, place], place, -1))
        model.test_on_batch(BATCH)
    return masks[0][0], np.stack([mask for _, mask in masks], axis=1)


@pytest.mark.parametrize(
    "arguments", [{"mask_mode": "soft"}, pytest.param({"mask_mode": "hard", "threshold": 0.3}, marks=pytest.mark.slow)]
)
def test_it_is_what_a_step_makes_of_the_word_that_it_draws(monkeypatch, arguments):
    model = build(fusion=WIDE, soft_masking=arguments)
    found, (attention, masks) = see(model), steps(model, monkeypatch)
    assert [one["words"] for one in found[:3]] == [["w5", "w6", "w7"], ["w8", "w9"], ["w10", "w12", "w13"]]
    for row, one in enumerate(found):
        # Places of the step's text: its class token is the first.
        places = [[1, 2], [3], [4]] if row == 2 else [[1 + place] for place in range(len(one["words"]))]
        for name, of_step in (("attention", attention), ("mask", masks)):
            expected = np.stack([of_step[row, place].mean(axis=0) for place in places])
            np.testing.assert_allclose(one[name], expected.reshape(-1, 2, 2), rtol=1e-4, atol=1e-6, err_msg=name)
    everything = np.concatenate([one["mask"] for row, one in enumerate(found) if row != 2])
    assert everything.min() == 0 and everything.max() == 1
    np.testing.assert_allclose([one["score"] for one in found], model.match(IMAGES, TOKEN_IDS), rtol=1e-5)


def test_looking_changes_nothing_and_tells_the_same_again():
    model = build(fusion=WIDE, soft_masking={"mask_mode": "random"})
    before = values(model.variables)
    first, second = see(model), see(model, IMAGES[:2], TEXTS[:2])
    for variable, was in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(variable, was)
    np.testing.assert_array_equal(see(model)[5]["mask"], first[5]["mask"])
    soft = see(build(fusion=WIDE))
    np.testing.assert_allclose(second[1]["attention"], soft[1]["attention"], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(np.sort(first[3]["mask"].ravel()), np.sort(soft[3]["mask"].ravel()), atol=1e-5)


def test_a_model_without_masks_has_attention_all_the_same():
    plain, masking = build(fusion=WIDE, loss_weights={"soft_matching": 0.0}), build(fusion=WIDE)
    none = build(fusion=WIDE, soft_masking={"mask_mode": "none"})
    assert [model.trains_with_masks for model in (plain, masking, none)] == [False, True, False]
    found = [see(model, IMAGES[:1], TEXTS[:1])[0] for model in (plain, masking, none)]
    np.testing.assert_array_equal(found[0]["attention"], found[1]["attention"])
    np.testing.assert_array_equal(found[2]["attention"], found[1]["attention"])
    assert found[1]["attention"].max() > 0 and not found[2]["mask"].any()


def test_words_that_are_never_masked_are_left_out():
    special = build(token_masking={"special_ids": (0, 1, 2, 3, 6, 10)})
    found = see(special)
    assert found[0]["words"] == ["w5", "w7"]
    assert found[2]["words"] == ["w10", "w12", "w13"]  # its second id is an ordinary one
    (alone,) = see(build(token_masking={"special_ids": (0, 1, 2, 3, 15)}), IMAGES[4:5], TEXTS[4:5])
    assert alone["words"] == [] and alone["mask"].shape == (0, 2, 2)


def test_a_text_a_picture():
    model = build()
    with pytest.raises(MmkerasError, match="Expected a text a picture. Received: 6 pictures, 2 texts"):
        model.word_masks(IMAGES, ["a", "b"])
    with pytest.raises(MmkerasError, match="this model has no text_preprocessor"):
        model.word_masks(IMAGES[:1], ["a"])
    assert model.word_masks(IMAGES[:0], []) == []
