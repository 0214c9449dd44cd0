"""The embedded data set: its size, its split by character, look-alikes, targets."""

import hashlib
import unicodedata

import numpy as np
import pytest

from mmkeras.data import Glyphs
from mmkeras.data.glyphs import SPLITS
from mmkeras.errors import MmkerasError

A_LATIN, A_GREEK, A_CYRILLIC = 0x41, 0x391, 0x410


def place(glyphs, code_point):
    """The row of a code point among the characters."""
    return int(np.searchsorted(glyphs.code_points, code_point))


def test_size(glyphs):
    assert 6600 <= len(glyphs.names) <= 6700
    assert 46500 <= len(glyphs.pixels) <= 47500
    assert glyphs.pixels.shape[1:] == (32, 32)
    assert glyphs.pixels.dtype == np.uint8
    assert len(glyphs.style_names) == 14
    assert glyphs.style_names[0] == "DejaVuSans"


def test_every_character_has_a_name_and_a_picture(glyphs):
    assert np.array_equal(np.unique(glyphs.character), np.arange(len(glyphs.names)))
    assert len(set(glyphs.names)) == len(glyphs.names)
    assert glyphs.names[place(glyphs, 0x3C9)] == "GREEK SMALL LETTER OMEGA"
    assert {unicodedata.category(chr(c))[0] for c in glyphs.code_points}.isdisjoint("ZC")
    assert 0x20 not in glyphs.code_points  # SPACE


def test_a_style_draws_a_character_once(glyphs):
    drawn = np.column_stack([glyphs.character, glyphs.style])
    assert len(np.unique(drawn, axis=0)) == len(drawn)


def test_no_blank_pictures(glyphs):
    assert (glyphs.pixels.min(axis=(1, 2)) < 128).all()
    assert (glyphs.pixels.max(axis=(1, 2)) == 255).mean() > 0.99


def test_split_sizes(glyphs):
    train, dev, test = (glyphs.split(name) for name in SPLITS)
    assert len(test.texts) == 1000
    assert len(dev.texts) == 500
    assert len(train.texts) + 1500 == len(glyphs.names)
    assert len(train.images) + len(dev.images) + len(test.images) == len(glyphs.pixels)


def test_no_character_picture_or_id_is_in_two_splits(glyphs):
    splits = [glyphs.split(name) for name in SPLITS]
    for of_split in (
        lambda data: set(data.texts),
        lambda data: set(data.text_item.tolist()),
        lambda data: set(data.image_item.tolist()),
        lambda data: set(data.image_id.tolist()),
        lambda data: {image.tobytes() for image in data.images},
    ):
        train, dev, test = map(of_split, splits)
        assert not (train & dev or train & test or dev & test)


@pytest.mark.parametrize("other", [A_GREEK, A_CYRILLIC])
def test_look_alikes_share_id_and_split(glyphs, other):
    latin, other = place(glyphs, A_LATIN), place(glyphs, other)
    assert glyphs.look_alike[latin] == glyphs.look_alike[other] == A_LATIN
    assert glyphs.split_of[latin] == glyphs.split_of[other]


def test_what_differs_is_no_look_alike(glyphs):
    o, capital, zero = (glyphs.look_alike[place(glyphs, ord(character))] for character in "oO0")
    assert len({o, capital, zero}) == 3


def test_look_alikes_are_those_with_equal_pictures(glyphs):
    """By brute force: connecting characters that share a picture gives the groups, no more and no less."""
    shared = {}
    for picture, character in zip(glyphs.pixels, glyphs.character, strict=True):
        shared.setdefault(picture.tobytes(), set()).add(int(character))
    groups = {int(c): {int(c)} for c in range(len(glyphs.names))}
    for characters in shared.values():
        union = set().union(*(groups[c] for c in characters))
        for c in union:
            groups[c] = union
    expected = [glyphs.code_points[min(groups[c])] for c in range(len(glyphs.names))]
    assert np.array_equal(glyphs.look_alike, expected)
    in_groups = sum(len(group) > 1 for group in groups.values())
    assert 1400 <= in_groups <= 1700
    assert max(map(len, groups.values())) < 50  # no chain through half of the alphabet


def test_split_does_not_depend_on_the_order_of_calls(glyphs, glyph_cache):
    again = Glyphs(glyph_cache)
    dev = again.split("dev", targets="tags")
    assert np.array_equal(again.split_of, glyphs.split_of)
    assert dev.texts == glyphs.split("dev").texts
    assert hashlib.sha256(dev.images).digest() == hashlib.sha256(glyphs.split("dev").images).digest()


def test_split_as_paired_data(glyphs):
    dev = glyphs.split("dev")
    assert dev.name == "glyphs/dev"
    assert dev.images.shape[1:] == (32, 32, 3)
    assert (dev.images == dev.images[..., :1]).all()
    assert dev.label is None and dev.text_label is None
    picture, text = dev.pairs.T
    assert np.array_equal(picture, np.arange(len(dev.images)))
    assert np.array_equal(dev.image_item[picture], dev.text_item[text])
    assert np.array_equal(dev.image_id[picture], dev.text_image_id[text])
    assert [dev.texts[row] for row in text] == [unicodedata.name(chr(item)) for item in dev.image_item]
    assert dev.image_names[0] == f"U+{dev.image_item[0]:04X}"


def test_one_image_an_item_is_the_regular_sans(glyphs):
    dev = glyphs.split("dev").one_image_an_item()
    assert np.array_equal(np.sort(dev.image_item), dev.text_item)
    for image, item in zip(dev.images[:50], dev.image_item[:50], strict=True):
        rows = np.flatnonzero(glyphs.character == place(glyphs, item))
        assert np.array_equal(image[..., 0], glyphs.pixels[rows[glyphs.style[rows].argmin()]])


def test_all_is_every_character(glyphs):
    everything = glyphs.split("all")
    assert everything.texts == glyphs.names
    assert len(everything.images) == len(glyphs.pixels)


def test_categories(glyphs):
    dev = glyphs.split("dev", targets="category")
    assert dev.label_names[-1] == "OTHER"
    assert {"LATIN", "GREEK", "ARABIC", "BRAILLE"} <= set(dev.label_names)
    assert dev.label.shape == (len(dev.images),) and dev.text_label.shape == (len(dev.texts),)
    for text, label, item in zip(dev.texts, dev.text_label, dev.text_item, strict=True):
        first = unicodedata.name(chr(item)).split()[0]
        assert dev.label_names[label] == (first if first in dev.label_names else "OTHER")
        assert text.strip()
    picture, text = dev.pairs.T
    assert np.array_equal(dev.label[picture], dev.text_label[text])


def test_class_word_is_nowhere_in_a_category_text(glyphs):
    everything = glyphs.split("all", targets="category")
    told = [
        text
        for text, label in zip(everything.texts, everything.text_label, strict=True)
        if everything.label_names[label] in text.split()
    ]
    assert told == []
    assert everything.texts[place(glyphs, 0x3C9)] == "SMALL LETTER OMEGA"
    assert everything.texts[place(glyphs, 0x2603)] == "SNOWMAN"  # of OTHER: nothing to remove
    assert (
        everything.texts[glyphs.names.index("LEFTWARDS HARPOON WITH BARB UP ABOVE LEFTWARDS HARPOON WITH BARB DOWN")]
        == "HARPOON WITH BARB UP ABOVE HARPOON WITH BARB DOWN"
    )


def test_every_category_but_other_is_large(glyphs):
    counts = np.bincount(glyphs.category, minlength=len(glyphs.category_names))
    assert (counts[:-1] >= 25).all()
    assert counts[-1] > 0


def test_tags_are_multi_hot(glyphs):
    dev = glyphs.split("dev", targets="tags")
    assert dev.label.shape == (len(dev.images), len(dev.label_names))
    assert dev.text_label.shape == (500, len(dev.label_names))
    for text, row in zip(dev.texts, dev.text_label, strict=True):
        assert {dev.label_names[tag] for tag in np.flatnonzero(row)} == set(text.split()) & set(dev.label_names)
    assert (glyphs.tags.sum(axis=0) >= 50).all()


@pytest.mark.parametrize("name", ["val", "Test", "", None])
def test_no_such_split(glyphs, name):
    with pytest.raises(MmkerasError, match=f"train, dev, test or all. Received: split={name!r}"):
        glyphs.split(name)


def test_no_such_targets(glyphs):
    with pytest.raises(MmkerasError, match="Received: targets='categories'"):
        glyphs.split("dev", targets="categories")


def test_the_second_time_nothing_is_drawn(glyphs, glyph_cache, monkeypatch):
    monkeypatch.setattr("mmkeras.data.glyph_rendering.render_all", lambda: pytest.fail("drawn again"))
    assert np.array_equal(Glyphs(glyph_cache).pixels, glyphs.pixels)


def test_another_python_or_pillow_draws_for_itself(glyphs, glyph_cache, monkeypatch):
    """Python's table of names decides which characters there are: an older one must not read a newer one's cache."""

    class Drawn(Exception):
        pass

    def drawn():
        raise Drawn

    monkeypatch.setattr("mmkeras.data.glyph_rendering.render_all", drawn)
    monkeypatch.setattr("unicodedata.unidata_version", "99.0.0")
    with pytest.raises(Drawn):
        Glyphs(glyph_cache)
