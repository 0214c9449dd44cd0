"""Writing systems of texts, and what of them is no letter."""

import pytest

from mmkeras.data.checking.writing_systems import writing_systems


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("a dog", "Latin"),
        ("Ein schöner Hund", "Latin"),
        ("собака", "Cyrillic"),
        ("一只狗", "Han"),
        ("いぬ", "Hiragana"),
        ("개", "Hangul"),
        ("कुत्ता", "Devanagari"),
        ("كلب", "Arabic"),
        ("ｄｏｇ", "Latin"),
        ("σκύλος", "Greek"),
    ],
)
def test_letters_and_their_marks_belong_to_one_system(text, system):
    assert writing_systems([text]) == ({system: 1.0}, 0.0)


def test_shares_are_of_letters_the_largest_first():
    systems, signs = writing_systems(["abc собака 12", "!"])
    assert systems == {"Cyrillic": 6 / 9, "Latin": 3 / 9}
    assert list(systems) == ["Cyrillic", "Latin"]
    assert signs == 3 / 12


def test_without_letters_there_is_no_system():
    assert writing_systems(["123 ?", " "]) == ({}, 1.0)
    assert writing_systems([]) == ({}, 0.0)
    assert writing_systems(["\ue000"]) == ({}, 1.0)  # private use, which has no name
