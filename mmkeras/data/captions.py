"""Pictures with captions of the user's own: a JSONL file beside a folder of pictures."""

import json
from pathlib import Path

import numpy as np

from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError


def load_captions(file, split, image_preprocessor, image_folder=None, limit=0):
    """Read one split of a captions file and decode its pictures.

    A line of the file is `{"image": "name.jpg", "split": "train", "captions": ["...", ...]}`; without `split` a line
    belongs to `train`. Lines that name the same picture are one picture with all their captions. The pictures are held
    in memory as the model sees them: 6,000 of 64 x 64 px take 74 MB.

    Args:
        file: path of the JSONL file.
        split: name of the split, as it stands in the file, or `all`; `dev` finds `val` where the file has no `dev`.
        image_preprocessor: `ImagePreprocessor` of the model.
        image_folder: where the pictures lie; by default the folder of the file.
        limit: only the first so many pictures; 0 is all.

    Returns:
        `PairedData` with P pictures and all their captions. A picture's id is the first line of the file that names it,
        the same in every split.

    Raises:
        MmkerasError: no such split, a line that is no such record, a blank caption, a picture that is missing or
            unreadable; each with the file, the line and the picture.
    """
    file = Path(file)
    folder = Path(image_folder) if image_folder else file.parent
    records = _read_records(file)
    splits = sorted({record["split"] for record in records})
    if split == "dev" and "dev" not in splits and "val" in splits:
        split = "val"
    first_line = {}
    pictures = {}  # from a picture's name to its records, in the file's order
    for record in records:
        first_line.setdefault(record["image"], record["line"])
        if split in ("all", record["split"]):
            pictures.setdefault(record["image"], []).append(record)
    if not pictures:
        raise MmkerasError(f"{file} has no records of split {split!r}; it has {', '.join(splits) or 'no records'}")
    pictures = dict(list(pictures.items())[:limit]) if limit else pictures
    names = list(pictures)
    captions = [
        (row, caption)
        for row, records in enumerate(pictures.values())
        for record in records
        for caption in record["captions"]
    ]
    image_row = np.array([row for row, _ in captions])
    image_id = np.array([first_line[name] for name in names], np.int64)
    return PairedData(
        name=f"{file.name}/{split}",
        images=_load_pictures(file, folder, {name: pictures[name][0]["line"] for name in names}, image_preprocessor),
        texts=[caption for _, caption in captions],
        image_id=image_id,
        text_image_id=image_id[image_row],
        pairs=np.column_stack([image_row, np.arange(len(captions))]).astype(np.int32),
        image_names=names,
    )


def _load_pictures(file, folder, line_of, image_preprocessor):
    """Decode the pictures named in `line_of`, a dict from a picture's name to the line that an error names."""
    for name, line in line_of.items():
        if not (folder / name).is_file():
            raise MmkerasError(
                f"{file}, line {line}: the picture {name} is missing in {folder}. "
                "Restore it, remove the line, or give image_folder"
            )
    try:
        return image_preprocessor.load([folder / name for name in line_of])
    except MmkerasError:
        # Pictures are decoded in parallel; only where one fails are they tried one by one, to name its line.
        for name, line in line_of.items():
            try:
                image_preprocessor.load([folder / name])
            except MmkerasError as error:
                raise MmkerasError(f"{file}, line {line}: {error}") from error
        raise


def _read_records(file):
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # splitlines would cut at U+2028 within a caption
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} could not be read: {error}") from error
    return [_record(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _record(file, number, line):
    try:
        record = json.loads(line)
        image, captions, split = record["image"], record["captions"], record.get("split", "train")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise MmkerasError(
            f'{file}, line {number}: expected {{"image": "name.jpg", "split": "train", "captions": ["..."]}}. '
            f"Received: {line[:80]!r}"
        ) from error
    if not isinstance(image, str) or not image or not isinstance(captions, list) or not captions:
        raise MmkerasError(f"{file}, line {number}: expected an image name and a list of captions")
    if not isinstance(split, str):
        raise MmkerasError(f"{file}, line {number}: expected the name of a split. Received: split={split!r}")
    for position, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise MmkerasError(f"{file}, line {number}: caption {position} of {image} is empty")
    return {"line": number, "image": image, "captions": captions, "split": split}
