"""Write the table of what the library `tokenizers` makes of each character of Unicode, one character at a time.

    python scripts/unicode_tables.py

It writes `mmkeras/preprocessing/unicode_tables.json`, which `mmkeras/preprocessing/characters.py` reads. The library's
tables are of several versions of Unicode, and Python's are another one's with each Python: only a copy gives the ids of
published tokenizers everywhere. `tests/preprocessing/test_characters.py` holds the file against the library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

FILE = Path(__file__).resolve().parent.parent / "mmkeras" / "preprocessing" / "unicode_tables.json"
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)  # their decomposition is arithmetic: the Unicode standard, section 3.12


def tables() -> dict[str, str]:
    """Return the tables by name: classes as ranges `A-B`, mappings as `A=B+C`, in hexadecimal numbers."""
    cleaned = _each(_bert(clean_text=True))
    stripped = _each(_bert(strip_accents=True))
    lowered = _each(_bert(lowercase=True))
    isolated = _each(_bert(handle_chinese_chars=True))
    return {
        "removed": _ranges(code for code, text in cleaned.items() if not text),
        "space": _ranges(code for code, text in cleaned.items() if text == " "),
        "isolated": _ranges(code for code, text in isolated.items() if len(text) > 1),
        "punctuation": _ranges(_matching(_is_punctuation)),
        "mark": _ranges(code for code, text in stripped.items() if not text),
        "stripped": _mapping({code: text for code, text in stripped.items() if text and code not in HANGUL}),
        "lower": _mapping(lowered),
        **{name: _ranges(_matching(_is_in(pattern))) for name, pattern in CLASSES.items()},
    }


CLASSES = {"letter": r"\p{L}", "number": r"\p{N}", "white_space": r"\s"}


def _bert(**chosen: bool) -> Callable[[str], str]:
    off = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    return normalizers.BertNormalizer(**{**off, **chosen}).normalize_str


def _each(normalize: Callable[[str], str]) -> dict[int, str]:
    """What becomes of each character that changes."""
    found = {ord(character): normalize(character) for character in CHARACTERS}
    return {code: text for code, text in found.items() if text != chr(code)}


def _is_punctuation(character: str) -> bool:
    return len(_PARTS.pre_tokenize_str(f"a{character}b")) == 3


_PARTS = pre_tokenizers.BertPreTokenizer()


def _is_in(pattern: str) -> Callable[[str], bool]:
    replace = normalizers.Replace(Regex(pattern), "")
    return lambda character: not replace.normalize_str(character)


def _matching(holds: Callable[[str], bool]) -> Iterable[int]:
    return (ord(character) for character in CHARACTERS if holds(character))


def _ranges(codes: Iterable[int]) -> str:
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{first:X}" if first == last else f"{first:X}-{last:X}" for first, last in found)


def _mapping(changed: dict[int, str]) -> str:
    return " ".join(f"{code:X}={'+'.join(f'{ord(one):X}' for one in text)}" for code, text in changed.items())


if __name__ == "__main__":
    FILE.write_text(json.dumps(tables(), indent=0) + "\n", encoding="ascii")
