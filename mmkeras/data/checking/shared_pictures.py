"""Pictures that are in several splits, or several times in one, by their files or by their bytes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.data.checking.problem import Problem, amount

MOST_GROUPS = 1000  # of copies, whose names are listed


def shared_pictures(names_of: Mapping[str, Sequence[str]], first_of: Mapping[str, str]) -> list[Problem]:
    """Tell which pictures splits share, and which are copies of others.

    Args:
        names_of: dict from a split to the names of its pictures.
        first_of: dict from a name to the first one whose picture has the same bytes, itself where there is none; what
            it lacks is copied nowhere.

    Returns:
        list of `Problem`: `shared_pictures` for each pair of splits that share some, and `copies`.
    """
    copies_of: dict[str, list[str]] = {}
    for name, first in first_of.items():
        copies_of.setdefault(first, []).append(name)
    problems = []
    for one, other in itertools.combinations(names_of, 2):
        known: dict[str, str] = {}
        for name in names_of[one]:
            known.setdefault(first_of.get(name, name), name)
        shared = [(name, known[own]) for name in names_of[other] if (own := first_of.get(name, name)) in known]
        if shared:
            what = (
                f"{len(shared):,} of {len(names_of[other]):,} pictures of {other} are in {one} too, or copies of its "
                f"pictures, such as {shared[0][0]}: on them {other} measures what was learnt by heart"
            )
            places = [_also(name, [twin, *copies_of.get(first_of.get(name, name), ())]) for name, twin in shared]
            problems.append(Problem("shared_pictures", what, len(shared), places))
    several = [group for group in copies_of.values() if len(group) > 1]
    if several:
        count = sum(len(group) - 1 for group in several)
        copied = amount(count, "picture", "is a copy", "are copies")
        what = f"{copied} of others under other names, such as {several[0][1]} of {several[0][0]}"
        places = [", ".join(group) for group in several[:MOST_GROUPS]]
        problems.append(Problem("copies", what, count, places))
    return problems


def _also(name, others):
    others = [other for other in dict.fromkeys(others) if other != name]
    return f"{name}, or its copies {', '.join(others)}" if others else name


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
        f"{amount(len(several), 'picture', 'is', 'are')} named in several ways, such as {several[0][0]} and "
        f"{several[0][1]}: each is one picture, with all its captions"
    )
    return [Problem("named_in_several_ways", what, len(several), [", ".join(ways) for ways in several])]
