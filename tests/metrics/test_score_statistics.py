"""What scores say: worked out by hand, and against every pair one by one."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import score_scale


def turned(*degrees):
    """Unit vectors in the plane, float64 (N, 2)."""
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def test_worked_out_by_hand():
    # Scores of the four pairs: 1, 1/2, 1/2 and 1. Their mean is 3/4, their mean square 5/8.
    scale = score_scale(turned(0, 60), turned(0, 60), [[0, 0], [1, 1]])
    assert scale["random_mean"] == pytest.approx(0.75)
    assert scale["random_deviation"] == pytest.approx((0.625 - 0.5625) ** 0.5)
    assert scale["threshold"] == pytest.approx(1)


def test_random_pairs_are_all_pairs():
    generator = np.random.default_rng(0)
    images, texts = (generator.normal(size=(rows, 7)) + 1 for rows in (30, 50))
    images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
    scores = images @ texts.T
    scale = score_scale(images, texts, [[0, 0]])
    assert scale["random_mean"] == pytest.approx(scores.mean())
    assert scale["random_deviation"] == pytest.approx(scores.std())


@pytest.mark.parametrize(("count", "above"), [(1, 1), (9, 9), (10, 9), (20, 18), (21, 19)])
def test_the_threshold_is_what_nine_in_ten_texts_reach(count, above):
    cosines = np.linspace(0.1, 0.9, count)
    texts = np.column_stack([cosines, np.sqrt(1 - cosines**2)])
    pairs = np.column_stack([np.zeros(count, int), np.arange(count)])
    threshold = score_scale([[1.0, 0.0]], texts, pairs)["threshold"]
    assert threshold == pytest.approx(cosines[count - above])
    assert np.sum(cosines >= threshold - 1e-12) == above


def test_a_text_of_several_pictures_counts_by_the_best_and_one_without_a_picture_not_at_all():
    texts = turned(0, 180)
    scale = score_scale(turned(60, 0, 90), texts, [[0, 0], [1, 0], [2, 0]])
    assert scale["threshold"] == pytest.approx(1)


def test_a_collapsed_model_has_no_deviation():
    scale = score_scale(np.full((5, 4), 0.5), np.full((3, 4), 0.5), [[0, 0]])
    assert scale == pytest.approx({"random_mean": 1, "random_deviation": 0, "threshold": 1}, abs=1e-7)


def test_what_cannot_be_measured():
    with pytest.raises(MmkerasError, match="Expected at least one pair"):
        score_scale(turned(0), turned(0), np.empty((0, 2), int))
    with pytest.raises(MmkerasError, match="Expected images of shape"):
        score_scale(turned(0), [[1.0, 0.0, 0.0]], [[0, 0]])
