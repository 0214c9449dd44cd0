import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import FusionEncoder, bert_text_encoder, load_bert

from ..model_checks import check_layer, no_user_warning
from .published_transformers import bert_shapes, fused_tokens, random_arrays

ARGUMENTS = {"depth": 3, "heads": 2, "mlp_ratio": 4, "dropout": 0.0, "initializer_range": 0.3}
TOKENS = np.random.default_rng(0).normal(size=(3, 4, 8)).astype("float32")
PATCHES = np.random.default_rng(1).normal(size=(3, 5, 6)).astype("float32")  # of another width
MASK = np.arange(4) < np.array([[4], [3], [1]])
ARRAYS = random_arrays(bert_shapes(width=8, depth=4, vocabulary=9, fusion_layer=1, image_width=6))


def published(**kwargs):
    """A fusion encoder with ALBEF's names filled: blocks 1, 2 and 3 of the file."""
    text_encoder = bert_text_encoder(9, 5, width=8, depth=1, heads=2)
    fusion = FusionEncoder(**{**ARGUMENTS, **kwargs})
    fusion.build(TOKENS.shape, PATCHES.shape)
    load_bert(text_encoder, ARRAYS, fusion)
    return fusion


def test_is_a_sound_layer(tmp_path):
    keys = ["attention/key/bias"]  # of both attentions
    arguments, inputs = {**ARGUMENTS, "depth": 1}, [TOKENS, PATCHES, MASK]
    check_layer(FusionEncoder, arguments, inputs, TOKENS.shape, tmp_path, weights=26, without_gradient=keys)


def test_agrees_with_numpy_on_published_weights():
    fused, probabilities = published()(TOKENS, PATCHES, MASK, return_probabilities=True)
    expected, attention = fused_tokens(ARRAYS, TOKENS, PATCHES, MASK, heads=2, layers=[1, 2, 3])
    np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probabilities, attention, rtol=1e-4, atol=1e-6)


def test_the_parts_make_the_whole():
    fusion = published()
    whole = fusion(TOKENS, PATCHES, MASK)
    for cut in (1, 2):
        lower = fusion(TOKENS, PATCHES, MASK, stop=cut)
        upper, probabilities = fusion(lower, PATCHES, MASK, start=cut, return_probabilities=True)
        np.testing.assert_array_equal(upper, whole)
        expected = fused_tokens(ARRAYS, lower.numpy(), PATCHES, MASK, heads=2, layers=[cut + 1])[1]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)


def test_the_class_token_alone_is_that_of_the_whole_and_asks_for_all_below():
    fusion = published()
    first = fusion(TOKENS, PATCHES, MASK, class_only=True)
    np.testing.assert_allclose(first, fusion(TOKENS, PATCHES, MASK)[:, :1], rtol=1e-5, atol=1e-5)
    first, probabilities = fusion(TOKENS, PATCHES, MASK, return_probabilities=True, class_only=True)
    assert first.shape == (3, 1, 8) and probabilities.shape == (3, 2, 4, 5)


def test_in_a_graph_the_gradient_to_the_probe_is_that_of_finite_differences():
    """Of a score through the blocks above, against the plain version in float64."""
    fusion = published()
    direction = np.random.default_rng(2).normal(size=8).astype("float32")

    @tf.function
    def gradient():
        lower = fusion(TOKENS, PATCHES, MASK, stop=1)
        probe = tf.zeros((3, 2, 4, 5))
        with tf.GradientTape() as tape:
            tape.watch(probe)
            fused = fusion(lower, PATCHES, MASK, start=1, probe=probe)
            score = tf.reduce_sum(fused[:, 0] * direction)
        return lower, tape.gradient(score, probe)

    lower, found = gradient()

    def score(probe):
        return np.sum(fused_tokens(ARRAYS, lower.numpy(), PATCHES, MASK, 2, [2, 3], probe)[0][:, 0] * direction)

    step = 1e-6
    for place in np.random.default_rng(3).permutation(120)[:15]:
        nudge = np.zeros(120)
        nudge[place] = step
        expected = (score(nudge.reshape(3, 2, 4, 5)) - score(-nudge.reshape(3, 2, 4, 5))) / (2 * step)
        np.testing.assert_allclose(found.numpy().flat[place], expected, rtol=2e-3, atol=2e-4)
    assert np.abs(found[1, :, 3]).max() == 0  # a query that is padding reaches no score


def test_padding_and_other_rows_change_nothing():
    fusion = published()
    fused = fusion(TOKENS, PATCHES, MASK)
    longer = fusion(np.pad(TOKENS, ((0, 0), (0, 2), (0, 0))), PATCHES, np.pad(MASK, ((0, 0), (0, 2))))
    np.testing.assert_allclose(longer[:, :4][MASK], fused[MASK], atol=1e-5)
    alone = fusion(TOKENS[1:2, :3], PATCHES[1:2])
    np.testing.assert_allclose(alone[0], fused[1, :3], atol=1e-5)


def test_every_patch_counts():
    fusion = published()
    changed = PATCHES[:1] + np.eye(5, dtype="float32")[..., None]  # a row for each patch that is another one
    tokens = TOKENS[:1].repeat(5, axis=0)
    difference = np.abs(fusion(tokens, changed) - fusion(TOKENS[:1], PATCHES[:1]))
    assert difference[:, 0].max(-1).min() > 1e-3


def test_dropout_works_in_training_only_and_not_on_what_is_returned():
    fusion = published(dropout=0.5)
    np.testing.assert_array_equal(fusion(TOKENS, PATCHES), published()(TOKENS, PATCHES))
    one, other = (fusion(TOKENS, PATCHES, training=True, return_probabilities=True) for _ in range(2))
    assert np.abs(one[0] - other[0]).max() > 1e-2
    np.testing.assert_allclose(np.sum(one[1], -1), np.ones((3, 2, 4)), rtol=1e-5)


def test_the_mask_may_be_named_and_probabilities_are_float32_under_mixed_precision():
    fusion = published(dtype="mixed_bfloat16")
    with no_user_warning():
        fused, probabilities = fusion(
            TOKENS, PATCHES, mask=MASK, probe=np.zeros((3, 2, 4, 5)), return_probabilities=True
        )
    assert (fused.dtype, probabilities.dtype) == ("bfloat16", "float32")
    np.testing.assert_array_equal(fused, fusion(TOKENS, PATCHES, MASK))


def test_it_may_stand_in_a_functional_model():
    tokens, patches = keras.Input((None, 8)), keras.Input((None, 6))
    model = keras.Model([tokens, patches], FusionEncoder(**ARGUMENTS)(tokens, patches))
    assert model([TOKENS, PATCHES]).shape == TOKENS.shape


@pytest.mark.parametrize("start, stop", [(3, None), (1, 1), (-1, 2), (0, 4)])
def test_blocks_that_are_not_there_are_refused(start, stop):
    with pytest.raises(ValueError, match="Expected 0 <= start < stop <= 3"):
        FusionEncoder(**ARGUMENTS)(TOKENS, PATCHES, start=start, stop=stop)


def test_it_has_a_block():
    with pytest.raises(ValueError, match="Expected at least one block. Received: depth=0"):
        FusionEncoder(depth=0)
