"""The records of a captions file: what a line may say, and where one says something else."""

import json

from mmkeras.data.karpathy_records import read_karpathy_records
from mmkeras.errors import MmkerasError

_PAIR = '{"image": "name.jpg", "split": "train", "captions": ["..."]'
RECORDS = {  # from a kind of targets to a record of it
    "": _PAIR + "}",
    "category": _PAIR + ', "label": "dog"}',
    "tags": _PAIR + ', "labels": ["dog", "beach"]}',
}


def read_records(file, targets=""):
    """Read and check all records of a captions file: of Karpathy's layout where it is named `.json`, else a line each.

    Args:
        file: `pathlib.Path` of the file.
        targets: `""`; `"category"` where every record has a `label`; `"tags"` where it has `labels`. With targets a
            record may be a picture without captions, or captions without a picture.

    Returns:
        list of dicts: `number` (the line, from 1) and `where` (for messages, `line 3`), `image` (`None` where there is
        none), `captions` (list), `split`, and `labels` (sorted tuple of names, empty without targets).

    Raises:
        MmkerasError: unknown targets, a line that is no such record, two lines that label one picture differently; with
            the file and the line.
    """
    if targets not in RECORDS:
        raise MmkerasError(f'Expected targets "", "category" or "tags". Received: targets={targets!r}')
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} could not be read: {error}") from error
    if file.suffix == ".json":
        return read_karpathy_records(file, text, targets)
    lines = text.split("\n")  # splitlines would cut at U+2028 within a caption
    records = [_record(file, number, line, targets) for number, line in enumerate(lines, 1) if line.strip()]
    first = {}
    for record in records:
        other = first.setdefault(record["image"], record)
        if record["image"] is not None and record["labels"] != other["labels"]:
            here, there = (", ".join(of["labels"]) or "nothing" for of in (record, other))
            raise MmkerasError(
                f"{file}, {record['where']}: expected one labelling of {record['image']}. "
                f"Received: {here}, and in {other['where']} {there}"
            )
    return records


def _record(file, number, line, targets):
    where = f"{file}, line {number}"
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        record = None
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
    labels = _labels(where, record, targets) if targets else ()
    where = f"line {number}"
    return {
        "number": number,
        "where": where,
        "image": image,
        "captions": captions,
        "split": split,
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
    return tuple(sorted(set(names)))
