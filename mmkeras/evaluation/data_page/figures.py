"""The plots of a data check, as inline SVG."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from mmkeras.data.checking import DataFindings
from mmkeras.data.checking.spread import Spread
from mmkeras.data.checking.wording import span
from mmkeras.evaluation.drawing import COLOUR, SERIES, STYLE, WIDTHS, as_svg, new_figure
from mmkeras.printable import printable

BARS = 40
TAIL = 0.995  # what lies beyond this quantile stands in the last bar: one article would flatten all captions
MOST_CLASSES = 20
LONGEST_NAME = 24  # characters of a class


def data_figures(findings: DataFindings) -> list[dict[str, Any]]:
    """Draw what findings have figures of.

    Args:
        findings: `DataFindings`.

    Returns:
        list of dicts with `title`, `svg`, `summary` and `note`.
    """
    pictures, captions = findings.pictures, findings.captions
    found: list[dict[str, Any]] = []
    if pictures is not None and len(pictures.width.values):
        found.append(_spread("Longer side of pictures", pictures.longest_side, "pixels", "pictures"))
        found.append(_spread("Width over height", pictures.aspect, "1 is a square", "pictures"))
    if captions.count:
        found.append(_spread("Lengths of captions in words", captions.words, "words", "captions", "text"))
    if captions.ids is not None:
        figure = _spread(
            "Lengths of captions in ids", captions.ids, "ids", "captions", "text", captions.sequence_length
        )
        figure["note"] = f"The line: {captions.sequence_length} ids are read, what is longer is cut. {figure['note']}"
        found.append(figure)
    if findings.classes is not None:
        found.append(_classes(findings.classes.counts, list(findings.counts)))
    return found


def _spread(title, spread, x_label, what, colour="image", mark=0):
    svg, is_clipped = histogram(spread, x_label, what, colour, mark)
    note = "The last bar holds the 0.5 % beyond it, too." if is_clipped else ""
    return {"title": title, "svg": svg, "summary": f"{span(spread)}.", "note": note}


def histogram(spread: Spread, x_label: str, what: str, colour: str = "image", mark: float = 0) -> tuple[str, bool]:
    """Draw how numbers are spread.

    Args:
        spread: `Spread` of one number or more.
        x_label: what they are.
        what: what is counted, in the plural.
        colour: a name of the page's colours.
        mark: a value to mark by a line, 0 for none.

    Returns:
        SVG element as a string, and whether the largest numbers stand in the last bar.
    """
    values = spread.values
    largest = spread.quantile(TAIL)
    is_clipped = spread.most > 1.5 * largest
    values = np.minimum(values, np.asarray(largest, values.dtype)) if is_clipped else values
    low, high = float(values.min()), float(values.max())
    whole = np.issubdtype(values.dtype, np.integer)
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / BARS)))
        edges = np.arange(low, high + 1 + step, step) - 0.5
    else:
        edges = np.linspace(low - 0.02, high + 0.02, BARS + 1 if high > low else 2)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[2], height=3.2)
        axes.stairs(np.histogram(values, edges)[0], edges, color=COLOUR[colour], fill=True, alpha=0.28)
        axes.stairs(np.histogram(values, edges)[0], edges, color=COLOUR[colour], linewidth=1.4)
        if mark and edges[0] < mark < edges[-1]:
            axes.axvline(mark + 0.5, color=COLOUR["ink"], linewidth=1.2, linestyle="--")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if len(edges) == 2:  # one bar, of all of them
            axes.set_xlim(edges[0] - 1, edges[1] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=bool(whole), min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
        axes.set(xlabel=x_label, ylabel=what)
        return as_svg(figure, f"{x_label} {what}"), bool(is_clipped)


def _classes(counts: Mapping[str, Mapping[str, int]], splits: Sequence[str]) -> dict[str, Any]:
    """Bars of the largest classes, a part a split."""
    shown = dict(list(counts.items())[:MOST_CLASSES])
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[2], height=max(1.6, 0.9 + 0.3 * len(shown)))
        rows = np.arange(len(shown))[::-1]
        left = np.zeros(len(shown))
        for place, split in enumerate(splits):
            widths = np.array([by_split.get(split, 0) for by_split in shown.values()], float)
            if widths.any():
                axes.barh(
                    rows, widths, left=left, color=SERIES[place % len(SERIES)], alpha=0.75, label=split, height=0.7
                )
            left += widths
        names = [printable(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…") for name in shown]
        axes.set_yticks(rows, [name.replace("$", r"\$") for name in names])
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.set(xlabel="pictures")
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.2, borderaxespad=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # of letters that Matplotlib's font lacks: the page has its own
            svg = as_svg(figure, "classes")
    note = f"The {MOST_CLASSES} largest of {len(counts):,}." if len(counts) > MOST_CLASSES else ""
    summary = "; ".join(f"{name} {sum(by_split.values()):,}" for name, by_split in shown.items())
    return {"title": "Classes", "svg": svg, "summary": f"{summary}.", "note": note}
