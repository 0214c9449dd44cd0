"""`Record`: what one line of anybody's data says, checked; and what is wrong with those that say something else."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any, Literal, TypeAlias

from mmkeras.data.layouts import Layout, Row
from mmkeras.errors import MmkerasError
from mmkeras.unreadable_pictures import first_told

Targets: TypeAlias = Literal["", "category", "tags"]

ADDED = {"": "", "category": ', with "label": "dog"', "tags": ', with "labels": ["dog", "beach"]'}  # by targets


@dataclasses.dataclass(slots=True)
class Record:
    """A picture with captions, or with targets one of both.

    Args:
        number: position in the source; it tells records apart.
        where: for messages, `line 3`.
        image: the picture's name, the shortest way to write its path; `None` where there is none.
        captions: list of texts, none of them blank.
        split: `train`, `dev`, `test` or another; `None` where the source does not say.
        id: what says which records belong together; `None` where there is none.
        labels: sorted tuple of names of categories.
    """

    number: int
    where: str
    image: str | None
    captions: list[str]
    split: str | None
    id: int | str | None
    labels: tuple[str, ...]


def read_records(layout: Layout, targets: Targets = "") -> tuple[list[Record], list[str], int]:
    """Read and check all records of a layout.

    Args:
        layout: `Layout` of a source.
        targets: `""`; `"category"` where every record has a `label`; `"tags"` where it has `labels`. With targets a
            record may be a picture without captions, or captions without a picture.

    Returns:
        list of `Record`; list of what is wrong with those that are none, a message each, with the source and the
        line; and how many there were. A record is none, too, that labels a picture otherwise than an earlier one or
        gives it another id, or that has no id where others have one.

    Raises:
        MmkerasError: unknown targets; a source that cannot be read as a whole.
    """
    if targets not in ADDED:
        raise MmkerasError(f'Expected targets "", "category" or "tags". Received: targets={targets!r}')
    rows = list(enumerate(layout.rows(), 1))
    records, problems = readable(lambda row: _record(layout, row[0], row[1], targets), rows)
    disagreeing = _disagreements(layout.source, records, targets)
    records = [record for place, record in enumerate(records) if place not in disagreeing]
    return records, [*problems, *disagreeing.values()], len(rows)


def readable(read: Callable[[Any], Any], items: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return what `read` makes of those items of which it can be made, and a message for each of the others."""
    found, problems = [], []
    for item in items:
        try:
            found.append(read(item))
        except MmkerasError as error:
            problems.append(str(error))
    return found, problems


def check_left_out(problems: Sequence[str], count: int, share: float) -> None:
    """Allow that a share of records cannot be read.

    Args:
        problems: what is wrong with those that cannot be, a message each.
        count: of all records.
        share: the share of them that may be left out, 0 to 1.

    Raises:
        MmkerasError: there are more; all problems, or the first few and how many there are, and what leaves them out.
    """
    if len(problems) <= share * count:
        return
    lines = first_told(problems)
    if len(problems) > 1 or share:
        needed = min(1.0, -(-len(problems) * 1000 // max(count, 1)) / 1000)
        cure = f"; skip_unreadable={needed:g} leaves them out" + (f", {share:g} is less" if share else "")
        lines.append(f"{len(problems)} of {count} cannot be read{cure if len(problems) < count else ''}")
    raise MmkerasError("\n".join(lines))


def check_text(where: str, value: str) -> str:
    """Return a string that can be written as UTF-8.

    Raises:
        MmkerasError: half of a surrogate pair, which JSON can spell and no text holds.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MmkerasError(
            f"{where}: expected Unicode text. Received: half of a surrogate pair, \\u{ord(value[error.start]):04x}, in "
            f"{value[:80].encode('utf-8', 'backslashreplace').decode()!r}"
        ) from error
    return value


def _record(layout, position, row: Row, targets):
    where = f"{layout.source}, {row.where}"
    fields = row.fields
    captions = [] if fields is None else fields.get("captions", [])
    captions = [captions] if isinstance(captions, str) else captions
    given = set() if fields is None else {"image", "captions"} & set(fields)
    if len(given) < (1 if targets else 2):
        alone = ", where image or captions may be left out" if targets else ""
        lacks = "no image in " if fields is not None and "captions" in given else ""
        raise MmkerasError(
            f"{where}: expected {layout.expected}{ADDED[targets]}{alone}. Received: {lacks}{row.received[:80]!r}"
        )
    image, split = fields.get("image"), fields.get("split")
    named = (isinstance(image, str) and image) or "image" not in given
    enough = captions or (targets and image)
    if not named or not isinstance(captions, list) or not enough:
        lacks = "no caption in " if named and not captions else ""
        raise MmkerasError(
            f"{where}: expected an image name and a list of captions. Received: {lacks}{row.received[:80]!r}"
        )
    if split is not None and not isinstance(split, str):
        raise MmkerasError(f"{where}: expected the name of a split. Received: split={split!r}")
    for place, caption in enumerate(captions):
        if not isinstance(caption, (str, NoneType)):
            raise MmkerasError(
                f"{where}: expected caption {place} of {image or 'the line'} to be a text. Received: {caption!r}"
            )
        if not caption or not caption.strip():
            raise MmkerasError(f"{where}: caption {place} of {image or 'the line'} is empty")
    if split is not None and not split.strip():
        split = None  # an empty cell says nothing
    for text in filter(None, (*captions, split, image)):
        check_text(where, text)
    own_id = fields.get("id")
    if own_id is not None and (isinstance(own_id, bool) or not isinstance(own_id, (int, str))):
        raise MmkerasError(f"{where}: expected id to be a string or a whole number. Received: id={own_id!r}")
    return Record(
        position if row.number is None else row.number,
        row.where,
        picture_name(where, image) if image else None,
        captions,
        split,
        own_id,
        _labels(where, fields, targets),
    )


def picture_name(where: str, name: str) -> str:
    """Return a picture's name as the shortest path: `./a.png` and `x/../a.png` are `a.png`.

    Args:
        where: file and line, for messages.
        name: as it stands there.

    Raises:
        MmkerasError: a URL, which is not fetched.
    """
    if name.partition("://")[0].lower() in ("http", "https", "ftp", "s3", "gs", "data"):
        raise MmkerasError(
            f"{where}: expected the name of a file. Received: {name[:80]!r}; URLs are not fetched. img2dataset fetches "
            "the pictures of a list of URLs"
        )
    return posixpath.normpath(name)


def _labels(where, fields, targets):
    """The names of a record's categories, sorted; without targets those that are there, if they are names."""
    key, other = ("labels", "label") if targets == "tags" or "label" not in fields else ("label", "labels")
    key, other = ("label", "labels") if targets == "category" else (key, other)
    if targets and other in fields:
        raise MmkerasError(f'{where}: expected {key}, and no {other}, for targets = "{targets}". Received: {other}')
    if targets and key not in fields:
        raise MmkerasError(
            f'{where}: expected {ADDED[targets].removeprefix(", with ")} for targets = "{targets}". Received: no {key}'
        )
    given = fields.get(key)
    names = [given] if key == "label" else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        if not targets:
            return ()
        allowed = "the name of a category" if targets == "category" else "a list of names of categories"
        raise MmkerasError(f"{where}: expected {key} to be {allowed}. Received: {key}={given!r}")
    return tuple(sorted({check_text(where, name) for name in names}))


def _disagreements(source, records, targets):
    """What is wrong with records that contradict others, a message by the record's place."""
    first: dict[str, Record] = {}
    told = {}
    without = sum(record.id is None for record in records)
    for place, record in enumerate(records):
        if record.id is None and without < len(records):
            told[place] = (
                f"{source}, {record.where}: expected an id in every record or in none: equal ids say what belongs "
                f"together. Received: {without} of {len(records)} without one"
            )
            continue
        other = record if record.image is None else first.setdefault(record.image, record)
        for key, what in (("labels", "labelling"), ("id", "id")) if targets else (("id", "id"),):
            if getattr(record, key) != getattr(other, key):
                here, there = (_listed(getattr(of, key)) for of in (record, other))
                told[place] = (
                    f"{source}, {record.where}: expected one {what} of {record.image}. "
                    f"Received: {here}, and in {other.where} {there}"
                )
                break
    return told


def _listed(value):
    return ", ".join(value) or "nothing" if isinstance(value, tuple) else "nothing" if value is None else str(value)
