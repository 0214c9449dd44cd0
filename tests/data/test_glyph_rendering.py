"""Drawing single characters and contact sheets."""

import numpy as np
import pytest

from mmkeras.data import contact_sheet
from mmkeras.data.glyph_rendering import BASELINE, draw, font_files, named_characters, rendering_key
from mmkeras.errors import MmkerasError


@pytest.fixture(scope="module")
def sans():
    return font_files()[0]


def ink(picture):
    """First and last row and column that hold ink."""
    rows, columns = np.nonzero(picture < 128)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_fonts_are_dejavu_regular_sans_first():
    names = [file.stem for file in font_files()]
    assert names[0] == "DejaVuSans"
    assert names[1:] == sorted(names[1:])
    assert len(names) == len(set(names)) == 14


def test_named_characters(sans):
    code_points = named_characters(sans)
    assert code_points == sorted(set(code_points))
    assert {ord("A"), 0x3C9, 0x2603} <= set(code_points)
    assert not {0x20, 0xA0, 0x2028, 0x200B} & set(code_points)  # separators and controls


def test_black_on_white(sans):
    picture = draw("H", sans)
    assert picture.shape == (32, 32)
    assert picture.dtype == np.uint8
    assert picture[0, 0] == 255
    assert picture.min() == 0


def test_drawing_is_deterministic(sans):
    assert np.array_equal(draw("ω", sans), draw("ω", sans))


def test_letters_stand_on_the_baseline_and_are_centred(sans):
    for letter in "HEX":
        _, bottom, left, right = ink(draw(letter, sans))
        assert bottom == BASELINE - 1
        assert abs(left - (31 - right)) <= 2


def test_height_above_the_line_tells_characters_apart(sans):
    comma, apostrophe = ink(draw(",", sans)), ink(draw("'", sans))
    assert apostrophe[1] < comma[0]
    assert ink(draw("o", sans))[0] > ink(draw("O", sans))[0]


@pytest.mark.parametrize("character", ["Ǆ", "‱", "⌨", "ᙱ", "҈"])
def test_what_does_not_fit_is_shrunk_not_cut(sans, character):
    """At 26 px these are wider than the picture; drawn at 13 px, which fits for sure, they have the same outline."""
    top, bottom, left, right = ink(draw(character, sans))
    small_top, small_bottom, small_left, small_right = ink(draw(character, sans, 13))
    assert right - left > 26
    ratio = (right - left + 1) / (bottom - top + 1)
    assert ratio == pytest.approx((small_right - small_left + 1) / (small_bottom - small_top + 1), rel=0.15)


def test_a_tall_character_is_shifted_off_the_baseline(sans):
    """Its lower edge would lie below the picture."""
    assert ink(draw("\u0328", sans))[1] <= 31  # COMBINING OGONEK
    assert ink(draw("⌠", sans))[1] == 31


def test_key_names_what_the_pictures_depend_on():
    key = rendering_key()
    assert set(key) == {"rendering", "pillow", "freetype", "unicode", "fonts"}
    assert set(key["fonts"]) == {file.name for file in font_files()}


def test_contact_sheet_lays_out_rows():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    sheet = np.asarray(contact_sheet(pictures, columns=3, margin=1))
    assert sheet.shape == (2 * 3, 3 * 4)
    assert sheet[0].tolist() == [0, 0, 0, 208, 1, 1, 1, 208, 2, 2, 2, 208]
    assert sheet[3].tolist() == [3, 3, 3, 208, 4, 4, 4, 208, 208, 208, 208, 208]
    assert (sheet[2] == 208).all()


def test_contact_sheet_in_colour():
    sheet = contact_sheet(np.full((1, 2, 2, 3), (9, 8, 7), np.uint8), columns=1, margin=0)
    assert sheet.mode == "RGB"
    assert sheet.getpixel((1, 1)) == (9, 8, 7)


@pytest.mark.parametrize("shape", [(0, 32, 32), (4, 32)])
def test_contact_sheet_of_nothing(shape):
    with pytest.raises(MmkerasError, match="Expected pictures of shape"):
        contact_sheet(np.zeros(shape, np.uint8))
