"""The embedded data set: what the DejaVu fonts inside matplotlib draw, and the Unicode names of it."""

from __future__ import annotations

import collections
import functools
import hashlib
import os
import unicodedata
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmkeras.data import glyph_rendering
from mmkeras.data.cache import cached_arrays
from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError

SPLITS = ("train", "dev", "test")
TEST_CHARACTERS = 1000
DEV_CHARACTERS = 500
SMALLEST_CATEGORY = 25  # characters; the rarer first words of names are grouped as OTHER
SMALLEST_TAG = 50  # characters; a word of a name that occurs this often is a label of the multi-label task


def check_split(name: str) -> None:
    """Raise a `MmkerasError` where the glyphs have no split of that name."""
    if name not in (*SPLITS, "all"):
        raise MmkerasError(f"Expected a split of the glyphs: {', '.join(SPLITS)} or all. Received: split={name!r}")


class Glyphs:
    """About 6,700 named characters in 1 to 14 font styles: 47,000 pictures of 32 x 32 px with their names.

    Pictures are drawn once (5 s) and cached. Characters that have a pixel-identical picture, such as A and Alpha, are
    look-alikes: they share an `image_id`, go to one split, and are relevant to each other; the strict identity of a
    character is its code point, kept in `image_item` and `text_item`.

    The split is by character, drawn from a hash of the code points: 1,000 test, 500 dev, the rest train.

    Args:
        cache_folder: where to keep the drawn pictures; by default the user's cache folder.

    Example:
        >>> glyphs = Glyphs()
        >>> dev = glyphs.split("dev")
        >>> dev.texts[0]
    """

    def __init__(self, cache_folder: str | os.PathLike[str] | None = None) -> None:
        key = glyph_rendering.rendering_key()
        drawn = cached_arrays("glyphs", key, glyph_rendering.render_all, cache_folder)
        self.pixels = drawn["pixels"]
        self.style = drawn["style"]
        self.style_names = tuple(drawn["style_name"].tolist())
        self.code_points, self.character = np.unique(drawn["code_point"], return_inverse=True)
        self.names = [unicodedata.name(chr(c)) for c in self.code_points]

    @functools.cached_property
    def look_alike(self) -> NDArray[np.int64]:
        """int64 (characters,): the lowest code point among all that look like this character."""
        parent = np.arange(len(self.code_points))

        def root(character):
            while parent[character] != character:
                character = parent[character]
            return character

        first = {}
        for picture, character in zip(self.pixels, self.character, strict=True):
            other = first.setdefault(picture.tobytes(), character)
            low, high = sorted((root(character), root(other)))
            parent[high] = low
        return self.code_points[[root(character) for character in range(len(parent))]].astype(np.int64)

    @functools.cached_property
    def split_of(self) -> NDArray[np.int8]:
        """int8 (characters,): 0 train, 1 dev, 2 test."""
        groups = collections.defaultdict(list)
        for character, group in enumerate(self.look_alike):
            groups[int(group)].append(character)
        by_hash = sorted(groups, key=lambda group: hashlib.sha256(b"glyphs %d" % group).digest())
        split = np.zeros(len(self.code_points), np.int8)
        room = {2: TEST_CHARACTERS, 1: DEV_CHARACTERS}
        for group in by_hash:
            for index in room:
                if len(groups[group]) <= room[index]:
                    split[groups[group]] = index
                    room[index] -= len(groups[group])
                    break
        return split

    @functools.cached_property
    def category_names(self) -> tuple[str, ...]:
        """Names of the single-label categories: frequent first words (a script or a block), then OTHER."""
        words = collections.Counter(name.split()[0] for name in self.names)
        return (*sorted(word for word, count in words.items() if count >= SMALLEST_CATEGORY), "OTHER")

    @functools.cached_property
    def category(self) -> NDArray[np.int32]:
        """int32 (characters,), an index into `category_names`."""
        index = {word: position for position, word in enumerate(self.category_names)}
        return np.array([index.get(name.split()[0], index["OTHER"]) for name in self.names], np.int32)

    @functools.cached_property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the multi-label categories: the frequent words of the names."""
        words = collections.Counter(word for name in self.names for word in set(name.split()))
        return tuple(sorted(word for word, count in words.items() if count >= SMALLEST_TAG))

    @functools.cached_property
    def tags(self) -> NDArray[np.uint8]:
        """uint8 (characters, tags), multi-hot."""
        return np.array([[tag in name.split() for tag in self.tag_names] for name in self.names], np.uint8)

    def text_without_category(self, character: int | np.integer) -> str:
        """Return the character's name without its class word, which would make a category task trivial."""
        category = self.category_names[self.category[character]]
        return " ".join(word for word in self.names[character].split() if word != category)

    def split(
        self, name: Literal["train", "dev", "test", "all"], targets: Literal["category", "tags"] | None = None
    ) -> PairedData:
        """Return one split as `PairedData`.

        Args:
            name: `"train"`, `"dev"`, `"test"` or `"all"`.
            targets: `None`; `"category"` for single labels and texts without the class word; `"tags"` for multi-hot
                labels.

        Returns:
            `PairedData` with P pictures (all styles, regular sans first) and one text a character.
        """
        check_split(name)
        if targets not in (None, "category", "tags"):
            raise MmkerasError(f'Expected targets None, "category" or "tags". Received: targets={targets!r}')
        chosen = np.full(len(self.code_points), True) if name == "all" else self.split_of == SPLITS.index(name)
        characters = np.flatnonzero(chosen)
        pictures = np.flatnonzero(chosen[self.character])
        text_row = np.cumsum(chosen) - 1
        of_picture = self.character[pictures]
        label, label_names = None, ()
        if targets is not None:
            label = self.category if targets == "category" else self.tags
            label_names = self.category_names if targets == "category" else self.tag_names
        return PairedData(
            name=f"glyphs/{name}",
            images=np.repeat(self.pixels[pictures][..., None], 3, axis=-1),
            texts=[self.text_without_category(c) if targets == "category" else self.names[c] for c in characters],
            image_id=self.look_alike[of_picture],
            text_image_id=self.look_alike[characters],
            pairs=np.column_stack([np.arange(len(pictures)), text_row[of_picture]]).astype(np.int32),
            image_item=self.code_points[of_picture].astype(np.int64),
            text_item=self.code_points[characters].astype(np.int64),
            label=None if label is None else label[of_picture],
            text_label=None if label is None else label[characters],
            image_names=[f"U+{code_point:04X}" for code_point in self.code_points[of_picture]],
            label_names=label_names,
        )
