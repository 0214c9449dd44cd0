"""Reading a run's `log.csv`, without TensorFlow."""

import csv
import os
from collections.abc import Callable
from typing import Any

from mmkeras.errors import MmkerasError

KINDS: dict[str, Callable[[str], Any]] = {"epoch": int, "stage": str}  # of columns that are no fractional numbers


def read_log(file: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a `log.csv` as dicts of numbers (`stage` is a name); an empty list where there is no file.

    Raises:
        MmkerasError: not a log.
    """
    try:
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [{key: KINDS.get(key, float)(value) for key, value in row.items() if value} for row in rows]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, csv.Error) as error:  # no number, no UTF-8, a value without a column
        raise MmkerasError(f"{file} is damaged: {error}. Restore it from a copy") from error
