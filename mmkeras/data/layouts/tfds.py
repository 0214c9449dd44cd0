"""`Tfds`: a data set of TensorFlow Datasets, by name."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import checked_columns, fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.split_names import canonical_split
from mmkeras.data.stores import PictureStore
from mmkeras.data.stores.tfds_store import TfdsStore
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

# A version begins with a number, a split with a letter.
_NAME = re.compile(r"tfds:(?P<name>[^:]+(:\d[^:]*)?)(:(?P<split>\w+))?")


class Tfds(Layout):
    """`tfds:NAME` or `tfds:NAME:SPLIT`, as `tfds:coco_captions/2014:1.1.0:val`; of `$TFDS_DATA_DIR`, if that is set.

    Nothing is downloaded here: `tfds build coco_captions --file_format=array_record` does that before. In this format,
    unlike TFRecord, the default, a picture is read by row.
    """

    title = "TensorFlow Datasets (tfds:coco_captions)"
    expected = "features such as image and captions"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return str(source).startswith("tfds:")

    def rows(self) -> Iterator[Row]:
        features = self._builder.info.features
        columns, self.unused = checked_columns(str(self.source), features, self.corpus)
        used = [name for field, names in columns.items() for name in names if field != "image"]
        for split, source in self._sources.items():
            for row, example in enumerate(source):
                fields = fields_of({name: _plain(example[name], features[name]) for name in used}, columns)
                image = {"image": f"{split}/{row}"} if self._picture else {}
                image["split"] = canonical_split(split)
                yield Row(f"{split}, row {row}", fields | image, str(fields)[:200])

    def store(self, place: Path | None, outside: bool = False) -> PictureStore:
        if place is not None:
            raise MmkerasError(f"The pictures of {self.source} are its own. Received: image_folder={str(place)!r}")
        return TfdsStore(self._sources, self._picture, str(self._builder.data_path), self._builder.info.dataset_size)

    @property
    def _picture(self):
        return named_columns(self._builder.info.features)[0].get("image", [""])[0]

    @functools.cached_property
    def _builder(self):
        tfds = _import_tfds()
        found = _NAME.fullmatch(str(self.source))
        if found is None:
            raise MmkerasError(f"Expected tfds:NAME or tfds:NAME:SPLIT. Received: {self.source}")
        try:
            builder = tfds.builder(found["name"], data_dir=os.environ.get("TFDS_DATA_DIR"))
        except (ValueError, ImportError, OSError, RuntimeError, AssertionError) as error:
            raise MmkerasError(f"{self.source}: {str(error).splitlines()[0]}") from error
        how = f"tfds build {found['name']} --file_format=array_record"
        if not builder.info.splits:
            raise MmkerasError(f"{self.source} is not in {builder.data_path.parent}; `{how}` downloads and prepares it")
        if found["split"] and found["split"] not in builder.info.splits:
            raise MmkerasError(
                f"{self.source}: expected one of the splits {', '.join(builder.info.splits)}. "
                f"Received: {found['split']!r}"
            )
        return builder

    @functools.cached_property
    def _sources(self):
        tfds = _import_tfds()
        decoders = {self._picture: tfds.decode.SkipDecoding()} if self._picture else None
        wanted = _NAME.fullmatch(str(self.source))["split"]
        try:
            sources = self._builder.as_data_source(wanted, decoders=decoders)
        except NotImplementedError as error:
            raise MmkerasError(
                f"{self.source} lies in {self._builder.data_path} as {self._builder.info.file_format.name}, which "
                f"cannot be read by row: remove it, and prepare it by `tfds build {self._builder.name} "
                "--file_format=array_record`"
            ) from error
        return {wanted: sources} if wanted else dict(sources)


def _import_tfds():
    try:
        import tensorflow_datasets  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise MissingPartError("tfds: needs tensorflow-datasets", "tfds", whole=True) from error
    return tensorflow_datasets


def _plain(value, feature):
    """A value of an example as JSON would have it; categories by their names."""
    if isinstance(value, dict):
        return {name: _plain(one, feature[name]) for name, one in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        inner = getattr(feature, "feature", feature)
        return [_plain(one, inner) for one in value]
    return feature.int2str(value) if hasattr(feature, "int2str") and isinstance(value, int) else value
