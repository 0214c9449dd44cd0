"""An index laid out for a host of files: items and pictures in small blocks, each of which is one request."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.manifest import FILE

LAYOUT = "layout.json"
ITEMS_OF_BLOCK = 512
PICTURE_BLOCK = 32 * 1024  # bytes; a larger picture is a block by itself


def write_blocks(index: EmbeddingIndex, folder: Path, captions: Mapping[str, list[str]]) -> None:
    """Write an index of one segment as a page reads it.

        index.json                             as in the index
        layout.json                            `items_of_block`, how many lines a file of items has
        segment-1/image_embeddings.npy, image_scales.npy     as in the index
        segment-1/items-N.jsonl                {"item": {...}, "picture": [block, offset, bytes] or null} a line,
                                               with "captions" where an item has several
        segment-1/pictures-N.bin               pictures one after the other

    Args:
        index: `EmbeddingIndex` of the precision `int8`, of pictures.
        folder: `pathlib.Path` that does not exist.
        captions: dict from the id of an item to all its texts, where it has several.

    Raises:
        OSError: a full disk.
        MmkerasError: an item or a picture that is damaged.
    """
    (segment,) = index.segments
    (name,) = (one["name"] for one in index.manifest.segments)
    place = folder / name
    place.mkdir(parents=True)
    shutil.copyfile(index.folder / FILE, folder / FILE)
    (folder / LAYOUT).write_text(json.dumps({"items_of_block": ITEMS_OF_BLOCK}) + "\n")
    for kind in ("embeddings", "scales"):
        shutil.copyfile(segment.folder / f"image_{kind}.npy", place / f"image_{kind}.npy")
    items = [segment.item(row) for row in range(len(segment))]
    lines = [
        json.dumps({"item": item, "picture": picture, **_several(captions, item)}, separators=(",", ":")) + "\n"
        for item, picture in zip(items, _write_pictures(segment, items, place), strict=True)
    ]
    for block, start in enumerate(range(0, len(lines), ITEMS_OF_BLOCK)):
        content = "".join(lines[start : start + ITEMS_OF_BLOCK]).encode("ascii")
        (place / f"items-{block}.jsonl").write_bytes(content)


def _several(captions, item):
    return {"captions": captions[item["id"]]} if item["id"] in captions else {}


def _write_pictures(segment, items, place) -> list[list[int] | None]:
    """Write the pictures of items, and return where each is."""
    block, held = 0, bytearray()
    places: list[list[int] | None] = []
    for item in items:
        if not item.get("picture"):
            places.append(None)
            continue
        picture = segment.picture(item["picture"])
        if held and len(held) + len(picture) > PICTURE_BLOCK:
            (place / f"pictures-{block}.bin").write_bytes(held)
            block, held = block + 1, bytearray()
        places.append([block, len(held), len(picture)])
        held += picture
    if held:
        (place / f"pictures-{block}.bin").write_bytes(held)
    return places
