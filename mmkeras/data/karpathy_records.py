"""The records of a captions file in Karpathy's layout, in which Flickr8k, Flickr30k and COCO are shared."""

import json

from mmkeras.data.caption_records import check_text, picture_name, readable, told
from mmkeras.errors import MmkerasError

LAYOUT = '{"images": [{"filename": "name.jpg", "split": "train", "sentences": [{"raw": "..."}]}]}'


def read_karpathy_records(file, text, targets="", skip_bad=False):
    """Read and check all pictures of a `dataset_*.json`.

    Of a picture `filename`, `filepath` (the folder it lies in, where there is one), `split` and the sentences' `raw`
    text are read; ids and tokens are not. `restval` is a split like the others: it is trained on only where it is asked
    for, as `train+restval`.

    Args:
        file: `pathlib.Path`, for messages.
        text: what the file holds.
        targets: `""`: this layout has no categories.
        skip_bad: whether pictures that are none are left out, and not refused.

    Returns:
        As `read_records`; `number` is the picture's position in `images`, from 0.

    Raises:
        MmkerasError: targets, no such layout, pictures that are none, captions that are blank; with the file and the
            pictures' positions.

    Reference:
        Karpathy & Fei-Fei 2015 (arXiv 1412.2306), section 4, for the splits.
    """
    if targets:
        raise MmkerasError(
            f"{file}: this layout has no categories: expected targets=''. Received: targets={targets!r}. "
            "Categories stand in a .jsonl captions file"
        )
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise MmkerasError(f"{file} is no valid JSON: {error}. A file of one record a line is named .jsonl") from error
    pictures = content.get("images") if isinstance(content, dict) else None
    if not isinstance(pictures, list):
        raise MmkerasError(f"{file}: expected {LAYOUT}. Received: {text[:80]!r}; records a line stand in a .jsonl file")
    records, left_out = readable(lambda picture: _record(file, *picture), enumerate(pictures))
    if left_out and not skip_bad:
        raise MmkerasError(told(left_out))
    return records, left_out


def _record(file, position, picture):
    where = f"images[{position}]"
    if not isinstance(picture, dict) or not {"filename", "split", "sentences"} <= set(picture):
        received = sorted(picture) if isinstance(picture, dict) else picture
        raise MmkerasError(f"{file}, {where}: expected filename, split and sentences. Received: {str(received)[:80]}")
    name, folder, split, sentences = (picture.get(key, "") for key in ("filename", "filepath", "split", "sentences"))
    if not isinstance(name, str) or not name or not isinstance(folder, str) or not isinstance(split, str):
        raise MmkerasError(
            f"{file}, {where}: expected names. Received: filename={name!r}, filepath={folder!r}, split={split!r}"
        )
    if not isinstance(sentences, list) or not sentences:
        raise MmkerasError(f"{file}, {where}: expected a list of sentences of {name}. Received: {str(sentences)[:80]}")
    captions = [sentence.get("raw") if isinstance(sentence, dict) else None for sentence in sentences]
    for place, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise MmkerasError(
                f"{file}, {where}: expected a text in raw of sentence {place} of {name}. Received: {caption!r}"
            )
    image = f"{folder.rstrip('/')}/{name}" if folder else name
    for value in (*captions, split, image):
        check_text(f"{file}, {where}", value)
    return {
        "number": position,
        "where": where,
        "image": picture_name(f"{file}, {where}", image),
        "captions": captions,
        "split": split,
        "id": None,
        "labels": (),
    }
