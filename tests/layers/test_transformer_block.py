import math

import numpy as np
import pytest

from mmkeras.layers import TransformerBlock

from ..model_checks import check_layer, no_user_warning

ARGUMENTS = {"heads": 2, "feed_forward": 8, "dropout": 0.0}
TOKENS = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1]])
CONTEXT = np.random.default_rng(2).normal(size=(3, 7, 6)).astype("float32")  # of another length and width
CROSS = {**ARGUMENTS, "post_norm": True, "cross_attention": True, "epsilon": 1e-12, "initializer_range": 0.5}


def random_block(**arguments):
    """A built block whose variables are all random: zero biases would hide a missing one."""
    block = TransformerBlock(**arguments)
    block.build(TOKENS.shape, CONTEXT.shape if block.cross_attention else None)
    generator = np.random.default_rng(1)
    for variable in block.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    return block


@pytest.fixture
def block():
    return random_block(**ARGUMENTS)


def numpy_block(block, tokens, mask, context=None):
    """The same block, written from the papers' equations in float64."""

    def norm(layer, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + block.epsilon)
        return x * np.asarray(layer.gamma) + np.asarray(layer.beta)

    def project(layer, x):
        return np.einsum("blw,whk->bhlk", x, np.asarray(layer.kernel)) + np.asarray(layer.bias)[None, :, None]

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    def attend(attention, x, context, mask):
        query, key, value = (
            project(layer, inputs)
            for layer, inputs in (
                (attention.query_dense, x),
                (attention.key_dense, context),
                (attention.value_dense, context),
            )
        )
        logits = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
        logits = np.where(mask[:, None, None], logits, -np.inf)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        heads = weights / weights.sum(-1, keepdims=True) @ value
        output = attention.output_dense
        return np.einsum("bhlk,hkw->blw", heads, np.asarray(output.kernel)) + np.asarray(output.bias)

    def feed_forward(x):
        x = gelu(x @ np.asarray(block.expand.kernel) + np.asarray(block.expand.bias))
        return x @ np.asarray(block.contract.kernel) + np.asarray(block.contract.bias)

    parts = [(block.attention_norm, lambda x: attend(block.attention, x, x, mask))]
    if context is not None:
        everything = np.ones(context.shape[:2], bool)
        parts.append((block.context_norm, lambda x: attend(block.context_attention, x, context, everything)))
    parts.append((block.feed_forward_norm, feed_forward))
    x = tokens.astype("float64")
    for layer, part in parts:
        x = norm(layer, x + part(x)) if block.post_norm else x + part(norm(layer, x))
    return x


def test_is_a_sound_layer(tmp_path):
    # Adding one number to all logits of a query changes no softmax: the key's bias has no gradient.
    check_layer(
        TransformerBlock, ARGUMENTS, [TOKENS, MASK], TOKENS.shape, tmp_path, weights=16, without_gradient=["key/bias"]
    )


def test_with_cross_attention_it_is_a_sound_layer_too(tmp_path):
    keys = ["attention/key/bias", "context_attention/key/bias"]
    check_layer(
        TransformerBlock, CROSS, [TOKENS, MASK, CONTEXT], TOKENS.shape, tmp_path, weights=26, without_gradient=keys
    )


@pytest.mark.parametrize("post_norm", [False, True])
@pytest.mark.parametrize("context", [None, CONTEXT], ids=["alone", "cross"])
def test_agrees_with_numpy(post_norm, context):
    block = random_block(**ARGUMENTS, post_norm=post_norm, cross_attention=context is not None)
    expected = numpy_block(block, TOKENS, MASK, context)
    np.testing.assert_allclose(block(TOKENS, MASK, context), expected, rtol=1e-4, atol=1e-4)


def test_a_post_norm_block_returns_normalised_tokens():
    block = TransformerBlock(2, 8, post_norm=True)
    tokens = np.asarray(block(TOKENS))
    np.testing.assert_allclose(tokens.mean(-1), np.zeros((3, 5)), atol=1e-6)
    np.testing.assert_allclose(tokens.std(-1), np.ones((3, 5)), atol=1e-3)


def test_the_probabilities_are_those_of_the_look_at_the_context():
    block = random_block(**CROSS)
    tokens, probabilities = block(TOKENS, MASK, CONTEXT, return_probabilities=True)
    assert probabilities.shape == (3, 2, 5, 7)
    np.testing.assert_allclose(np.sum(probabilities, -1), np.ones((3, 2, 5)), rtol=1e-5)
    np.testing.assert_array_equal(tokens, block(TOKENS, MASK, CONTEXT))
    moved = block(TOKENS, MASK, CONTEXT, probe=np.full((3, 2, 5, 7), 0.1, "float32"))
    assert np.abs(moved - tokens).max() > 1e-2


@pytest.mark.parametrize("post_norm", [False, True])
def test_the_first_token_alone_is_that_of_all(post_norm):
    block = random_block(**{**CROSS, "post_norm": post_norm})
    whole, probabilities = block(TOKENS, MASK, CONTEXT, return_probabilities=True)
    first, seen = block(TOKENS, MASK, CONTEXT, return_probabilities=True, class_only=True)
    np.testing.assert_allclose(first, whole[:, :1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(seen, probabilities[:, :, :1], rtol=1e-5, atol=1e-6)


def test_a_context_belongs_to_cross_attention():
    with pytest.raises(ValueError, match="Received: a context, cross_attention=False"):
        TransformerBlock(2, 8)(TOKENS, context=CONTEXT)
    with pytest.raises(ValueError, match="Received: no context, cross_attention=True"):
        TransformerBlock(2, 8, cross_attention=True)(TOKENS)
    with pytest.raises(ValueError, match="Expected cross_attention with return_probabilities"):
        TransformerBlock(2, 8)(TOKENS, return_probabilities=True)


def test_without_a_mask_every_token_is_real(block):
    np.testing.assert_allclose(block(TOKENS), block(TOKENS, np.ones((3, 5), bool)), rtol=1e-5, atol=1e-5)


def test_what_stands_in_the_padding_does_not_matter(block):
    changed = np.where(MASK[..., None], TOKENS, 50 * TOKENS[:, ::-1])
    np.testing.assert_array_equal(block(TOKENS, MASK)[MASK], block(changed, MASK)[MASK])


def test_a_real_token_reaches_all_others(block):
    changed = TOKENS.copy()
    changed[1, 2, 0] += 1
    difference = np.abs(block(TOKENS, MASK) - block(changed, MASK))
    assert (difference[1, :2].max(-1) > 1e-3).all()
    assert difference[[0, 2]].max() == 0


def test_the_mask_may_be_named():
    block = TransformerBlock(**ARGUMENTS)
    with no_user_warning():
        np.testing.assert_array_equal(block(TOKENS, mask=MASK), block(TOKENS, MASK))


def test_a_row_of_padding_is_finite(block):
    assert np.isfinite(block(TOKENS, np.zeros((3, 5), bool))).all()


def test_dropout_works_in_training_only():
    block = TransformerBlock(2, 8, dropout=0.5)
    np.testing.assert_array_equal(block(TOKENS), block(TOKENS))
    assert np.abs(block(TOKENS, training=True) - block(TOKENS, training=True)).max() > 1e-2


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="Expected a width that 3 heads divide. Received: width=4"):
        TransformerBlock(3, 8)(TOKENS)


@pytest.mark.parametrize(
    "wrong", [{"heads": 0}, {"feed_forward": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"epsilon": 0}]
)
def test_an_argument_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Received: {name}={wrong[name]}"):
        TransformerBlock(**{**ARGUMENTS, **wrong})


@pytest.mark.parametrize("other", [{"activation": "quick_gelu", "causal": True}, {"layer_scale": 0.1}])
def test_is_a_sound_layer_with_what_published_towers_have(other, tmp_path):
    weights = 16 + 2 * ("layer_scale" in other)
    check_layer(TransformerBlock, ARGUMENTS | other, [TOKENS], (3, 5, 4), tmp_path, weights, ["key/bias"])


def test_a_causal_block_looks_at_nothing_behind_a_token():
    block = random_block(**ARGUMENTS, causal=True)
    before = np.asarray(block(TOKENS))
    for place in range(5):
        changed = TOKENS.copy()
        changed[:, place, 0] += 1
        difference = np.abs(np.asarray(block(changed)) - before).max(axis=(0, 2))
        assert difference[:place].max(initial=0) == 0 and difference[place:].min() > 1e-4
    np.testing.assert_allclose(block(TOKENS, class_only=True), before[:, :1], atol=1e-5)
    with_mask = np.asarray(block(TOKENS, mask=MASK))
    np.testing.assert_allclose(with_mask[MASK], before[MASK], atol=1e-5)  # what is masked is behind


def test_each_branch_has_a_scale():
    block = random_block(**ARGUMENTS, layer_scale=1.0)
    for scale in (block.attention_scale, block.feed_forward_scale):
        scale.assign(np.zeros(4))
    np.testing.assert_array_equal(block(TOKENS), TOKENS)
    plain = random_block(**ARGUMENTS)
    for scale in (block.attention_scale, block.feed_forward_scale):
        scale.assign(np.ones(4))
    values = {variable.path.partition("/")[2]: variable for variable in block.weights}
    for variable in plain.weights:
        variable.assign(values[variable.path.partition("/")[2]])
    np.testing.assert_array_equal(block(TOKENS), plain(TOKENS))
    block.feed_forward_scale.assign([1, 2, 3, 4])
    plain.contract.kernel.assign(plain.contract.kernel * np.array([1, 2, 3, 4.0]))
    plain.contract.bias.assign(plain.contract.bias * np.array([1, 2, 3, 4.0]))
    np.testing.assert_allclose(block(TOKENS), plain(TOKENS), rtol=1e-4, atol=1e-4)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation='swish'"):
        TransformerBlock(**ARGUMENTS, activation="swish")
