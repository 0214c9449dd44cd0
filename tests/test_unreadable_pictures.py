"""All pictures of a list that cannot be read are told in one error, which says what to leave out."""

import pickle

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.unreadable_pictures import UnreadablePictures


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([4], "no 4"),
        ([7, 0], "no 0\nno 7"),
        ([4, 3, 2, 1, 0], "no 0\nno 1\nno 2\nno 3\nno 4"),
        ([9, 8, 7, 3, 2, 1, 0], "no 0\nno 1\nno 2\nno 3\nno 7\n... and 2 more"),
    ],
)
def test_the_first_five_are_spelled_out(rows, told):
    error = UnreadablePictures({row: f"no {row}" for row in rows})
    assert str(error) == told
    assert list(error.reasons.items()) == [(row, f"no {row}") for row in sorted(rows)]
    assert isinstance(error, MmkerasError)


def test_it_survives_pickling():
    error = pickle.loads(pickle.dumps(UnreadablePictures({3: "no 3", 1: "no 1"})))
    assert (error.reasons, str(error)) == ({1: "no 1", 3: "no 3"}, "no 1\nno 3")
