import re

import pytest

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
