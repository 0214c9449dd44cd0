"""`CaptionFigures`: what captions are like."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmkeras.data.checking.problem import Problem, amount
from mmkeras.data.checking.spread import Spread
from mmkeras.data.checking.writing_systems import writing_systems
from mmkeras.data.equal_texts import Normalizer
from mmkeras.data.records import Record
from mmkeras.data.split_names import in_order
from mmkeras.preprocessing.tokenizer import Tokenizer

LONG = 100  # words, from which on a caption is rather an article
MANY = 0.01  # the share of captions from which on very short or long ones are told
UNSPACED = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"}
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
        at_several: how many captions stand at several pictures of their split.
        different: how many different ones these are.
        twice: how many captions say what another one of the same picture says.
        one_word: how many have one word, in a writing system that puts spaces between words.
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
    records: Iterable[Record], text_preprocessor: Normalizer | None = None, quick: bool = False
) -> CaptionFigures:
    """Look at the captions of records.

    Args:
        records: list of `Record`.
        text_preprocessor: the model's, for lengths in ids, of which a `StringPreprocessor` knows none; and for which
            captions are equal.
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
    if isinstance(text_preprocessor, Tokenizer) and texts:
        ids, length = Spread(text_preprocessor.count_ids(part)), text_preprocessor.sequence_length
    read_as = texts if text_preprocessor is None else text_preprocessor.normalized(texts)
    at_several, different, twice, notes = _equal(list(zip(splits, read_as, strict=True)), texts, items, wheres)
    systems, signs = writing_systems(part)
    cut = float((ids.values > length).mean()) if ids is not None else 0.0
    one_word, long = _of_one_word(texts, words), words > LONG
    if cut:
        notes.insert(0, _cut(ids, length, splits))
    for kind, is_such, what in (("one_word", one_word, "one word"), ("long", long, f"over {LONG} words")):
        if is_such.sum() > MANY * len(texts):
            place = int(is_such.argmax())
            told = f"{is_such.sum():,} of {len(texts):,} captions have {what}, such as {short(texts[place])}"
            notes.append(
                Problem(f"{kind}_captions", told, int(is_such.sum()), [f"{wheres[place]}: {short(texts[place], 200)}"])
            )
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
        int(one_word.sum()),
        int(long.sum()),
        notes,
    )


def short(text: str, most: int = 60) -> str:
    """Return a text in quotes, cut off after `most` characters."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def _of_one_word(texts, words):
    """Which texts are one word, bool (N,): none of those in a writing system that puts no spaces between words."""
    single = np.flatnonzero(words <= 1)
    is_word = {text: not UNSPACED & writing_systems([text])[0].keys() for text in {texts[row] for row in single}}
    found = np.zeros(len(texts), bool)
    found[single] = [is_word[texts[row]] for row in single]
    return found


def _equal(contents, texts, items, wheres):
    """How many captions stand at several items, how many different ones, how many twice at one; and what to say."""
    rows_of: dict[tuple[str | None, str], list[int]] = collections.defaultdict(list)
    for row, content in enumerate(contents):
        rows_of[content].append(row)
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
        different = f"{amount(len(shared), 'different text')}, such as {short(texts[shared[0][0]])}"
        told = (
            f"{count:,} of {len(texts):,} captions stand at several pictures of a split ({different}): each is a right "
            "answer to all of its pictures, and a negative of none"
        )
        places = [f"{wheres[row]}: {short(texts[row], 200)}" for row in (shared[0][:2] + most[:1])]
        notes.append(Problem("equal_captions", told, count, list(dict.fromkeys(places))))
    if twice:
        rows = next(rows for rows in rows_of.values() if len({items[row] for row in rows}) < len(rows))
        said = amount(twice, "caption", "says", "say")
        told = f"{said} what another one of the same picture says, such as {short(texts[rows[0]])}"
        notes.append(Problem("repeated_captions", told, twice, [f"{wheres[rows[-1]]}: {short(texts[rows[-1]], 200)}"]))
    return count, len(shared), twice, notes


def _cut(ids, length, splits):
    """What is to be said of captions that are cut; of how many, where all were counted."""
    is_cut = ids.values > length
    share, fits = float(is_cut.mean()), int(ids.quantile(0.99))
    number = round(share * len(splits))
    counts: dict[str, list[int]] = {}
    for split, cut in zip(splits, is_cut.tolist(), strict=False):
        count = counts.setdefault(split, [0, 0])
        count[0] += cut
        count[1] += 1
    lacking = [(split, *counts[split]) for split in in_order(counts) if counts[split][0]]
    where = "; ".join(f"{cut:,} of {count:,} in {split}" for split, cut, count in lacking)
    is_all = len(is_cut) == len(splits)
    told = (
        f"{'' if is_all else 'about '}{number:,} of {len(splits):,} captions ({100 * share:.3g} %) are longer than the "
        f"{length} ids that the model reads, and are cut off{f' ({where})' if is_all else ''}: a sequence_length of "
        f"{fits} reads 99 % of them whole"
    )
    return Problem("cut_captions", told, number)
