"""Which split a folder or a file of a data set is of, by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mmkeras.data.split_names import SHARES, canonical_split


def splits_of_names(names: Iterable[str]) -> dict[str, str] | None:
    """Return the splits that names say: of folders `train`, `validation`, or of shards `train-00000-of-00002.parquet`.

    Args:
        names: of folders, or of files with what follows their split's name behind a `-`, `_`, `.` or `/`.

    Returns:
        dict from a name to its split; `None` where one of the names is that of no split, or all are of the same: then
        nothing is held back by them.
    """
    splits = {name: canonical_split(re.split(r"[-_./]", name, maxsplit=1)[0]) for name in names}
    return splits if set(splits.values()) <= set(SHARES) and len(set(splits.values())) > 1 else None


def splits_of_paths(paths: Sequence[str]) -> list[str | None]:
    """Return the split of each of some paths by its first folder, see `splits_of_names`; `None` where that says none.

    Args:
        paths: with `/` between folders.
    """
    splits = splits_of_names({path.partition("/")[0] if "/" in path else "" for path in paths})
    return [splits[path.partition("/")[0]] if splits else None for path in paths]
