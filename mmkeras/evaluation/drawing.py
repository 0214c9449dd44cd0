"""How plots are drawn: inline SVG whose colours are the page's own, so that they follow its light and dark scheme."""

import io
import re

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

WIDTHS = {2: 5.2, 3: 4.4}  # inches, by figures in a row: text of 11 pt stays legible on a phone, 320 px wide
# What Matplotlib draws in these colours, the page shows in its variables of these names.
PAGE_COLOURS = {
    "#010101": "ink",
    "#020202": "quiet",
    "#030303": "line",
    "#0a0a01": "image",
    "#0a0a02": "text",
    "#0a0a03": "series-3",
    "#0a0a04": "series-4",
    "#0a0a05": "series-5",
    "#0a0a06": "series-6",
    "#0a0a07": "series-7",
    "#0a0a08": "series-8",
}
COLOUR = {name: colour for colour, name in PAGE_COLOURS.items()}
SERIES = [COLOUR["image"], COLOUR["text"], *(COLOUR[f"series-{number}"] for number in range(3, 9))]
STYLE = {
    "svg.fonttype": "none",  # text stays text: the page's font, and what a screen reader can read
    "font.size": 11,
    "text.color": COLOUR["quiet"],
    "axes.labelcolor": COLOUR["quiet"],
    "axes.edgecolor": COLOUR["line"],
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": COLOUR["line"],
    "ytick.color": COLOUR["line"],
    "xtick.labelcolor": COLOUR["quiet"],
    "ytick.labelcolor": COLOUR["quiet"],
    "grid.color": COLOUR["line"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": COLOUR["ink"],
    "lines.linewidth": 2,
}


def new_figure(width, height):
    """Return a figure of so many inches and its axes; draw within `matplotlib.rc_context(STYLE)`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def as_svg(figure, salt):
    """Return a figure as an SVG element in the page's colours, hidden from screen readers; the same for the same input.

    Args:
        figure: what `new_figure` returned.
        salt: string, different for each figure of a page: ids within it are made of it.
    """
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):  # ids of clip paths, different in each figure of one page
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # figure_1, axes_1, ... stand in every figure
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace("xlink:href", "href")
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return re.sub(r"\n\s*", "\n", svg)
