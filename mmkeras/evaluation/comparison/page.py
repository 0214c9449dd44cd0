"""`write_comparison`: one HTML file that shows runs side by side: table, curves, and what they differ in."""

import os

from mmkeras.atomic import replacing_file
from mmkeras.evaluation.comparison.comparison import Comparison
from mmkeras.evaluation.comparison.figures import GAP_MEASURE, curves_of_runs, retrieval_and_gap, series_key
from mmkeras.evaluation.rendering import number, render
from mmkeras.metrics.measures import VALIDATION, find_measure

MAP, RSUM = "map", "rsum"  # what sums both directions up: by item and by category


def write_comparison(file: str | os.PathLike[str], comparison: Comparison) -> None:
    """Write the page of a comparison: one file, self-contained, in the look of a run's report.

    Args:
        file: path; written beside and renamed.
        comparison: `Comparison`.

    Example:
        >>> write_comparison("comparison.html", Comparison(["runs/a", "runs/b"]))
    """
    groups = comparison.groups
    measured = sorted({group.measured for group in groups} - {""})
    runs = sum(len(group.runs) for group in groups)
    many = f"{len(groups)} experiments" if runs > len(groups) else f"{runs} runs"
    page = render(
        __package__,
        "comparison.html.j2",
        title=" · ".join(group.name for group in groups) if len(groups) <= 3 else many,
        measured=measured,
        runs=runs,
        several=runs > len(groups),
        groups=[
            {"title": group.title, "folders": [str(run.folder) for run in group.runs], "key": series_key(place)}
            for place, group in enumerate(groups)
        ],
        warnings=comparison.warnings,
        sections=comparison.sections(),
        figures=_figures(comparison),
        differences=comparison.differences(),
    )
    with replacing_file(file) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


def _figures(comparison):
    """The plots that there are figures for: dicts with `title`, `svg`, `summary` and `note`."""
    groups = comparison.groups
    kinds = [MAP, RSUM] if comparison.by_category else [RSUM, MAP]
    if all(group.curve(VALIDATION + kinds[0]) for group in groups):
        kinds = kinds[:1]  # all have the first, which is what they were trained for
    found = []
    for key in kinds:
        found.append(_curves(groups, "Validation", VALIDATION + key, _axis(key), "After each epoch, on dev."))
    note = "Losses of different systems are different quantities: read the course, not the height."
    found.append(_curves(groups, "Loss", "loss", "loss", note))
    note = "Up and to the left is better. A probe at chance tells images from texts no more"
    note += "." if comparison.same_data else "; points of different data do not compare."
    for key in kinds:
        svg = retrieval_and_gap(groups, key, _axis(key))
        pairs = [(group.name, group.mean(key), group.mean(GAP_MEASURE)) for group in groups]
        summary = "; ".join(
            f"{name} {number(round(y, 4))} at {100 * x:.1f}%" for name, y, x in pairs if x is not None and y is not None
        )
        found.append({"title": "Retrieval and modality gap", "svg": svg, "summary": summary, "note": note})
    return [figure for figure in found if figure["svg"]]


def _axis(key):
    """What an axis says of a measure: `"rsum, of 600"`."""
    measure = find_measure(key)
    note = measure.note({})
    return f"{measure.heading}, {note}" if note else measure.heading


def _curves(groups, title, column, label, note):
    ends = {group.name: list(group.curve(column).values()) for group in groups}
    summary = "; ".join(
        f"{name} from {number(round(curve[0][0], 4))} to {number(round(curve[-1][0], 4))}"
        for name, curve in ends.items()
        if curve
    )
    return {"title": title, "svg": curves_of_runs(groups, column, label), "summary": summary, "note": note}
