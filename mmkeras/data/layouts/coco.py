"""`Coco`: COCO's own annotation files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mmkeras.data.layouts.json_content import JsonContent
from mmkeras.data.layouts.row import Row
from mmkeras.errors import MmkerasError


class Coco(JsonContent):
    """A `captions_train2017.json`: a list of pictures, and one of captions that name a picture by its id.

    A picture without captions and a caption of no picture are records that cannot be read, and cost no other.

    Reference:
        Chen et al. 2015 (arXiv 1504.00325); the format as cocodataset.org describes it.
    """

    title = "COCO's JSON (captions_train2017.json)"
    expected = '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "..."}]}'

    @classmethod
    def holds(cls, content):
        return isinstance(content, dict) and all(
            isinstance(content.get(key), list) for key in ("images", "annotations")
        )

    def rows(self) -> Iterator[Row]:
        pictures, annotations = self.content["images"], self.content["annotations"]
        keys = {key for one in annotations if isinstance(one, dict) for key in one}
        if "caption" not in keys:
            boxes = {"bbox", "segmentation", "keypoints"} & keys
            held = "boxes and masks alone, a detection file" if boxes else f"{len(annotations)} annotations without any"
            raise MmkerasError(
                f"{self.where}: expected captions, as in COCO's captions_train2017.json. Received: {held}"
            )
        captions_of: dict[int | str, list] = {}
        for picture in pictures:
            if (number := _id(picture, "id")) is not None:
                captions_of[number] = []
        stray = []
        for position, annotation in enumerate(annotations):
            captions = captions_of.get(_id(annotation, "image_id"))
            if captions is None:
                stray.append(Row(f"annotations[{position}]", None, f"{annotation}, of no image"))
            elif annotation.get("caption") is not None:
                captions.append(annotation["caption"])
        for position, picture in enumerate(pictures):
            captions = captions_of.get(_id(picture, "id"))
            fields = None
            if captions is not None and "file_name" in picture:
                fields = {"image": picture["file_name"], "captions": captions}
            yield Row(f"images[{position}]", fields, str(picture), position)
        yield from (dataclasses.replace(row, number=len(pictures) + place) for place, row in enumerate(stray))


def _id(record, key):
    """An id, a number in COCO; `None` where there is none."""
    number = record.get(key) if isinstance(record, dict) else None
    return number if isinstance(number, (int, str)) else None
