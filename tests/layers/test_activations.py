import math

import keras
import numpy as np
import pytest

from mmkeras.layers import activation_named

X = np.array([-3.0, -1.0, 0.0, 0.5, 2.0], "float32")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("gelu", [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in X]),
        ("gelu_tanh", [0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in X]),
        ("quick_gelu", [x / (1 + math.exp(-1.702 * x)) for x in X]),
        ("relu", [max(x, 0) for x in X]),
    ],
)
def test_each_is_its_formula(name, expected):
    found = keras.layers.Activation(activation_named(name))(X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_another_is_refused():
    with pytest.raises(ValueError, match=r"'gelu', 'gelu_tanh', 'quick_gelu', 'relu'. Received: activation='swish'"):
        activation_named("swish")
