import numpy as np
import pytest

from mmkeras.layers import ProjectionBlock

from ..model_checks import check_layer

INPUTS = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, -2.0]], "float32")


def built(**arguments):
    """Weights that copy the two inputs, gamma (1, 2), beta (0, 1)."""
    block = ProjectionBlock(2, **arguments)
    block.build((None, 2))
    for variable, value in (
        (block.projection.kernel, np.eye(2)),
        (block.projection.bias, [0.0, 0.0]),
        (block.gamma, [1.0, 2.0]),
        (block.beta, [0.0, 1.0]),
    ):
        variable.assign(value)
    return block


def test_is_a_sound_layer(tmp_path):
    arguments = {"units": 4, "streams": 2, "momentum": 0.5, "epsilon": 1e-3, "negative_slope": 0.1, "dropout": 0.5}
    check_layer(ProjectionBlock, arguments, [INPUTS], (3, 4), tmp_path, weights=4, cast=False)


def test_in_training_by_hand():
    """Columns (1, 3, 5) and (0, 2, -2), both of variance 8/3: over 1.633 they are (-1.225, 0, 1.225) and (0, ...)."""
    out = built(epsilon=0.0)(INPUTS, training=True)
    x = np.sqrt(1.5)
    np.testing.assert_allclose(out, [[-0.2 * x, 1], [0, 1 + 2 * x], [x, 0.2 * (1 - 2 * x)]], rtol=1e-5, atol=1e-6)


def test_each_stream_has_its_own_moving_statistics_and_all_share_the_weights():
    block = built(streams=2)
    block(INPUTS, stream=0, training=True)
    block(10 * INPUTS, stream=1, training=True)
    np.testing.assert_allclose(block.moving_means, [[0.3, 0.0], [3.0, 0.0]], rtol=1e-5, atol=1e-6)
    variances = [[0.9 + 0.1 * 8 / 3] * 2, [0.9 + 0.1 * 800 / 3] * 2]
    np.testing.assert_allclose(block.moving_variances, variances, rtol=1e-5)
    # (x - 0.3) / 1.0802 and (x - 3) / 5.2504 of the first column's 5
    found = [float(block(INPUTS, stream=stream)[2, 0]) for stream in (0, 1)]
    assert found == pytest.approx([4.7 / np.sqrt(0.9 + 0.8 / 3), 2 / np.sqrt(0.9 + 80 / 3)], rel=1e-4)
    assert len(block.trainable_variables) == 4 and len(block.non_trainable_variables) == 4


def test_frozen_it_keeps_its_statistics_and_uses_them():
    block = built()
    block.trainable = False
    np.testing.assert_allclose(block(INPUTS, training=True), block(INPUTS, training=False))
    np.testing.assert_array_equal(block.moving_means[0], [0, 0])


def test_it_starts_as_published():
    """Kernel and bias uniform within 1 / sqrt(inputs), gamma of N(1, 0.02), beta 0."""
    block = ProjectionBlock(400)
    block.build((None, 100))
    for variable in (block.projection.kernel, block.projection.bias):
        values = np.asarray(variable)
        assert 0.09 < np.abs(values).max() <= 0.1
        assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)
    gamma = np.asarray(block.gamma)
    assert (gamma.mean(), gamma.std()) == (pytest.approx(1, abs=5e-3), pytest.approx(0.02, rel=0.15))
    assert not np.any(block.beta)


@pytest.mark.parametrize(
    "arguments", [{"units": 0}, {"units": 2, "streams": 0}, {"units": 2, "momentum": 1.0}, {"units": 2, "dropout": 1.0}]
)
def test_what_does_not_fit_is_refused(arguments):
    with pytest.raises(ValueError, match="Expected .* Received: "):
        ProjectionBlock(**arguments)
