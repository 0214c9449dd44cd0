"""`ClassFigures`: how pictures are shared by classes."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from mmkeras.data.checking.problem import Problem
from mmkeras.data.records import Record

IMBALANCE = 10  # times as many pictures in the largest class as in the smallest, from which on it is told


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """How pictures, and captions without one, are shared by classes.

    Args:
        counts: dict from a class to a dict from a split to its number, the largest class first.
        notes: what should be looked at, a list of `Problem`.
    """

    counts: dict[str, dict[str, int]]
    notes: list[Problem] = dataclasses.field(default_factory=list)

    @property
    def totals(self) -> dict[str, int]:
        """The number of each class in all splits, the largest first."""
        return {name: sum(by_split.values()) for name, by_split in self.counts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        totals = self.totals
        largest, smallest = next(iter(totals)), list(totals)[-1]
        return {"count": len(totals), "largest": largest, "smallest": smallest, "by_class": self.counts}


def class_figures(records: Sequence[Record]) -> ClassFigures | None:
    """Count the labels of records, `None` where there are none."""
    items: dict[tuple[Any, Any], tuple[str, ...]] = {}
    for record in records:
        items.setdefault((record.split, record.number if record.image is None else record.image), record.labels)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for (split, _), labels in items.items():
        for label in labels:
            counts[label][split] += 1
    if not counts:
        return None
    ordered = {name: dict(counts[name]) for name in sorted(counts, key=lambda name: (-counts[name].total(), name))}
    figures = ClassFigures(ordered)
    return dataclasses.replace(figures, notes=[*_imbalance(figures), *_in_some(figures, {split for split, _ in items})])


def _imbalance(figures):
    totals = figures.totals
    (largest, most), (smallest, least) = next(iter(totals.items())), list(totals.items())[-1]
    if most < IMBALANCE * least:
        return []
    told = f"the largest class, {largest!r}, has {most:,} pictures, the smallest, {smallest!r}, {least:,}"
    return [Problem("imbalance", f"{told}: {most / least:,.3g} times as many", most)]


def _in_some(figures, splits):
    """Classes that cannot be learnt, and those that nothing measures."""
    notes = []
    for split, other, what in (
        ("dev", "train", "a model has nothing to learn them from"),
        ("test", "train", "a model has nothing to learn them from"),
        ("train", "dev", "nothing measures them there"),
    ):
        if {split, other} <= splits:
            lacking = [name for name, counts in figures.counts.items() if split in counts and other not in counts]
            if lacking:
                told = f"{len(lacking):,} of {len(figures.counts):,} classes are in {split} and not in {other}, such as"
                notes.append(
                    Problem(
                        f"classes_not_in_{other}",
                        f"{told} {lacking[0]!r}: {what}",
                        len(lacking),
                        [f"{name!r}: {figures.counts[name][split]:,} in {split}, none in {other}" for name in lacking],
                    )
                )
    return notes
