"""Text files as people have them: in UTF-8, with or without a byte order mark, or in UTF-16 with one."""

from __future__ import annotations

import codecs
import shlex
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
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not marked and content[:4096].count(b"\0") > len(content[:4096]) // 4:
        kind = "UTF-16LE" if content[1:2] == b"\0" else "UTF-16BE"
        raise MmkerasError(
            f"{file} could not be read: expected UTF-8, or UTF-16 with its mark. Received: UTF-16 without its "
            f"mark; {_conversion(file, kind)}"
        )
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        cure = "it is no text" if b"\0" in content else f"if it was saved by Windows, {_conversion(file, 'CP1252')}"
        raise MmkerasError(
            f"{file} could not be read: {error.reason} in line {line}. Expected UTF-8; {cure}"
        ) from error


def _conversion(file, encoding):
    """A command that makes a copy in UTF-8."""
    copy = shlex.quote(f"{file.stem}-utf8{file.suffix}")
    return f"`iconv -f {encoding} -t UTF-8 {shlex.quote(file.name)} > {copy}` makes a copy in UTF-8"


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
