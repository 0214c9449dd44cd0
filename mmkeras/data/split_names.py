"""What splits are called, and which split a picture goes to where nobody says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

_CANONICAL = {
    "train": ("train", "training"),
    "dev": ("dev", "val", "valid", "validation", "development"),
    "test": ("test", "testing"),
}
_OF = {name: canonical for canonical, names in _CANONICAL.items() for name in names}
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def canonical_split(name: str) -> str:
    """Return `train`, `dev` or `test` for what others call that, such as `validation`; another name as it is."""
    return _OF.get(name.strip().lower(), name)


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of splits, `train`, `dev` and `test` first, the others sorted."""
    return sorted(names, key=lambda split: ([*SHARES, split].index(split), split))


def drawn_splits(names: Sequence[str]) -> list[str]:
    """Draw the splits of pictures from their names: about 80 % `train`, 10 % `dev`, 10 % `test`.

    A picture's split follows from its name alone, so it stays where it is when others are added. Of so few pictures
    that one of the splits would be empty, they are shared out by the order of what is drawn instead; one or two are
    all `train`.

    Args:
        names: the pictures' names.

    Returns:
        list of splits, one a name.

    Example:
        >>> drawn_splits(["a.jpg", "b.jpg", "c.jpg"])  # each split has one of three
    """
    draws = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in names]
    splits = [_at(draw) for draw in draws]
    if len(names) < len(SHARES):
        return ["train"] * len(names)
    if len(set(splits)) < len(SHARES):
        order = sorted(range(len(names)), key=draws.__getitem__)
        held_out = max(1, round(SHARES["dev"] * len(names)))
        for place, row in enumerate(order):
            splits[row] = "dev" if place < held_out else "test" if place < 2 * held_out else "train"
    return splits


def _at(draw):
    return "train" if draw < SHARES["train"] else "dev" if draw < SHARES["train"] + SHARES["dev"] else "test"
