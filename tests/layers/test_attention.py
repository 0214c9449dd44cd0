import math

import numpy as np
import pytest

from mmkeras.layers import TransformerBlock

from ..model_checks import check_layer

ARGUMENTS = {"heads": 2, "feed_forward": 8, "dropout": 0.0}
TOKENS = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
MASK = np.arange(5) < np.array([[5], [3], [1]])


@pytest.fixture
def block():
    """A built block whose variables are all random: zero biases would hide a missing one."""
    block = TransformerBlock(**ARGUMENTS)
    block.build(TOKENS.shape)
    generator = np.random.default_rng(1)
    for variable in block.trainable_variables:
        variable.assign(generator.normal(size=variable.shape))
    return block


def numpy_block(block, tokens, mask):
    """The same block, written from the paper's equations in float64."""

    def norm(layer, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return x * np.asarray(layer.gamma) + np.asarray(layer.beta)

    def project(layer, x):
        return np.einsum("blw,whk->bhlk", x, np.asarray(layer.kernel)) + np.asarray(layer.bias)[None, :, None]

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    attention = block.attention
    x = norm(block.attention_norm, tokens.astype("float64"))
    query, key, value = (
        project(part, x) for part in (attention._query_dense, attention._key_dense, attention._value_dense)
    )
    logits = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1])
    logits = np.where(mask[:, None, None], logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    heads = weights / weights.sum(-1, keepdims=True) @ value
    output = attention._output_dense
    tokens = tokens + np.einsum("bhlk,hkw->blw", heads, np.asarray(output.kernel)) + np.asarray(output.bias)
    x = norm(block.feed_forward_norm, tokens)
    x = gelu(x @ np.asarray(block.expand.kernel) + np.asarray(block.expand.bias))
    return tokens + x @ np.asarray(block.contract.kernel) + np.asarray(block.contract.bias)


def test_is_a_sound_layer(tmp_path):
    # Adding one number to all logits of a query changes no softmax: the key's bias has no gradient.
    check_layer(
        TransformerBlock, ARGUMENTS, [TOKENS, MASK], TOKENS.shape, tmp_path, weights=16, without_gradient=["key/bias"]
    )


def test_agrees_with_numpy(block):
    np.testing.assert_allclose(block(TOKENS, MASK), numpy_block(block, TOKENS, MASK), rtol=1e-4, atol=1e-4)


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


def test_a_row_of_padding_is_finite(block):
    assert np.isfinite(block(TOKENS, np.zeros((3, 5), bool))).all()


def test_dropout_works_in_training_only():
    block = TransformerBlock(2, 8, dropout=0.5)
    np.testing.assert_array_equal(block(TOKENS), block(TOKENS))
    assert np.abs(block(TOKENS, training=True) - block(TOKENS, training=True)).max() > 1e-2


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="Expected a width that 3 heads divide. Received: width=4"):
        TransformerBlock(3, 8)(TOKENS)


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"feed_forward": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_an_argument_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"Received: {name}={wrong[name]}"):
        TransformerBlock(**{**ARGUMENTS, **wrong})
