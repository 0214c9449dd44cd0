import math

import numpy as np
import pytest

from mmkeras.losses import DiscriminatorCrossentropy, discriminator_crossentropy, fooling_crossentropy


def test_by_hand():
    """log(1 + e^-l) of what is real; log(1 + e^l) of the fakes, half of it for each of two kinds."""
    real, fakes = [2.0, 0.0], ([0.0, 1.0], [-1.0, 0.0])
    one = discriminator_crossentropy(real, fakes[:1])
    np.testing.assert_allclose(one, [math.log1p(math.e**-2) + math.log(2), math.log(2) + math.log1p(math.e)], rtol=1e-6)
    two = [
        math.log1p(math.e**-2) + 0.5 * math.log(2) + 0.5 * math.log1p(math.e**-1),
        math.log(2) + 0.5 * math.log1p(math.e) + 0.5 * math.log(2),
    ]
    np.testing.assert_allclose(discriminator_crossentropy(real, fakes), two, rtol=1e-6)
    np.testing.assert_allclose(fooling_crossentropy([0.0, -3.0]), [math.log(2), math.log1p(math.e**3)], rtol=1e-6)


def test_large_logits_stay_finite():
    np.testing.assert_allclose(discriminator_crossentropy([-500.0], [[500.0]]), [1000.0])
    np.testing.assert_allclose(fooling_crossentropy(np.array([-500.0, 500.0], "float16")), [500, 0])


def test_the_class_is_the_mean_of_the_function():
    real, fakes = np.array([0.3, -1.2], "float32"), [np.array([4.0, 0.0], "float32"), np.array([1.0, 1.0], "float32")]
    value = float(DiscriminatorCrossentropy()(real, fakes))
    assert value == pytest.approx(np.mean(discriminator_crossentropy(real, fakes)), rel=1e-6)
