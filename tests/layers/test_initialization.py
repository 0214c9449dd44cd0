import numpy as np
import pytest

from mmkeras.layers import MultiHeadAttention
from mmkeras.layers.initialization import kernel_initializer


def test_a_range_is_a_cut_normal_distribution_and_none_is_glorot():
    kernel = np.asarray(kernel_initializer(0.5)((100, 100)))
    assert np.abs(kernel).max() <= 1 and 0.4 < kernel.std() < 0.5
    glorot = np.asarray(kernel_initializer(None)((100, 200)))
    assert 0.13 < np.abs(glorot).max() <= (6 / 300) ** 0.5


@pytest.mark.parametrize("wrong", [0, -0.02])
def test_a_range_that_is_not_positive_is_refused(wrong):
    with pytest.raises(ValueError, match=f"Received: initializer_range={wrong}"):
        MultiHeadAttention(2, initializer_range=wrong).build((None, 3, 4))
