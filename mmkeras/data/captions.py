"""Pictures with captions of the user's own: a JSONL file beside a folder of pictures."""

import json
from pathlib import Path

import numpy as np

from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError


def load_captions(file, split, image_preprocessor, image_folder=None, limit=0):
    """Read one split of a captions file and decode its pictures.

    A line of the file is `{"image": "name.jpg", "split": "train", "captions": ["...", ...]}`; without `split` a line
    belongs to `train`. The pictures are held in memory as the model sees them: 6,000 of 64 x 64 px take 74 MB.

    Args:
        file: path of the JSONL file.
        split: name of the split, as it stands in the file, or `all`.
        image_preprocessor: `ImagePreprocessor` of the model.
        image_folder: where the pictures lie; by default the folder of the file.
        limit: only the first so many pictures; 0 is all.

    Returns:
        `PairedData` with P pictures and all their captions.

    Raises:
        MmkerasError: a line that is no such record, a blank caption, a picture that is missing or unreadable; each
            with the file, the line and the picture.
    """
    file = Path(file)
    folder = Path(image_folder) if image_folder else file.parent
    records = [record for record in _records(file) if split in ("all", record["split"])]
    if not records:
        splits = sorted({record["split"] for record in _records(file)})
        raise MmkerasError(f"{file} has no records of split {split!r}; it has {', '.join(splits) or 'no records'}")
    records = records[:limit] if limit else records
    for record in records:
        if not (folder / record["image"]).is_file():
            raise MmkerasError(
                f"{file}, line {record['line']}: the picture {record['image']} is missing in {folder}. "
                "Restore it, remove the line, or give image_folder"
            )
    captions = [(row, caption) for row, record in enumerate(records) for caption in record["captions"]]
    text_row = np.array([row for row, _ in captions])
    line = np.array([record["line"] for record in records], np.int64)  # one identity over all splits
    return PairedData(
        name=f"{file.name}/{split}",
        images=image_preprocessor.load([folder / record["image"] for record in records]),
        texts=[caption for _, caption in captions],
        image_id=line,
        text_image_id=line[text_row],
        pairs=np.column_stack([text_row, np.arange(len(captions))]).astype(np.int32),
        image_names=[record["image"] for record in records],
    )


def _records(file):
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MmkerasError(f"{file} could not be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            image, captions = record["image"], record["captions"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise MmkerasError(
                f'{file}, line {number}: expected {{"image": "name.jpg", "split": "train", "captions": ["..."]}}. '
                f"Received: {line[:80]!r}"
            ) from error
        if not isinstance(image, str) or not isinstance(captions, list) or not captions:
            raise MmkerasError(f"{file}, line {number}: expected an image name and a list of captions")
        for position, caption in enumerate(captions):
            if not isinstance(caption, str) or not caption.strip():
                raise MmkerasError(f"{file}, line {number}: caption {position} of {image} is empty")
        yield {"line": number, "image": image, "captions": captions, "split": record.get("split", "train")}
