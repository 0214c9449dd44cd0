"""`Comparison`: runs side by side, as tables of strings that the terminal and the page show."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.comparison.compared_run import ComparedRun
from mmkeras.evaluation.comparison.run_group import RunGroup
from mmkeras.metrics.measures import CATEGORY, RERANKED, RETRIEVAL, SECTIONS, TRAINING, find_measure, measures_of

MISSING = "–"


class Comparison:
    """Several runs, read from their folders. It needs no TensorFlow and loads no model.

    Runs that differ in the setting `seed` only are one column, of means and deviations. A run that is not finished or
    not evaluated is there with what it has.

    Args:
        folders: two run folders or more; one that is named twice counts once.
        each: whether seeds of one experiment are kept apart.

    Attributes:
        groups: list of `RunGroup`, in the order in which their first runs were named.
        by_category: whether all runs were given categories, so that their retrieval by category comes first.
        warnings: sentences for the reader: what does not compare, what is missing and how to make it.

    Raises:
        MmkerasError: fewer than two runs, or a folder that cannot be read.

    Example:
        >>> comparison = Comparison(["runs/a", "runs/b"])
        >>> comparison.sections()[0]["rows"][0]["cells"]
        [{'text': '61.2', 'best': False}, {'text': '64.6', 'best': True}]
    """

    def __init__(self, folders: Sequence[str | os.PathLike[str]], each: bool = False) -> None:
        folders = list({Path(folder).resolve(): folder for folder in reversed(folders)}.values())[::-1]
        if len(folders) < 2:
            raise MmkerasError(
                f"Expected two run folders or more to compare. Received: {', '.join(map(str, folders)) or 'none'}"
            )
        runs = [ComparedRun(folder) for folder in folders]
        _make_distinct(runs)
        self.groups: list[RunGroup] = _grouped(runs, each)
        self.by_category = all(run.settings["targets"] for run in runs)
        measured = {}
        for group in self.groups:
            if group.measured:
                measured.setdefault(group.measured, []).append(group.name)
        self.same_data = len(measured) < 2
        splits = {run.split for run in runs if run.split}
        split = splits.pop() if len(splits) == 1 else "dev"
        self.warnings = [advice for run in runs if (advice := run.advice(split))]
        if not self.same_data:
            found = "; ".join(f"{', '.join(names)} on {data}" for data, names in measured.items())
            self.warnings.insert(
                0,
                f"Measured on different data, so retrieval and modality gap do not compare: {found}. "
                "Measure all on one split: mmkeras evaluate RUN --split NAME",
            )

    def sections(self) -> list[dict[str, Any]]:
        """The tables, those without any figure left out.

        Returns:
            list of dicts: `title`, and `rows`, dicts with `measure`, a `Measure`, and `cells`, one for each of
            `groups`: dicts with `text` and `best`. The best of a row is marked where a direction is better, among the
            runs that have finished, and where they were measured on the same data; equal figures are all the best.
        """
        titles = list(SECTIONS)
        if self.by_category:
            titles.insert(0, titles.pop(titles.index(CATEGORY)))
        sections = []
        for title in titles:
            rows = [self._row(measure, title == TRAINING or self.same_data) for measure in _compared(title)]
            if rows := [row for row in rows if row]:
                sections.append({"title": title, "rows": rows})
        return sections

    def _row(self, measure, comparable):
        means = [group.mean(measure.name) for group in self.groups]
        if all(mean is None for mean in means) and not measure.always:
            return None
        shown = [MISSING if mean is None else measure.show(mean) for mean in means]
        judged = [
            place
            for place, (group, mean) in enumerate(zip(self.groups, means, strict=True))
            if mean is not None and group.finished
        ]
        best = None
        if measure.better and comparable and len({shown[place] for place in judged}) > 1:
            best = shown[max(judged, key=lambda place: measure.better * means[place])]
        cells = []
        for place, (group, mean) in enumerate(zip(self.groups, means, strict=True)):
            text = MISSING if mean is None else measure.show(mean, group.deviation(measure.name))
            cells.append({"text": text, "best": place in judged and shown[place] == best})
        return {"measure": measure, "cells": cells}

    def differences(self) -> dict[str, list[str]]:
        """The settings, versions and data that are not equal in all groups.

        Returns:
            dict from a setting's name to a list of strings, one for each of `groups`.
        """
        columns = [group.settings() for group in self.groups]
        keys = dict.fromkeys(key for column in columns for key in column)
        table = {key: [column.get(key, MISSING) for column in columns] for key in keys}
        return {key: values for key, values in table.items() if len(set(values)) > 1}


def _compared(section):
    """The measures of a section that have a row; behind those of retrieval the main ones after re-ranking."""
    measures = [figure for entry in measures_of(section) for figure in entry.figures() if figure.compared]
    again = [find_measure(RERANKED + measure.name) for measure in measures if measure.main and section == RETRIEVAL]
    return measures + again


def _make_distinct(runs):
    """Put as many of their parent folders before equal names as tell them apart."""
    depth = 1
    while len({run.name for run in runs}) < len(runs):
        depth += 1
        names = [run.name for run in runs]
        for run in runs:
            if names.count(run.name) > 1:
                run.name = "/".join(run.folder.resolve().parts[-depth:]).replace("//", "/")


def _grouped(runs, each):
    """Gather runs that differ in the seed only; a second run of one seed starts another group."""
    groups = {}
    for run in runs:
        experiment, copy = run.experiment, 0
        while any(run.seed == other.seed for other in groups.get((experiment, copy), ())):
            copy += 1
        groups.setdefault((run.name if each else experiment, copy), []).append(run)
    groups = [RunGroup(runs) for runs in groups.values()]
    names = [group.name for group in groups]
    for group in groups:
        if len(group.runs) > 1 and names.count(group.name) > 1:
            group.name = f"{group.runs[0].name} … {group.runs[-1].name}"
    return groups
