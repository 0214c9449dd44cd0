"""`CaptionFigures`: what captions are like."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmkeras.data.checking.counts_ids import CountsIds
from mmkeras.data.checking.problem import Problem, amount
from mmkeras.data.checking.spread import Spread
from mmkeras.data.checking.writing_systems import writing_systems
from mmkeras.data.records import Record
from mmkeras.data.split_names import canonical_split

LONG = 100  # words, from which on a caption is rather an article
MANY = 0.01  # the share of captions from which on very short or long ones are told
SAMPLED = 20_000  # captions that are looked at letter by letter and cut into ids where it has to be quick


@dataclasses.dataclass(frozen=True)
class CaptionFigures:
    """What captions are like.

    Args:
        count: how many there are.
        words: their lengths in words, as spaces part them.
        ids: their lengths in ids of the tokenizer, or of those of every n-th; `None` without one.
        sequence_length: how many ids the model reads; 0 without a tokenizer.
        cut: the share of captions that have more, 0 to 1.
        systems: see `writing_systems`.
        signs: see `writing_systems`.
        at_several: how many captions stand at several pictures.
        different: how many different ones these are.
        twice: how many captions say what another one of the same picture says.
        one_word: how many have one word.
        long: how many have more than `LONG` words.
        notes: what should be looked at, a list of `Problem`.
    """

    count: int
    words: Spread
    ids: Spread | None
    sequence_length: int
    cut: float
    systems: dict[str, float]
    signs: float
    at_several: int
    different: int
    twice: int
    one_word: int
    long: int
    notes: list[Problem] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        figures = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del figures["notes"]
        return figures | {"words": self.words.to_dict(), "ids": self.ids and self.ids.to_dict()}


def caption_figures(
    records: Iterable[Record], text_preprocessor: CountsIds | None = None, quick: bool = False
) -> CaptionFigures:
    """Look at the captions of records.

    Args:
        records: list of `Record`.
        text_preprocessor: the model's, for lengths in ids; without it, or where it hands strings on, there are none.
        quick: whether a part of them is enough for ids and letters.
    """
    items, texts, wheres, splits = [], [], [], []
    for record in records:
        for text in record.captions:
            items.append(record.number if record.image is None else record.image)
            texts.append(text)
            wheres.append(record.where)
            splits.append(record.split)
    words = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
    part = texts[:: max(1, -(-len(texts) // SAMPLED))] if quick else texts
    ids, length = None, 0
    if text_preprocessor is not None and getattr(text_preprocessor, "sequence_length", None) and texts:
        ids, length = Spread(text_preprocessor.count_ids(part)), text_preprocessor.sequence_length
    read_as = texts if text_preprocessor is None else text_preprocessor.normalized(texts)
    at_several, different, twice, notes = _equal(read_as, texts, items, wheres)
    systems, signs = writing_systems(part)
    cut = float((ids.values > length).mean()) if ids is not None else 0.0
    one_word, long = int((words <= 1).sum()), int((words > LONG).sum())
    if cut:
        notes.insert(0, _cut(ids, length, len(texts), _cut_by_split(ids, length, splits) if part is texts else {}))
    spaced = not {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"} & {*list(systems)[:1]}
    for kind, number, what in (("one_word", one_word, "have one word"), ("long", long, f"have over {LONG} words")):
        if number > MANY * len(texts) and (spaced or kind == "long"):
            place = int(np.flatnonzero(words <= 1 if kind == "one_word" else words > LONG)[0])
            told = f"{number:,} of {len(texts):,} captions {what}, such as {short(texts[place])}"
            notes.append(Problem(f"{kind}_captions", told, number, [f"{wheres[place]}: {short(texts[place], 200)}"]))
    return CaptionFigures(
        len(texts),
        Spread(words),
        ids,
        length,
        cut,
        systems,
        signs,
        at_several,
        different,
        twice,
        one_word,
        long,
        notes,
    )


def short(text: str, most: int = 60) -> str:
    """Return a text in quotes, cut off after `most` characters."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def _equal(read_as, texts, items, wheres):
    """How many captions stand at several items, how many different ones, how many twice at one; and what to say."""
    rows_of: dict[str, list[int]] = collections.defaultdict(list)
    for row, text in enumerate(read_as):
        rows_of[text].append(row)
    notes, twice = [], 0
    shared = []
    for rows in rows_of.values():
        if len(rows) > 1:
            own = {items[row] for row in rows}
            twice += len(rows) - len(own)
            if len(own) > 1:
                shared.append(rows)
    count = sum(map(len, shared))
    if shared:
        most = max(shared, key=len)
        told = (
            f"{count:,} of {len(texts):,} captions stand at several pictures ({len(shared):,} different ones, such as "
            f"{short(texts[shared[0][0]])}): each is a right answer to all of its pictures, and a negative of none"
        )
        places = [f"{wheres[row]}: {short(texts[row], 200)}" for row in (shared[0][:2] + most[:1])]
        notes.append(Problem("equal_captions", told, count, list(dict.fromkeys(places))))
    if twice:
        rows = next(rows for rows in rows_of.values() if len({items[row] for row in rows}) < len(rows))
        said = amount(twice, "caption", "says", "say")
        told = f"{said} what another one of the same picture says, such as {short(texts[rows[0]])}"
        notes.append(Problem("repeated_captions", told, twice, [f"{wheres[rows[-1]]}: {short(texts[rows[-1]], 200)}"]))
    return count, len(shared), twice, notes


def _cut_by_split(ids, length, splits):
    counts: dict[str, list[int]] = {}
    for split, is_cut in zip(splits, (ids.values > length).tolist(), strict=True):
        count = counts.setdefault(canonical_split(split or "train"), [0, 0])
        count[0] += is_cut
        count[1] += 1
    return {split: count for split, count in counts.items() if count[0]}


def _cut(ids, length, count, by_split):
    share = float((ids.values > length).mean())
    fits = int(ids.quantile(0.99))
    number = round(share * count)
    where = "; ".join(f"{cut:,} of {all_:,} in {split}" for split, (cut, all_) in by_split.items())
    told = (
        f"{number:,} of {count:,} captions ({100 * share:.3g} %) are longer than the {length} ids that the model "
        f"reads, and are cut off{f' ({where})' if where else ''}: a sequence_length of {fits} reads 99 % of them whole"
    )
    return Problem("cut_captions", told, number)
