"""Pictures that are in several splits, or several times in one, by their files or by their bytes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.data.checking.problem import Problem

MOST_GROUPS = 1000  # of copies, whose names are listed


def shared_pictures(names_of: Mapping[str, Sequence[str]], first_of: Mapping[str, str]) -> list[Problem]:
    """Tell which pictures splits share, and which are copies of others.

    Args:
        names_of: dict from a split to the names of its pictures.
        first_of: dict from a name to the first one whose picture has the same bytes, itself where there is none.

    Returns:
        list of `Problem`: `shared_pictures` for each pair of splits that share some, and `copies`.
    """
    problems = []
    for one, other in itertools.combinations(names_of, 2):
        known: dict[str, str] = {}
        for name in names_of[one]:
            known.setdefault(first_of[name], name)
        shared = [(name, known[first_of[name]]) for name in names_of[other] if first_of[name] in known]
        if shared:
            what = (
                f"{len(shared):,} of {len(names_of[other]):,} pictures of {other} are in {one} too, or copies of its "
                f"pictures, such as {shared[0][0]}: on them {other} measures what was learnt by heart"
            )
            places = [name if name == twin else f"{name}: a copy of {twin} of {one}" for name, twin in shared]
            problems.append(Problem("shared_pictures", what, len(shared), places))
    groups: dict[str, list[str]] = {}
    for name, first in first_of.items():
        groups.setdefault(first, []).append(name)
    several = [group for group in groups.values() if len(group) > 1]
    if several:
        count = sum(len(group) - 1 for group in several)
        many = f"{len(several):,} pictures have" if len(several) > 1 else "1 picture has"
        what = f"{many} {count:,} copies under other names, such as {several[0][0]} and {several[0][1]}"
        places = [", ".join(group) for group in several[:MOST_GROUPS]]
        problems.append(Problem("copies", what, count, places))
    return problems


def named_in_several_ways(rows: Sequence[tuple[Any, str]]) -> list[Problem]:
    """Tell which pictures are written in several ways.

    Args:
        rows: of each record the name of its picture as it was understood, and as it stands in the source.
    """
    written: dict[Any, dict[str, None]] = {}
    for name, as_written in rows:
        written.setdefault(name, {})[as_written] = None
    several = [list(ways) for ways in written.values() if len(ways) > 1]
    if not several:
        return []
    what = (
        f"{len(several):,} pictures are named in several ways, such as {several[0][0]} and {several[0][1]}: each is "
        "one picture, with all its captions"
    )
    return [Problem("named_in_several_ways", what, len(several), [", ".join(ways) for ways in several])]
