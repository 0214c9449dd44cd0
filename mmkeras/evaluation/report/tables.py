"""The tables of a run's figures, as the terminal, the report and the model card show them: strings, row by row.

All of them are drawn from the registry of measures, so that a measure that is entered there has its place in each.
"""

from collections.abc import Mapping
from typing import Any

from mmkeras.metrics.measure import DIRECTIONS, IN_WORDS
from mmkeras.metrics.measures import (
    CATEGORY,
    DEVIATION,
    FOR_TRAINING,
    GALLERY,
    GAP,
    PARTS,
    REPRESENTATIONS,
    RERANKED,
    RETRIEVAL,
    STRICT,
    UNTRAINED,
    ZERO_SHOT_CLASSES,
    measures_of,
    untrained_measures,
)

MISSING = "–"


def headlines(metrics: Mapping[str, Any], by_category: bool = False) -> list[dict[str, str]]:
    """Return the figures at the top of a report: the main measures of retrieval, and what sums both directions up.

    Args:
        metrics: flat dict of `evaluate`.
        by_category: whether the model is asked for categories: those come first, and no sum of the others is shown.

    Returns:
        list of dicts: `name`, `value` and `note`.
    """
    found = []
    first = (CATEGORY, RETRIEVAL) if by_category else (RETRIEVAL, CATEGORY)
    for section in (*first, ZERO_SHOT_CLASSES):
        summed_up = [] if by_category and section == RETRIEVAL else _of_both_directions(section)
        main = [figure for entry in measures_of(section) for figure in entry.figures() if figure.main]
        for figure in [*(figure for figure in main if figure.directions), *summed_up]:
            if figure.name in metrics:
                again = _reranked(figure, metrics)
                notes = [f"re-ranked {again}"] if again else []
                notes += [note] if (note := figure.note(metrics)) else []
                value = figure.figure(metrics[figure.name])
                found.append({"name": figure.title, "value": value, "note": "; ".join(notes)})
    return found


def retrieval_table(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table of retrieval by direction; `None` where the data have no pairs.

    Returns:
        dict: `columns`, headings; `alike`, whether look-alikes and equal texts count and change something; and
        `groups`, one for each direction: dicts with `name`, `gallery`, its size, and `rows`, dicts with `name` and
        `cells`. The last row is what chance would reach with one relevant item; strict rows are there where they
        differ, and re-ranked ones
        where there was re-ranking.
    """
    columns = _columns(RETRIEVAL, metrics)
    if not columns:
        return None
    strict = {key.removeprefix(STRICT): value for key, value in metrics.items() if key.startswith(STRICT)}
    alike = any(metrics.get(key) != value for key, value in strict.items())  # else the strict row would repeat it
    kinds = (("Equals count", ""), ("Strict", STRICT)) if alike else (("This model", ""),)
    if "k_test" in metrics:
        again = f"{metrics['k_test']} re-ranked"
        kinds = [kind for name, prefix in kinds for kind in ((name, prefix), (f"{name}, {again}", prefix + RERANKED))]
    groups = []
    for direction, name in DIRECTIONS.items():
        if figures := _row_of_figures(columns, direction, metrics):
            rows = [{"name": of, "cells": [_cell(each, metrics, prefix) for each in figures]} for of, prefix in kinds]
            rows.append({"name": "Chance", "cells": [_chance_cell(each, metrics) for each in figures]})
            groups.append({"name": name, "gallery": metrics.get(GALLERY.get(direction, "")), "rows": rows})
    return {"columns": [measure.at(k=k).heading for measure, k in columns], "groups": groups, "alike": alike}


def category_table(metrics: Mapping[str, Any], beside_recall: bool = False) -> dict[str, Any] | None:
    """Return the table of retrieval by category; `None` where the data have no categories.

    Args:
        metrics: flat dict of `evaluate`.
        beside_recall: whether the main figures of retrieval by item stand in the first columns.

    Returns:
        dict: `columns`, headings, and `rows`, one for each direction and one of chance: dicts with `name` and `cells`.
    """
    columns = _columns(CATEGORY, metrics)
    if columns and beside_recall:
        recall = [(measure, k) for measure, k in _columns(RETRIEVAL, metrics, every=True) if measure.at(k=k).main]
        columns = recall + columns
    return _by_direction(columns, metrics)


def representation_table(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table of raw representations, in the form of `category_table`; `None` where they were not measured."""
    return _by_direction(_columns(REPRESENTATIONS, metrics), metrics)


def summary_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what sums retrieval up over both directions.

    Returns:
        list of dicts: `name`, `figure`, `note` (how to read it) and `reranked`, the figure after re-ranking or `None`.
    """
    return [
        {
            "name": figure.title,
            "figure": figure.figure(metrics[figure.name]),
            "note": figure.note(metrics),
            "reranked": _reranked(figure, metrics),
        }
        for section in (RETRIEVAL, CATEGORY, ZERO_SHOT_CLASSES)
        for figure in _of_both_directions(section)
        if figure.name in metrics
    ]


def gap_table(metrics: Mapping[str, Any], with_retrieval: bool = True) -> list[dict[str, Any]]:
    """Return the rows of the table of the modality gap, empty where it was not measured.

    Args:
        metrics: flat dict of `evaluate`, with those of the untrained model, where there are any, under `untrained_...`.
        with_retrieval: whether retrieval figures that are kept of the untrained model come behind those of the gap.

    Returns:
        list of dicts: `name`, `meaning` and `better` in words, and `trained` and `untrained`, figures as strings;
        `untrained` is `None` where there is none.
    """
    if not any(measure.name in metrics for measure in measures_of(GAP)):
        return []
    return [
        {
            "name": measure.title if measure.section == GAP else f"{RETRIEVAL}: {_within(measure)}",
            "meaning": measure.note(metrics),
            "better": IN_WORDS[measure.better],
            "trained": _figure(measure, metrics),
            "untrained": _figure(measure, metrics, UNTRAINED),
        }
        for measure in untrained_measures()
        if measure.name in metrics and (with_retrieval or measure.section == GAP)
    ]


def size_table(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the table of a model's weights by part.

    Args:
        info: dict, what `run.json` holds: `parameters` and `parameter_bytes`, dicts by part.

    Returns:
        list of dicts: `name`, `weights`, their number, and `megabytes`, millions of bytes, as a string; the last row is
        the sum. Empty for a run of a version that remembered no bytes.
    """
    counts, sizes = info.get("parameters"), info.get("parameter_bytes")
    if not counts or not sizes:
        return []
    alone = dict.fromkeys(FOR_TRAINING, ", for training alone")
    rows = [(PARTS.get(part, part) + alone.get(part, ""), count, sizes[part]) for part, count in counts.items()]
    rows.append(("together", sum(counts.values()), sum(sizes.values())))
    return [
        {"name": name[:1].upper() + name[1:], "weights": count, "megabytes": f"{size / 1e6:,.2f}"}
        for name, count, size in rows
    ]


def _within(measure):
    """The title of a measure as it stands within a line: a direction begins with a small letter there."""
    return measure.title[:1].lower() + measure.title[1:] if measure.directions else measure.title


def _of_both_directions(section):
    """The measures of a section that have no direction and a goal: what is none is a condition and no result."""
    return [measure for measure in measures_of(section) if not measure.directions and measure.better]


def _columns(section, metrics, every=False):
    """The measures of a section that have directions, each with one cut-off, as far as they were measured."""
    return [
        (measure, k)
        for measure in measures_of(section)
        if measure.directions
        for k in measure.ks or (None,)
        if every or any(measure.at(direction, k).name in metrics for direction in measure.directions)
    ]


def _by_direction(columns, metrics):
    """A table with a row for each direction, and one of chance where that is known and the same in all of them."""
    rows, by_chance = [], []
    for direction, name in DIRECTIONS.items():
        if figures := _row_of_figures(columns, direction, metrics):
            rows.append({"name": name, "cells": [_cell(figure, metrics) for figure in figures]})
            by_chance.append([_chance_cell(figure, metrics) for figure in figures])
    if not rows:
        return None
    chance = [cells[0] if len(set(cells)) == 1 else MISSING for cells in zip(*by_chance, strict=True)]
    if set(chance) != {MISSING}:
        rows.append({"name": "Chance", "cells": chance})
    return {"columns": [measure.at(k=k).heading for measure, k in columns], "rows": rows}


def _row_of_figures(columns, direction, metrics):
    """The measures of a row, `None` for one without that direction; an empty list where none was measured."""
    figures = [measure.at(direction, k) if direction in measure.directions else None for measure, k in columns]
    return figures if any(figure and figure.name in metrics for figure in figures) else []


def _figure(measure, metrics, prefix=""):
    """A metric as a string, with its deviation where it has one; `None` where there is no such metric."""
    value = metrics.get(prefix + measure.name)
    return None if value is None else measure.figure(value, metrics.get(f"{prefix}{measure.name}{DEVIATION}"))


def _reranked(measure, metrics):
    return _figure(measure, metrics, RERANKED)


def _cell(measure, metrics, prefix=""):
    return (measure and _figure(measure, metrics, prefix)) or MISSING


def _chance_cell(measure, metrics):
    by_chance = measure and measure.by_chance(metrics)
    return MISSING if by_chance is None else measure.figure(by_chance)
