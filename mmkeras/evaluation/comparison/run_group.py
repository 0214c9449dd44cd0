"""`RunGroup`: a column of a comparison: a run, or the seeds of one experiment."""

import os
import re
import statistics
from collections.abc import Sequence

from mmkeras.evaluation.comparison.compared_run import ComparedRun


class RunGroup:
    """Runs that are shown as one: mean and deviation of each figure, mean and range of each curve.

    Args:
        runs: list of `ComparedRun`, one, or several that differ in the seed only.

    Attributes:
        name: the run's; of several what their names begin with, or the first and the last.
        title: the name, with the number of seeds where there are several.
    """

    def __init__(self, runs: Sequence[ComparedRun]) -> None:
        self.runs = runs
        self.name: str = _name_of([run.name for run in runs])

    @property
    def title(self) -> str:
        return self.name if len(self.runs) == 1 else f"{self.name} ×{len(self.runs)}"

    @property
    def finished(self) -> bool:
        """Whether all runs have ended."""
        return all(run.finished for run in self.runs)

    @property
    def measured(self) -> str:
        """What the metrics were measured on; empty where there are none."""
        return self.runs[0].measured

    def values(self, key: str) -> list[float]:
        """Return the figure of each run that has it."""
        return [run.values[key] for run in self.runs if key in run.values]

    def mean(self, key: str) -> float | None:
        """Return the mean of a figure; `None` where no run has it."""
        values = self.values(key)
        return statistics.mean(values) if values else None

    def deviation(self, key: str) -> float | None:
        """Return the sample's standard deviation of a figure; `None` of one value."""
        values = self.values(key)
        return statistics.stdev(values) if len(values) > 1 else None

    def curve(self, key: str) -> dict[int, tuple[float, float, float]]:
        """Return a column of the logs by epoch.

        Returns:
            dict from an epoch to the mean, the least and the largest value of the runs that logged it.
        """
        values = {}
        for run in self.runs:
            for row in run.log:
                if key in row and "epoch" in row:
                    values.setdefault(row["epoch"], []).append(row[key])
        return {epoch: (statistics.mean(found), min(found), max(found)) for epoch, found in sorted(values.items())}

    def settings(self) -> dict[str, str]:
        """Return settings and surroundings as a dict of strings; where the runs differ, all values."""
        found = {}
        for run in self.runs:
            for key, value in (run.surroundings | run.settings).items():
                values = found.setdefault(key, [])
                if (shown := _shown(value)) not in values:
                    values.append(shown)
        return {key: ", ".join(values) for key, values in found.items()}


def _name_of(names):
    """What names have in common at their beginning, up to a whole word; of none, the first and the last."""
    if len(names) == 1:
        return names[0]
    common = os.path.commonprefix(names)
    if any(re.match(r"\w", name[len(common) :]) for name in names):
        common = re.sub(r"[^-_. /]*$", "", common)  # within a word
    common = re.sub(r"([-_. ]+seed)?[-_. ]*$", "", common)
    return common if common and not common.endswith("/") else f"{names[0]} … {names[-1]}"


def _shown(value):
    """A setting as people write it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "–"
    return str(value) if value not in ("", None, {}) else "–"
