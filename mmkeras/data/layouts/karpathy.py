"""`Karpathy`: the layout in which Flickr8k, Flickr30k and COCO are shared with their splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType

from mmkeras.data.layouts.json_file import read_json
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.errors import MmkerasError


class Karpathy(Layout):
    """A `dataset_*.json`: of a picture `filename`, `filepath` (its folder), `split` and the sentences' `raw`.

    Ids and tokens are not read. `restval` is a split like the others: it is trained on only where it is asked for, as
    `train+restval`. There are no categories.

    Reference:
        Karpathy & Fei-Fei 2015 (arXiv 1412.2306), section 4, for the splits.
    """

    title = "Karpathy's JSON (dataset_flickr8k.json)"
    expected = '{"images": [{"filename": "name.jpg", "split": "train", "sentences": [{"raw": "..."}]}]}'

    @classmethod
    def recognises(cls, source: Path) -> bool:
        # The last of the layouts that are JSON: whatever is none of the others is told what is expected here.
        return source.is_file() and source.suffix.lower() == ".json"

    def rows(self) -> Iterator[Row]:
        content = read_json(self.source)
        pictures = content.get("images") if isinstance(content, dict) else None
        if not isinstance(pictures, list):
            raise MmkerasError(
                f"{self.source}: expected {self.expected}. Received: {str(content)[:80]!r}; records a line stand in a "
                ".jsonl file"
            )
        for position, picture in enumerate(pictures):
            yield Row(f"images[{position}]", _fields(picture), str(picture), position)


def _fields(picture):
    if not isinstance(picture, dict) or not {"filename", "split", "sentences"} <= set(picture):
        return None
    name, folder, sentences = picture["filename"], picture.get("filepath"), picture["sentences"]
    if not isinstance(sentences, list) or not isinstance(folder, (str, NoneType)):
        return None
    captions = [sentence.get("raw") if isinstance(sentence, dict) else None for sentence in sentences]
    is_in_folder = isinstance(folder, str) and folder and isinstance(name, str)
    image = f"{folder.rstrip('/')}/{name}" if is_in_folder else name
    return {"image": image, "captions": captions, "split": picture["split"]}
