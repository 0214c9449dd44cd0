"""The report's plots, as inline SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from mmkeras.evaluation.drawing import COLOUR, STYLE, WIDTHS, as_svg, new_figure
from mmkeras.evaluation.measuring.evaluate import Evaluation
from mmkeras.evaluation.measuring.relevance import relevant, relevant_rows
from mmkeras.metrics.measures import find_measure

FLAT = 50  # largest over smallest loss, past which a line would look flat: stages weigh losses differently
LONGEST_OF_TWO = {2: 30, 3: 24}  # characters of a legend with two columns, by figures in a row
ROWS = 8192  # that are in memory in float64
MOST_POINTS = 600  # of each modality in the projection
TRUE_PAIRS = 100
MOST_NEGATIVES = 20_000
MOST_TEXTS = 50  # of one picture, among the relevant pairs


def line_plot(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    in_a_row: int = 2,
    starts: Mapping[str, int] | None = None,
) -> str:
    """Draw curves; losses that span much on a logarithmic axis.

    Args:
        curves: dict from a name to (x values, y values); beside others, names starting with `val_` are dashed.
        x_label: string.
        y_label: string.
        in_a_row: how many figures the page shows beside each other, 2 or 3.
        starts: dict from the name of a stage to the whole x where it starts: a line before it, with the name.

    Returns:
        SVG element as a string.
    """
    with matplotlib.rc_context(STYLE):
        width = WIDTHS[in_a_row]
        figure, axes = new_figure(width, height=0.72 * width)
        validation = [name.startswith("val_") for name in curves]
        for name, (x, y) in curves.items():
            few: dict[str, Any] = {"marker": "o", "markersize": 4} if len(x) <= 12 else {}
            label = _plain(name.removeprefix("val_") if all(validation) else name)
            axes.plot(x, y, "--" if name.startswith("val_") and not all(validation) else "-", label=label, **few)
        axes.grid(axis="y")
        values = [value for _, y in curves.values() for value in y]
        if y_label == "loss" and 0 < min(values) < max(values) / FLAT:
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if max(len(x) for x, _ in curves.values()) == 1:
            axes.set_xlim(*(axes.dataLim.intervalx + [-0.5, 0.5]))
        axes.set(xlabel=x_label, ylabel=y_label)
        for name, x in (starts or {}).items():
            axes.axvline(x - 0.5, color=COLOUR["line"], linewidth=1)
            place: dict[str, Any] = {"rotation": 90, "va": "top", "ha": "left", "fontsize": 9}
            axes.text(x - 0.45, 0.98, _plain(name), transform=axes.get_xaxis_transform(), **place)
        if len(curves) > 1:
            longest = max(len(str(line.get_label())) for line in axes.get_lines()[: len(curves)])
            columns = 2 if longest <= LONGEST_OF_TWO[in_a_row] else 1
            figure.legend(loc="outside upper left", ncols=columns, columnspacing=1.2, handlelength=1.6, borderaxespad=0)
        return as_svg(figure, f"{y_label} {' '.join(curves)}")


def projection(evaluation: Evaluation, seed: int) -> tuple[str, float]:
    """Draw both modalities on the first two principal components of all embeddings, with some true pairs joined.

    Args:
        evaluation: `Evaluation`.
        seed: decides which points and pairs are drawn.

    Returns:
        SVG element as a string, and the share of the variance that the plane holds, in [0, 1].
    """
    images, texts = evaluation.image_embeddings, evaluation.text_embeddings
    plane, mean, share = _plane(images, texts)
    images, texts = ((part - mean) @ plane for part in (images, texts))
    generator = np.random.default_rng(seed)
    pairs = evaluation.data.pairs
    pairs = pairs[np.sort(generator.permutation(len(pairs))[:TRUE_PAIRS])]
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[2], height=4.5)
        if len(pairs):
            ends = np.stack([images[pairs[:, 0]], texts[pairs[:, 1]]], axis=1)  # (pairs, 2 ends, 2)
            gaps = np.full((len(pairs), 1, 2), np.nan)  # lifts the pen, so that one path holds all lines
            axes.plot(*np.concatenate([ends, gaps], axis=1).reshape(-1, 2).T, color=COLOUR["line"], linewidth=0.8)
        for name, points, marker in (("image", images, "o"), ("text", texts, "D")):
            drawn = points[np.sort(generator.permutation(len(points))[:MOST_POINTS])]
            label = f"{name}s"
            size = {"o": 4.6, "D": 3.8}[marker]
            axes.plot(*drawn.T, marker, color=COLOUR[name], markersize=size, alpha=0.7, markeredgewidth=0, label=label)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel="first principal component", ylabel="second")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderaxespad=0, markerscale=1.5)
        return as_svg(figure, "projection"), share


def _plane(*parts):
    """The first two principal components (D, 2) of all rows, their mean (D,), and the share of the variance they hold.

    In blocks of rows: a copy of all in float64 would be twice what they take.
    """
    count, dim = sum(map(len, parts)), parts[0].shape[1]
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / count
    covariance = np.zeros((dim, dim))
    for part in parts:
        for start in range(0, len(part), ROWS):
            centred = part[start : start + ROWS] - mean
            covariance += centred.T @ centred / max(1, count - 1)
    variances, axes = np.linalg.eigh(covariance)
    plane = np.zeros((dim, 2))
    plane[:, : min(2, dim)] = axes[:, ::-1][:, :2]
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1, 1)  # the sign is free: one a data set
    total = variances.sum()
    return plane, mean, float(variances[::-1][:2].sum() / total) if total > 0 else 1.0


def similarity_histogram(evaluation: Evaluation, seed: int) -> tuple[str, float, float | None]:
    """Draw the densities of the similarity of relevant pairs and of drawn irrelevant ones.

    Args:
        evaluation: `Evaluation`; its `relevance` says which pairs are relevant.
        seed: decides which pairs are drawn.

    Returns:
        SVG element as a string, and the means of both kinds; without irrelevant pairs the second mean is `None`.
    """
    image, text = evaluation.relevance.image, evaluation.relevance.text
    generator = np.random.default_rng(seed)
    positive = _relevant_pairs(image, text, generator)
    negative = np.column_stack([generator.integers(len(keys), size=2 * MOST_NEGATIVES) for keys in (image, text)])
    negative = negative[~relevant_rows(image[negative[:, 0]], text[negative[:, 1]])][:MOST_NEGATIVES]
    scores = [
        np.einsum("nd,nd->n", evaluation.image_embeddings[pairs[:, 0]], evaluation.text_embeddings[pairs[:, 1]])
        for pairs in (positive, negative)
    ]
    everything = np.concatenate(scores)
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1e-3, 49)
    with matplotlib.rc_context(STYLE):
        figure, axes = new_figure(WIDTHS[2], height=4.5)
        for values, colour, label in zip(
            scores[::-1], (COLOUR["quiet"], COLOUR["image"]), ("not relevant", "relevant"), strict=True
        ):
            if len(values):
                share = np.histogram(values, edges)[0] / len(values)
                axes.stairs(share, edges, color=colour, fill=True, alpha=0.28)
                axes.stairs(share, edges, color=colour, label=label, linewidth=1.4)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
        axes.set(xlabel="similarity (cosine)", ylabel="share of pairs")
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.4, borderaxespad=0)
        return as_svg(figure, "histogram"), *(float(values.mean()) if len(values) else None for values in scores)


def _relevant_pairs(image, text, generator):
    """Rows (picture, text) of relevant pairs: all, or of as many pictures and texts as keep to the constants above."""
    pairs, total = [], 0
    for row in generator.permutation(len(image)):
        texts = np.flatnonzero(relevant(image[[row]], text)[0])
        if len(texts) > MOST_TEXTS:  # a whole category: rather some pairs of many pictures than all of a few
            texts = generator.choice(texts, MOST_TEXTS, replace=False)
        pairs.append(np.column_stack([np.full(len(texts), row), texts]))
        total += len(texts)
        if total >= MOST_NEGATIVES:
            break
    return np.concatenate(pairs)


def _plain(name):
    """A column of the log as people read it: `val_text_to_image_recall@1` is "Text to image R@1"."""
    measure = find_measure(name)
    return measure.title if measure else name.replace("_", " ").replace("val ", "validation ", 1)
