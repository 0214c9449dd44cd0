import numpy as np
import pytest

from mmkeras.layers import AttentionPooling

from ..model_checks import check_layer

TOKENS = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
ARGUMENTS = {"heads": 2, "feed_forward": 6, "activation": "gelu_tanh", "epsilon": 1e-6, "initializer_range": 0.5}


def test_is_a_sound_layer(tmp_path):
    weights = 1 + 8 + 2 + 4
    check_layer(AttentionPooling, ARGUMENTS, [TOKENS], (3, 4), tmp_path, weights, ["key/bias"])


def test_the_order_of_the_tokens_is_nothing_to_it_and_each_of_them_counts():
    layer = AttentionPooling(**ARGUMENTS)
    pooled = np.asarray(layer(TOKENS))
    np.testing.assert_allclose(layer(TOKENS[:, ::-1]), pooled, atol=1e-6)
    for place in range(5):
        changed = TOKENS.copy()
        changed[:, place] += 1
        assert np.abs(layer(changed) - pooled).max(axis=1).min() > 1e-3


@pytest.mark.parametrize("name", ["heads", "feed_forward"])
def test_a_size_of_0_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0"):
        AttentionPooling(**{**ARGUMENTS, name: 0})
