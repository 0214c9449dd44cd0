import numpy as np
import pytest

from mmkeras.layers import Discriminator

from ..model_checks import check_layer

INPUTS = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]], "float32")


@pytest.mark.parametrize("hidden, weights", [(0, 2), (5, 6)])
def test_is_a_sound_layer(tmp_path, hidden, weights):
    check_layer(Discriminator, {"hidden": hidden}, [INPUTS], (3,), tmp_path, weights=weights, cast=False)


def test_without_a_hidden_block_it_is_a_line():
    discriminator = Discriminator()
    discriminator.build((None, 2))
    discriminator.set_weights([np.array([[2.0], [-1.0]]), np.array([0.5])])
    np.testing.assert_allclose(discriminator(INPUTS, training=True), [2.5, 0.9, 1.5], rtol=1e-6)


def test_with_a_hidden_block_a_row_is_judged_within_its_batch():
    discriminator = Discriminator(4)
    together = np.asarray(discriminator(INPUTS, training=True))
    among_two = np.asarray(discriminator(INPUTS[:2], training=True))
    assert np.abs(together[:2] - among_two).max() > 1e-3
    still = np.asarray(discriminator(INPUTS))
    np.testing.assert_allclose(discriminator(INPUTS[:2]), still[:2], rtol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Received: hidden=-1"):
        Discriminator(-1)
