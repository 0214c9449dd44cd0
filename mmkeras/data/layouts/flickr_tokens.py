"""`FlickrTokens`: the files in which Flickr8k and Flickr30k were published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.text_file import beginning, read_text

SPLIT_FILES = {"train": "trainImages", "dev": "devImages", "test": "testImages"}
_LINE = re.compile(r"(?P<image>[^\t]+)#\d+\t(?P<caption>.*)")


class FlickrTokens(Layout):
    """`Flickr8k.token.txt` or `results_20130124.token`: `name.jpg#0`, a tab and a caption a line.

    Where `Flickr_8k.trainImages.txt`, `.devImages.txt` and `.testImages.txt` lie beside it, they say the splits; what
    is in none of them, 91 pictures of Flickr8k, is of a split `rest`.

    Reference:
        Hodosh, Young & Hockenmaier 2013 (JAIR 47), and Young et al. 2014 (TACL 2).
    """

    title = "Flickr8k's or Flickr30k's token file (.token.txt, .token)"
    expected = "name.jpg#0, a tab and a caption"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        if not source.is_file() or source.suffix.lower() not in (".txt", ".token"):
            return False
        # One bad line at its beginning does not make it another file.
        return source.suffix == ".token" or any(map(_LINE.fullmatch, beginning(source, 4096).splitlines()[:10]))

    def rows(self) -> Iterator[Row]:
        split_of = self._splits()
        for number, line in enumerate(re.split("\r\n|\n|\r", read_text(self.source)), 1):
            if not line.strip():
                continue
            fields: dict[str, object] | None = None
            if found := _LINE.fullmatch(line):
                fields = {"image": found["image"], "captions": [found["caption"]]}
                if split_of:
                    fields["split"] = split_of.get(found["image"], "rest")
            yield Row(f"line {number}", fields, line[:200], number)

    def _splits(self):
        """The split of each picture by name; empty where no file says it."""
        split_of = {}
        for split, part in SPLIT_FILES.items():
            for file in sorted(self.source.parent.glob(f"*.{part}.txt")):
                split_of |= dict.fromkeys(read_text(file).split(), split)
        return split_of
