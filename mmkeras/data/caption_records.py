"""The records of a captions file: what a line may say, and where one says something else."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mmkeras.errors import MmkerasError

_PAIR = '{"image": "name.jpg", "split": "train", "captions": ["..."]'
RECORDS = {  # from a kind of targets to a record of it
    "": _PAIR + "}",
    "category": _PAIR + ', "label": "dog"}',
    "tags": _PAIR + ', "labels": ["dog", "beach"]}',
}
MOST_TOLD = 5  # problems of one file that a message spells out


def read_records(file: Path, targets: str = "", skip_bad: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Read and check all records of a captions file: of Karpathy's layout where it is named `.json`, else a line each.

    Args:
        file: path of the file.
        targets: `""`; `"category"` where every record has a `label`; `"tags"` where it has `labels`. With targets a
            record may be a picture without captions, or captions without a picture.
        skip_bad: whether records that are none are left out, and not refused.

    Returns:
        list of dicts: `number` (the line, from 1) and `where` (for messages, `line 3`), `image` (`None` where there is
        none; the shortest way to write its path), `captions` (list), `split`, `id` (`None` where there is none), and
        `labels` (sorted tuple of names, empty without targets). Then the list of what was left out, a message each.

    Raises:
        MmkerasError: unknown targets, lines that are no such records, two lines that label one picture differently or
            give it two ids, ids in some lines only; with the file and the lines.
    """
    from mmkeras.data.karpathy_records import read_karpathy_records

    if targets not in RECORDS:
        raise MmkerasError(f'Expected targets "", "category" or "tags". Received: targets={targets!r}')
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} could not be read: {error}") from error
    if file.suffix == ".json":
        return read_karpathy_records(file, text, targets, skip_bad)
    lines = text.split("\n")  # splitlines would cut at U+2028 within a caption
    records, left_out = readable(
        lambda line: _record(file, line[0], line[1], targets), (line for line in enumerate(lines, 1) if line[1].strip())
    )
    if left_out and not skip_bad:
        raise MmkerasError(told(left_out))
    _check_agreement(file, records)
    return records, left_out


def readable(read: Callable[[Any], Any], items: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Return what `read` makes of those items of which it can be made, and a message for each of the others."""
    found, problems = [], []
    for item in items:
        try:
            found.append(read(item))
        except MmkerasError as error:
            problems.append(str(error))
    return found, problems


def told(problems: Sequence[str]) -> str:
    """Return problems as one message: all, or the first few and how many there are; and what leaves them out."""
    lines = list(problems[:MOST_TOLD])
    if len(problems) > MOST_TOLD:
        lines.append(f"... and {len(problems) - MOST_TOLD} more")
    if len(problems) > 1:
        lines.append("skip_bad=true leaves out what cannot be read")
    return "\n".join(lines)


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


def picture_name(where: str, name: str) -> str:
    """Return a picture's name as the shortest path: `./a.png` and `x/../a.png` are `a.png`.

    Raises:
        MmkerasError: a URL.
    """
    if name.partition("://")[0].lower() in ("http", "https", "ftp", "s3", "gs", "data"):
        raise MmkerasError(
            f"{where}: expected the name of a file. Received: {name[:80]!r}; URLs are not fetched. img2dataset fetches "
            "the pictures of a list of URLs"
        )
    return posixpath.normpath(name)


def _check_agreement(file, records):
    """Check what several lines say of one picture."""
    first: dict[str, Any] = {}
    for record in records:
        other = first.setdefault(record["image"], record)
        for key, what in (("labels", "labelling"), ("id", "id")):
            if record["image"] is not None and record[key] != other[key]:
                here, there = (", ".join(map(str, _listed(of[key]))) or "nothing" for of in (record, other))
                raise MmkerasError(
                    f"{file}, {record['where']}: expected one {what} of {record['image']}. "
                    f"Received: {here}, and in {other['where']} {there}"
                )
    without = [record for record in records if record["id"] is None]
    if without and len(without) < len(records):
        raise MmkerasError(
            f"{file}, {without[0]['where']}: expected an id in every record or in none: equal ids say what belongs "
            f"together. Received: {len(without)} of {len(records)} without one"
        )


def _listed(value):
    return value if isinstance(value, tuple) else [value] if value is not None else []


def _record(file, number, line, targets):
    where = f"{file}, line {number}"
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        record = None
    if isinstance(record, dict) and "captions" not in record and isinstance(record.get("caption"), str):
        record["captions"] = [record["caption"]]
    given = {"image", "captions"} & set(record) if isinstance(record, dict) else set()
    if len(given) < (1 if targets else 2):
        alone = ", where image or captions may be left out" if targets else ""
        raise MmkerasError(f"{where}: expected {RECORDS[targets]}{alone}. Received: {line[:80]!r}")
    image, captions, split = record.get("image"), record.get("captions", []), record.get("split", "train")
    named = (isinstance(image, str) and image) or "image" not in given
    enough = captions or (targets and image)
    if not named or not isinstance(captions, list) or not enough:
        raise MmkerasError(f"{where}: expected an image name and a list of captions")
    if not isinstance(split, str):
        raise MmkerasError(f"{where}: expected the name of a split. Received: split={split!r}")
    for position, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise MmkerasError(f"{where}: caption {position} of {image or 'the line'} is empty")
    for text in (*captions, split, *filter(None, [image])):
        check_text(where, text)
    own_id = record.get("id")
    if own_id is not None and (isinstance(own_id, bool) or not isinstance(own_id, (int, str))):
        raise MmkerasError(f"{where}: expected id to be a string or a whole number. Received: id={own_id!r}")
    labels = _labels(where, record, targets) if targets else ()
    return {
        "number": number,
        "where": f"line {number}",
        "image": picture_name(where, image) if image else None,
        "captions": captions,
        "split": split,
        "id": own_id,
        "labels": labels,
    }


def _labels(where, record, targets):
    """The names of a record's categories, sorted."""
    key, other = ("label", "labels") if targets == "category" else ("labels", "label")
    if other in record:
        raise MmkerasError(f'{where}: expected {key}, and no {other}, for targets = "{targets}". Received: {other}')
    if key not in record:
        raise MmkerasError(f'{where}: expected {RECORDS[targets]} for targets = "{targets}". Received: no {key}')
    given = record[key]
    names = [given] if targets == "category" else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        allowed = "the name of a category" if targets == "category" else "a list of names of categories"
        raise MmkerasError(f"{where}: expected {key} to be {allowed}. Received: {key}={given!r}")
    return tuple(sorted({check_text(where, name) for name in names}))
