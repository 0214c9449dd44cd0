"""What scores say: worked out by hand, and against every pair one by one."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import score_scale, score_statistics


def turned(*degrees):
    """Unit vectors in the plane, float64 (N, 2)."""
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def test_worked_out_by_hand():
    # Scores of the four pairs: 1, 1/2, 1/2 and 1. Their mean is 3/4, their mean square 5/8.
    scale = score_scale(turned(0, 60), turned(0, 60))
    assert scale["random_mean"] == pytest.approx(0.75)
    assert scale["random_deviation"] == pytest.approx((0.625 - 0.5625) ** 0.5)
    assert scale["threshold"] == pytest.approx(1)


def test_random_pairs_are_all_pairs():
    generator = np.random.default_rng(0)
    images, texts = (generator.normal(size=(rows, 7)) + 1 for rows in (30, 50))
    images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
    scores = images @ texts.T
    scale = score_scale(images, texts)
    assert scale["random_mean"] == pytest.approx(scores.mean())
    assert scale["random_deviation"] == pytest.approx(scores.std())


@pytest.mark.parametrize(("count", "above"), [(1, 1), (9, 9), (10, 9), (20, 18), (21, 19)])
def test_the_threshold_is_what_nine_searches_in_ten_reach(count, above):
    cosines = np.linspace(0.1, 0.9, count)
    texts = np.column_stack([cosines, np.sqrt(1 - cosines**2)])
    threshold = score_scale([[1.0, 0.0]], texts)["threshold"]
    assert threshold == pytest.approx(cosines[count - above])
    assert np.sum(cosines >= threshold - 1e-12) == above


def test_a_search_is_told_by_its_best_result_wherever_that_stands(monkeypatch):
    monkeypatch.setattr(score_statistics, "_PICTURES_AT_A_TIME", 2)
    texts = turned(*range(0, 40, 4))
    for pictures in (turned(90, 120, 0, 150), turned(0, 90, 120, 150, 170)):
        assert score_scale(pictures, texts)["threshold"] == pytest.approx(np.cos(np.radians(32)))


def test_a_collapsed_model_has_no_deviation():
    scale = score_scale(np.full((5, 4), 0.5), np.full((3, 4), 0.5))
    assert scale == pytest.approx({"random_mean": 1, "random_deviation": 0, "threshold": 1}, abs=1e-7)


@pytest.mark.parametrize("images, texts", [(turned(), turned(0)), (turned(0), turned()), (turned(0), np.eye(3))])
def test_what_cannot_be_measured(images, texts):
    with pytest.raises(MmkerasError, match="Expected images of shape .*, at least one of each"):
        score_scale(images, texts)
