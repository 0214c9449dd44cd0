"""Which writing systems texts are in, by Unicode's names of their letters."""

from __future__ import annotations

import collections
import unicodedata
from collections.abc import Iterable

_OTHER_NAMES = {"Cjk": "Han"}
_BEFORE_THE_SYSTEM = {"Fullwidth", "Halfwidth"}
_OF_ANY = {"Modifier", "Combining", "Feminine", "Masculine", "Micro", "Mathematical", "Variation"}


def writing_systems(texts: Iterable[str]) -> tuple[dict[str, float], float]:
    """Return how letters are shared by writing systems, and how much of texts is no letter.

    Args:
        texts: strings.

    Returns:
        dict from `Latin`, `Cyrillic`, `Han` and so on to the share of the letters and their marks, 0 to 1, the largest
        first; and the share of all characters but spaces that are digits, punctuation and other signs, 0 to 1.
    """
    count: collections.Counter[str] = collections.Counter()
    for text in texts:
        count.update(text)
    systems: collections.Counter[str] = collections.Counter()
    letters = signs = 0
    for character, times in count.items():
        if character.isspace():
            continue
        if unicodedata.category(character)[0] in "LM":
            letters += times
            if system := _system(character):
                systems[system] += times
        else:
            signs += times
    named = systems.total()
    return (
        {system: times / named for system, times in systems.most_common()},
        signs / (letters + signs) if letters + signs else 0.0,
    )


def _system(character):
    """The first word of a letter's name, which is that of its writing system; `""` for what all of them have."""
    words = unicodedata.name(character, "Unknown").title().split()
    words = words[1:] if words[0] in _BEFORE_THE_SYSTEM and len(words) > 1 else words
    return "" if words[0] in _OF_ANY else _OTHER_NAMES.get(words[0].split("-")[0], words[0])
