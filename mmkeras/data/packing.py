"""`pack`: pictures with their captions in tars, which are read by row and copied as few files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from mmkeras.atomic import replacing_file
from mmkeras.data.captioned_pictures import CaptionedPictures
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.records import Record, check_left_out
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import read_picture

PACK_FORMAT = 1
QUALITY = 95
AT_ONCE = 64  # pictures that are in memory
_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


@dataclasses.dataclass(frozen=True)
class Packed:
    """What `pack` did.

    Args:
        shards: number of tars in the folder.
        pictures: number of pictures in them.
        written: number of shards that were not there before.
        bytes: size of all shards.
        left_out: pictures that cannot be read, a message each.
    """

    shards: int
    pictures: int
    written: int
    bytes: int
    left_out: tuple[str, ...]


def pack(
    data: CaptionedPictures,
    folder: str | os.PathLike[str],
    size: int = 0,
    pictures_a_shard: int = 1000,
    advance: Callable[[int], Any] = lambda count: None,
) -> Packed:
    """Write pictures with their captions, splits and labels as tars in webdataset's form, `00000.tar` and so on.

    `mmkeras.data.read` reads the folder as any other data set, and so do img2dataset's and webdataset's readers. Each
    shard is written beside and renamed. Packing that was cut off goes on where it stood: finished shards stay.

    Args:
        data: what `mmkeras.data.read` returned.
        folder: where the shards go; it may hold shards of the same data, packed in the same way.
        size: the length in px to which a picture's shorter side is brought where it is longer, as a JPEG of quality 95
            or a PNG, turned upright; 0 leaves every byte as it is.
        pictures_a_shard: pictures in a tar.
        advance: is told of each picture, by a 1.

    Returns:
        `Packed`.

    Raises:
        MmkerasError: features in place of pictures, a folder that holds something else, pictures that cannot be read
            (more than the data's `skip_unreadable` allows), a full disk.
    """
    if isinstance(data.pictures, FeatureFile):
        raise MmkerasError(f"Expected pictures to pack. Received: the features of {data.pictures.file}")
    if size < 0 or pictures_a_shard < 1:
        raise MmkerasError(
            "Expected size of 0 or more, and pictures_a_shard of 1 or more. "
            f"Received: size={size}, pictures_a_shard={pictures_a_shard}"
        )
    data.check_missing()
    records: dict[str, list[Record]] = {}
    for record in data.records:
        if record.image in data.pictures:
            records.setdefault(record.image, []).append(record)
    folder, names = Path(folder), list(records)
    _claim(folder, data, names, {"size": size, "pictures_a_shard": pictures_a_shard})
    shards = [names[start : start + pictures_a_shard] for start in range(0, len(names), pictures_a_shard)]
    left_out, written, pictures = list(data.left_out), 0, 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, shard in enumerate(shards):
            target = folder / f"{number:05}.tar"
            if target.exists():
                with tarfile.open(target, "r:") as tar:
                    pictures += sum(1 for name in tar.getnames() if not name.endswith(".json"))
                advance(len(shard))
                continue
            found = _contents([data.pictures[name] for name in shard], size, pool)
            pictures += _write(target, number * pictures_a_shard, shard, found, records, left_out, advance)
            check_left_out(left_out, data.count, data.skip_unreadable)
            written += 1
    total = sum((folder / f"{number:05}.tar").stat().st_size for number in range(len(shards)))
    return Packed(len(shards), pictures, written, total, tuple(left_out))


def _claim(folder, data, names, settings):
    """Note in a folder what is packed into it, or compare it with what was."""
    digest = hashlib.sha256("\n".join(names).encode())
    for record in data.records:
        digest.update(json.dumps([record.image, record.captions, record.split, record.labels]).encode())
    known = {"format": PACK_FORMAT, "data": data.name, "digest": digest.hexdigest(), **settings}
    file = folder / "pack.json"
    if file.exists():
        there = json.loads(file.read_text())
        if differing := [key for key in known if there.get(key) != known[key]]:
            raise MmkerasError(
                f"{folder} holds shards of other data, or packed in another way ({', '.join(differing)}). "
                "Name another folder, or remove it"
            )
    elif folder.exists() and any(folder.iterdir()):
        raise MmkerasError(f"{folder} is not empty, and no folder of shards. Name another one")
    else:
        with replacing_file(file) as beside:
            beside.write_text(json.dumps(known, indent=2) + "\n")


def _write(target, first, shard, contents, records, left_out, advance):
    """Write one tar; return how many pictures it holds."""
    count = 0
    with replacing_file(target) as beside, tarfile.open(beside, "w", format=tarfile.GNU_FORMAT) as tar:
        for row, (name, (content, suffix, problem)) in enumerate(zip(shard, contents, strict=True), first):
            advance(1)
            if problem:
                left_out.append(f"{records[name][0].where}: {problem}")
                continue
            _add(tar, f"{row:09}.{suffix}", content)
            _add(tar, f"{row:09}.json", json.dumps(_said(name, records[name]), ensure_ascii=False).encode())
            count += 1
    return count


def _said(name, records: Sequence[Record]):
    """What stands beside a picture."""
    said: dict[str, Any] = {
        "captions": [caption for record in records for caption in record.captions],
        "split": records[0].split,
        "name": name,
    }
    if labels := records[0].labels:
        said |= {"label": labels[0]} if len(labels) == 1 else {"labels": list(labels)}
    return said


def _add(tar, name, content):
    info = tarfile.TarInfo(name)  # of a fixed date: equal data give equal bytes
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _contents(pictures, size, pool):
    """What `_content` returns of each, made in threads; no more of them than some are in memory."""
    for start in range(0, len(pictures), AT_ONCE):
        yield from pool.map(lambda picture: _content(picture, size), pictures[start : start + AT_ONCE])


def _content(picture, size):
    """The bytes of a picture, its suffix, and what is wrong with it."""
    try:
        content = read_picture(picture)[1]
        with Image.open(io.BytesIO(content)) as image:
            kind = image.format
            if kind not in _SUFFIXES:
                raise MmkerasError(f"{picture} is a {kind}, which is not read")
            image.load()
            if not size or min(image.size) <= size or image.mode[0] in "IF":  # more than 8 bits stay as they are
                return content, _SUFFIXES[kind], ""
            upright = ImageOps.exif_transpose(image)
    except (MmkerasError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return b"", "", f"{picture}: {error}"
    scale = size / min(upright.size)
    sides = tuple(max(1, round(side * scale)) for side in upright.size)
    buffer = io.BytesIO()
    if kind == "JPEG":
        upright.resize(sides, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue(), "jpg", ""
    has_alpha = "A" in upright.getbands() or "transparency" in upright.info
    upright.convert("RGBA" if has_alpha else "RGB").resize(sides, Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue(), "png", ""
