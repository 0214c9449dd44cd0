import numpy as np
import pytest

from mmkeras.layers import CategoryHead

from ..model_checks import check_layer

EMBEDDING = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]], "float32")


def test_is_a_sound_layer(tmp_path):
    check_layer(
        CategoryHead,
        {"classes": 4, "scale": 3.0, "initial_bias": -1.0},
        [EMBEDDING],
        (3, 4),
        tmp_path,
        weights=2,
        cast=False,
    )


def test_logits_are_scaled_cosines_with_a_bias_by_hand():
    """Directions (2, 0), (0, 5) and (-3, 4): cosines 1 0 -.6; .6 .8 .28; 0 -1 -.8."""
    head = CategoryHead(3, scale=2.0)
    head.build((None, 2))
    head.directions.assign([[2.0, 0.0, -3.0], [0.0, 5.0, 4.0]])
    head.bias.assign([0.5, 0.0, -0.25])
    cosines = np.array([[1, 0, -0.6], [0.6, 0.8, 0.28], [0, -1, -0.8]])
    np.testing.assert_allclose(head(EMBEDDING), 2 * cosines + [0.5, 0, -0.25], rtol=1e-6, atol=1e-6)


def test_the_bias_starts_where_it_is_told_to():
    head = CategoryHead(3, initial_bias=-2.0)
    head.build((None, 2))
    assert head.bias.numpy().tolist() == [-2.0] * 3


def test_longer_directions_change_nothing():
    head = CategoryHead(3)
    before = np.array(head(EMBEDDING))
    head.directions.assign(head.directions * [[10.0, 0.1, 3.0]])
    np.testing.assert_allclose(head(EMBEDDING), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"classes": 1}, {"classes": 3, "scale": 0.0}, {"classes": 3, "scale": np.inf}])
def test_what_does_not_fit_is_refused(arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(ValueError, match=f"{name}={value}"):
        CategoryHead(**arguments)
