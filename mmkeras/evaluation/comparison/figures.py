"""The plots of a comparison, as inline SVG: a colour and a line style a group of runs, the same in all of them."""

from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.ticker import MaxNLocator

from mmkeras.evaluation.comparison.run_group import RunGroup
from mmkeras.evaluation.drawing import COLOUR, PAGE_COLOURS, SERIES, STYLE, WIDTHS, as_svg, new_figure
from mmkeras.metrics.measures import GAP, find_measure

LINES = (("-", ""), ("--", "7 3"), (":", "2 3"), ("-.", "8 3 2 3"))  # Matplotlib's, and those of the key in the page
# Matplotlib's, and the same around (14, 6) in the key.
MARKERS = (
    ("o", "M10 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z"),
    ("D", "M14 1L19 6L14 11L9 6Z"),
    ("s", "M10 2H18V10H10Z"),
    ("^", "M14 1L19 10H9Z"),
    ("v", "M14 11L19 2H9Z"),
    ("P", "M12 1H16V4H19V8H16V11H12V8H9V4H12Z"),
    ("X", "M10 1L14 4L18 1L19 2L16 6L19 10L18 11L14 8L10 11L9 10L12 6L9 2Z"),
    ("*", "M14 0L15.5 4.2L20 4.3L16.4 7L17.7 11.3L14 8.8L10.3 11.3L11.6 7L8 4.3L12.5 4.2Z"),
)
CHANCE = 0.5  # of a probe between two modalities
GAP_MEASURE = "modality_probe"


def series_style(place: int) -> tuple[str, str, str]:
    """Return colour, line style and marker of a group of runs by its place in the comparison."""
    colour, line, marker = _series(place)
    return colour, line[0], marker[0]


def series_key(place: int) -> dict[str, str]:
    """Return what the page's key shows for a group: `colour` in CSS, `dashes` and `marker` as SVG attributes."""
    colour, line, marker = _series(place)
    return {"colour": f"var(--{PAGE_COLOURS[colour]})", "dashes": line[1], "marker": marker[1]}


def _series(place):
    """Colours come around first; then lines and markers are others."""
    turn = place // len(SERIES)
    return SERIES[place % len(SERIES)], LINES[turn % len(LINES)], MARKERS[(place + turn) % len(MARKERS)]


def curves_of_runs(groups: Sequence[RunGroup], key: str, y_label: str) -> str | None:
    """Draw a column of the logs by epoch: a line a group, of several seeds their mean and, shaded, their range.

    Args:
        groups: list of `RunGroup`.
        key: column of the logs.
        y_label: string.

    Returns:
        SVG element as a string; `None` where no run has the column.
    """
    curves = [group.curve(key) for group in groups]
    if not any(curves):
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[3], height=0.72 * WIDTHS[3])
        for place, curve in enumerate(curves):
            if curve:
                colour, line, marker = series_style(place)
                mean, low, high = zip(*curve.values(), strict=True)
                few: dict[str, Any] = {"marker": marker, "markersize": 4} if len(curve) <= 12 else {}
                axes.plot(list(curve), mean, line, color=colour, linewidth=1.6, **few)
                if low != high:
                    axes.fill_between(list(curve), low, high, color=colour, alpha=0.18, linewidth=0)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set(xlabel="epoch", ylabel=y_label)
        return as_svg(figure, f"runs {key}")


def retrieval_and_gap(groups: Sequence[RunGroup], key: str, y_label: str) -> str | None:
    """Draw retrieval against the modality gap: a point a group, and smaller ones for its seeds.

    Args:
        groups: list of `RunGroup`.
        key: figure of retrieval, of `ComparedRun.values`.
        y_label: string.

    Returns:
        SVG element as a string; `None` where no run has both figures.
    """
    points = [
        [(run.values[GAP_MEASURE], run.values[key]) for run in group.runs if {GAP_MEASURE, key} <= set(run.values)]
        for group in groups
    ]
    if not any(points):
        return None
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[3], height=0.72 * WIDTHS[3])
        axes.axvline(CHANCE, color=COLOUR["line"], linewidth=1)
        axes.text(CHANCE + 0.006, 0.02, "chance", transform=axes.get_xaxis_transform(), fontsize=9)
        for place, found in enumerate(points):
            if found:
                colour, _, marker = series_style(place)
                middle = [sum(values) / len(found) for values in zip(*found, strict=True)]
                axes.plot(*middle, marker, color=colour, markersize=9, markeredgewidth=0)
                if len(found) > 1:
                    axes.plot(*zip(*found, strict=True), marker, color=colour, markersize=4.5, alpha=0.5, mew=0)
        low = min(CHANCE, *(x for found in points for x, _ in found))
        axes.set_xlim(low - 0.03, 1.02)
        axes.set_ylim(bottom=0, top=1.08 * max(axes.dataLim.y1, 1e-3))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
        axes.set(xlabel=f"{GAP}: {find_measure(GAP_MEASURE).heading}", ylabel=y_label)
        return as_svg(figure, f"gap and {key}")
