import re

import numpy as np
import pytest
from sklearn.decomposition import PCA

from mmkeras.evaluation.report import figures
from mmkeras.evaluation.report.figures import line_plot


def heights(svg):
    """The heights on the page of the three points of the curve."""
    number = r"(-?[\d.]+)"
    (found,) = set(re.findall(rf'd="M {number} {number} \nL {number} {number} \nL {number} {number} \n"', svg))
    return [float(value) for value in found[1::2]]


@pytest.mark.parametrize("y_label, y, even", [("loss", [100, 10, 1], True), ("loss", [20, 10, 1], False)])
def test_losses_that_span_much_are_drawn_on_a_logarithmic_axis(y_label, y, even):
    first, second, third = heights(line_plot({"loss": ([0, 1, 2], y)}, "epoch", y_label))
    assert first < second < third  # downwards on the page
    assert (second - first == pytest.approx(third - second, rel=1e-3)) == even


def test_stages_have_their_names_at_their_lines():
    svg = line_plot({"loss": ([0, 1, 2], [3, 2, 1])}, "epoch", "loss", starts={"sum": 0, "hardest": 2})
    assert "sum" in svg and "hardest" in svg


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_the_plane_is_that_of_the_principal_components(dim, monkeypatch):
    random = np.random.default_rng(0)
    images, texts = (random.normal(size=(rows, dim)).astype("float32") * range(1, dim + 1) + 3 for rows in (30, 50))
    plane, mean, share = figures._plane(images, texts)
    both = np.concatenate([images, texts]).astype(np.float64)
    pca = PCA(min(2, dim)).fit(both)
    expected = pca.transform(both)
    found = ((both - mean) @ plane)[:, : expected.shape[1]]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    assert share == pytest.approx(pca.explained_variance_ratio_.sum())
    monkeypatch.setattr(figures, "ROWS", 7)
    for ours, other in zip(figures._plane(images, texts), (plane, mean, share), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-9)


def test_a_collapsed_model_is_one_point_of_the_plane():
    plane, mean, share = figures._plane(np.ones((3, 4), np.float32), np.ones((5, 4), np.float32))
    assert share == 1 and np.abs((np.ones((1, 4)) - mean) @ plane).max() == 0
