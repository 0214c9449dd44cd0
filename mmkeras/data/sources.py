"""Finding a data set by the name that a recipe gives it."""

from pathlib import Path

from mmkeras.data.captions import load_captions
from mmkeras.data.glyphs import Glyphs
from mmkeras.errors import MmkerasError


def load_source(source, split, image_preprocessor=None, image_folder=None, limit=0):
    """Return one split of a data set.

    Args:
        source: `glyphs`, or the path of a captions file, `.jsonl`.
        split: `train`, `dev`, `test`; `dev` finds a captions file's `val` too.
        image_preprocessor: needed where pictures lie in files.
        image_folder: for a captions file, where its pictures lie.
        limit: only the first so many texts (glyphs) or pictures (captions); 0 is all.

    Returns:
        `PairedData`.

    Raises:
        MmkerasError: no such data set or split.
    """
    if source == "glyphs":
        data = Glyphs().split(split)
        return data.first_texts(limit) if limit else data
    if not str(source).endswith(".jsonl"):
        raise MmkerasError(f"Expected data to be glyphs or the path of a .jsonl captions file. Received: {source}")
    if not Path(source).is_file():
        raise MmkerasError(f"There is no captions file {source}")
    if split == "dev" and '"val"' in Path(source).read_text(encoding="utf-8"):
        split = "val"
    return load_captions(source, split, image_preprocessor, image_folder, limit)
