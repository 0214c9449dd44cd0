"""`Karpathy`: the layout in which Flickr8k, Flickr30k and COCO are shared with their splits."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType

from mmkeras.data.layouts.columns import named_columns
from mmkeras.data.layouts.json_content import JsonContent
from mmkeras.data.layouts.row import Row


class Karpathy(JsonContent):
    """A `dataset_*.json`: of a picture `filename`, `filepath` (its folder), `split` and the sentences' `raw`.

    Ids and tokens are not read. `restval` is a split like the others: it is trained on only where it is asked for, as
    `train+restval`. There are no categories.

    Reference:
        Karpathy & Fei-Fei 2015 (arXiv 1412.2306), section 4, for the splits.
    """

    title = "Karpathy's JSON (dataset_flickr8k.json)"
    expected = '{"images": [{"filename": "name.jpg", "split": "train", "sentences": [{"raw": "..."}]}]}'

    @classmethod
    def holds(cls, content):
        pictures = content.get("images") if isinstance(content, dict) else None
        if not isinstance(pictures, list):
            return False
        first = next((picture for picture in pictures if isinstance(picture, dict)), {})
        # Records of somebody's own may stand in a list of this name too.
        return "sentences" in first or not {"image", "captions"} <= set(named_columns(first)[0])

    def rows(self) -> Iterator[Row]:
        for position, picture in enumerate(self.content["images"]):
            yield Row(f"images[{position}]", _fields(picture), str(picture)[:200], position)


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
