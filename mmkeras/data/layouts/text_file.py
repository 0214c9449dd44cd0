"""Text files as people have them: in UTF-8, with or without a byte order mark, or in UTF-16 with one."""

from __future__ import annotations

import codecs
from pathlib import Path

from mmkeras.errors import MmkerasError


def read_text(file: Path) -> str:
    """Return what a text file holds, its line breaks as they are.

    Raises:
        MmkerasError: a file that cannot be read, or that is in another encoding, with the line where it shows.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MmkerasError(f"{file} could not be read: {error.strerror or error}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MmkerasError(
            f"{file} could not be read: {error.reason} in line {line}. Expected UTF-8; if it was saved by Windows, "
            f"`iconv -f CP1252 -t UTF-8 {file.name}` converts it"
        ) from error


def beginning(file: Path, size: int = 65536) -> str:
    """Return the first `size` bytes of a file as text, to look what it is; what is no text is replaced."""
    try:
        with open(file, "rb") as stream:
            content = stream.read(size)
    except OSError:
        return ""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content[: len(content) // 2 * 2].decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")
