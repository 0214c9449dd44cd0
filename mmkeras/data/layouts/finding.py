"""Which layout a file or a folder has."""

from __future__ import annotations

from pathlib import Path

from mmkeras.data.layouts.flickr_tokens import FlickrTokens
from mmkeras.data.layouts.image_folder import ImageFolder
from mmkeras.data.layouts.json_file import JsonFile
from mmkeras.data.layouts.json_lines import JsonLines
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.not_read import why_not_read
from mmkeras.data.layouts.parquet import Parquet
from mmkeras.data.layouts.picture_folder import PictureFolder
from mmkeras.data.layouts.saved_dataset import SavedDataset
from mmkeras.data.layouts.table import Table
from mmkeras.data.layouts.tars import Tars
from mmkeras.data.layouts.tfds import Tfds
from mmkeras.errors import MmkerasError

# The first that recognises a source reads it.
LAYOUTS: tuple[type[Layout], ...] = (
    *(JsonLines, Table, JsonFile, FlickrTokens),
    *(Tfds, SavedDataset, ImageFolder, Tars, PictureFolder, Parquet),
)
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet", ".tar", ".token", ".tsv", ".txt")


def find_layout(source: Path, corpus: bool = False) -> Layout:
    """Return the reader of a source.

    Args:
        source: path of a file or folder; a pattern of tars; or a name, `tfds:NAME`.
        corpus: whether it is read to be embedded, see `Layout`.

    Raises:
        MmkerasError: there is no such file or folder, or none of the layouts is its.
    """
    for layout in LAYOUTS:
        if layout.recognises(source):
            return layout(source, corpus)
    if not source.exists() and source.suffix.lower() in SUFFIXES:
        raise MmkerasError(f"There is no captions file {source}")
    if reason := why_not_read(source):
        raise MmkerasError(f"{source} is {reason}")
    raise MmkerasError(
        "Expected data to be glyphs, a feature set (.npz, or a folder of .mat or .txt files), or pictures with "
        f"captions in one of these layouts: {'; '.join(layout.title for layout in LAYOUTS)}. Received: {source}"
    )
