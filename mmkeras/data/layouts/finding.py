"""Which layout a file or a folder has."""

from __future__ import annotations

from pathlib import Path

from mmkeras.data.layouts.json_lines import JsonLines
from mmkeras.data.layouts.karpathy import Karpathy
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.table import Table
from mmkeras.errors import MmkerasError

# The first that recognises a source reads it.
LAYOUTS: tuple[type[Layout], ...] = (JsonLines, Table, Karpathy)
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet", ".tar", ".tsv", ".txt", ".token")


def find_layout(source: Path) -> Layout:
    """Return the reader of a source.

    Raises:
        MmkerasError: there is no such file or folder, or none of the layouts is its.
    """
    if not source.exists() and source.suffix.lower() in SUFFIXES:
        raise MmkerasError(f"There is no captions file {source}")
    for layout in LAYOUTS:
        if layout.recognises(source):
            return layout(source)
    raise MmkerasError(
        "Expected data to be glyphs, a feature set (.npz, or a folder of .mat or .txt files), or pictures with "
        f"captions in one of these layouts: {'; '.join(layout.title for layout in LAYOUTS)}. Received: {source}"
    )
