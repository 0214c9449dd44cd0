"""`CharacterMap`: what normalisation makes of each character, in a graph and without its runtime's tables."""

from __future__ import annotations

import functools
import json
import string
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
import tensorflow as tf

from mmkeras.tensors import Tensor

ITSELF, NOTHING = -1, -2
LETTER, NUMBER, WHITE_SPACE = 1, 2, 3  # of `class_of`; other characters are 0
SPACE = ord(" ")
_CODES, _PAGE = 0x110000, 256
_SIGMA = 0x3A3
# The Unicode standard, section 3.13, table 3-17: cased letters before, none behind, whatever may be ignored between.
_CASED = r"\p{Lu}\p{Ll}\p{Lt}ªºⅠ-ⅿⒶ-ⓩ\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}"
_IGNORED = r"\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}'.:·\x{387}\x{55F}\x{5F4}‘’․‧\x{FE13}\x{FE52}\x{FE55}＇．："
_FINAL_SIGMA = f"([{_CASED}][{_IGNORED}]*)Σ([{_IGNORED}]*(?:[^{_CASED}{_IGNORED}]|$))"
_HANGUL, _LEADING, _VOWEL, _TRAILING = 0xAC00, 0x1100, 0x1161, 0x11A7  # the Unicode standard, section 3.12


class CharacterMap:
    """Replaces each character of strings by others, by none or by itself, whatever stands beside it.

    It is made of constants and of operations of TensorFlow itself: its results do not follow from the version of
    Unicode that a server was built with. What is no UTF-8 is read as U+FFFD.

    Args:
        changes: dict from a character's number to a sequence of numbers; a character that it does not name stays.

    Call arguments:
        texts: string tensor (N,).

    Returns:
        string tensor (N,), or by `decoded` the characters' numbers, a ragged int32 tensor (N, None).

    Example:
        >>> CharacterMap({ord("A"): [ord("a")], ord("-"): []})(["A-Z"]).numpy()
        array([b'aZ'], dtype=object)
    """

    def __init__(self, changes: Mapping[int, Sequence[int]]) -> None:
        rows: dict[tuple[int, ...], int] = {(ITSELF,): 0}
        kind = np.zeros(_CODES, np.int32)
        for code, characters in changes.items():
            own = tuple(ITSELF if one == code else one for one in characters)
            kind[code] = rows.setdefault(own, len(rows))
        self._rows = np.full((len(rows), max(map(len, rows))), NOTHING, np.int32)
        for row, characters in zip(self._rows, rows, strict=True):
            row[: len(characters)] = characters
        self._pages, page_of = np.unique(kind.reshape(-1, _PAGE), axis=0, return_inverse=True)
        self._page_of = page_of.reshape(-1).astype(np.int32)

    def __call__(self, texts: Tensor) -> Tensor:
        return tf.strings.unicode_encode(self.decoded(texts), "UTF-8")

    def decoded(self, texts: Tensor) -> tf.RaggedTensor:
        """Return the numbers of the characters that replace those of texts, ragged int32 (N, None)."""
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        old = codes.values
        kind = lookup(old, self._page_of, self._pages)
        new = tf.gather(tf.constant(self._rows), kind)  # (C, K)
        new = tf.where(new == ITSELF, old[:, tf.newaxis], new)
        kept = new != NOTHING
        ends = tf.cumsum(tf.reduce_sum(tf.cast(kept, tf.int64), axis=1))
        splits = tf.gather(tf.pad(ends, [[1, 0]]), codes.row_splits)
        return tf.RaggedTensor.from_row_splits(tf.boolean_mask(new, kept), splits, validate=False)


def lookup(codes: Tensor, page_of: np.ndarray, pages: np.ndarray) -> Tensor:
    """Return what a table in pages says of characters, of the shape of `codes`."""
    page = tf.gather(tf.constant(page_of), codes // _PAGE)
    return tf.gather(tf.constant(pages.reshape(-1)), page * _PAGE + codes % _PAGE)


@functools.cache
def bert_characters(lower: bool, strip_accents: bool, split_chinese: bool) -> CharacterMap:
    """Return what BERT's normaliser makes of characters, with spaces around each punctuation mark.

    Args:
        lower: upper-case letters become lower-case ones.
        strip_accents: characters are decomposed (NFD), and non-spacing marks go.
        split_chinese: characters of Chinese get spaces around them, as every one were a word.
    """
    removed, space, isolated = (_class(name) for name in ("removed", "space", "isolated"))
    punctuation, lowered = _class("punctuation"), _mapping("lower")
    stripped = {**_mapping("stripped"), **dict.fromkeys(_class("mark"), ()), **_hangul()} if strip_accents else {}
    changed = {
        *removed,
        *space,
        *punctuation,
        *(lowered if lower else ()),
        *stripped,
        *(isolated if split_chinese else ()),
    }

    def of(code):
        if code in removed:
            return
        if code in space:
            yield SPACE
            return
        around = split_chinese and code in isolated
        yield from [SPACE] * around
        for part in stripped.get(code, (code,)):
            for character in lowered.get(part, (part,)) if lower else (part,):
                yield from (SPACE, character, SPACE) if character in punctuation else (character,)
        yield from [SPACE] * around

    return CharacterMap({code: tuple(of(code)) for code in changed})


@functools.cache
def lower_characters() -> CharacterMap:
    """Return what makes each character lower-case, whatever stands beside it."""
    return CharacterMap(_mapping("lower"))


@functools.cache
def clip_characters() -> CharacterMap:
    """Return what makes each character lower-case, and white space spaces."""
    return CharacterMap({**_mapping("lower"), **dict.fromkeys(_class("white_space"), (SPACE,))})


@functools.cache
def _classes():
    kind = np.zeros(_CODES, np.int32)
    for name, number in (("letter", LETTER), ("number", NUMBER), ("white_space", WHITE_SPACE)):
        kind[list(_class(name))] = number
    pages, page_of = np.unique(kind.reshape(-1, _PAGE), axis=0, return_inverse=True)
    return page_of.reshape(-1).astype(np.int32), pages


def class_of(codes: Tensor) -> Tensor:
    """Return the class of each character: `LETTER`, `NUMBER`, `WHITE_SPACE` or 0, int32 of the shape of `codes`."""
    return lookup(codes, *_classes())


def lower_case(texts: Tensor) -> Tensor:
    """Return texts in lower case as Python has it: at the end of a word U+03A3 becomes U+03C2.

    Args:
        texts: string tensor (N,).
    """
    # TensorFlow's operation would follow the locale of its process, make U+0131 of I in a Turkish one, and stop at NUL.
    lowered = tf.strings.regex_replace(_all_but_sigma()(texts), _FINAL_SIGMA, r"\1ς\2")
    return tf.strings.regex_replace(lowered, "Σ", "σ")


def canonical(texts: Tensor) -> Tensor:
    """Return texts in lower case, without ASCII punctuation, with one space for white space and none at the ends.

    Args:
        texts: string tensor (N,).
    """
    spaced = _without_punctuation()(lower_case(texts))
    return tf.strings.strip(tf.strings.regex_replace(spaced, " +", " "))


@functools.cache
def _all_but_sigma():
    return CharacterMap({code: text for code, text in _mapping("lower").items() if code != _SIGMA})


@functools.cache
def _without_punctuation():
    spaces = (code for code in range(_CODES) if chr(code).isspace())
    return CharacterMap({**dict.fromkeys(map(ord, string.punctuation), ()), **dict.fromkeys(spaces, (SPACE,))})


@functools.cache
def _tables():
    return json.loads((resources.files("mmkeras.preprocessing") / "unicode_tables.json").read_text("ascii"))


@functools.cache
def _class(name):
    """The numbers of a class of characters, a set."""
    found: set[int] = set()
    for part in _tables()[name].split():
        first, _, last = part.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


@functools.cache
def _mapping(name):
    """What replaces each character that a mapping changes: a dict of tuples of numbers."""
    pairs = (part.split("=") for part in _tables()[name].split())
    return {int(code, 16): tuple(int(one, 16) for one in text.split("+")) for code, text in pairs}


def _hangul():
    """The decomposition of every Hangul syllable."""
    found = {}
    for index in range(19 * 21 * 28):
        leading, rest = divmod(index, 21 * 28)
        vowel, trailing = divmod(rest, 28)
        found[_HANGUL + index] = (_LEADING + leading, _VOWEL + vowel, *([_TRAILING + trailing] if trailing else []))
    return found
