"""Pictures that are not where they are looked for: where they are, and how their names are written, is told."""

import os
from pathlib import Path

import pytest

from mmkeras.data import read
from mmkeras.data.missing_pictures import where_it_lies
from mmkeras.errors import MmkerasError
from tests.picture_files import records_of, write_files


@pytest.fixture
def photos(tmp_path):
    """A folder `photos` with `a.png` and `in/B.JPG`."""
    return write_files(tmp_path / "photos", "a.png", "in/B.JPG")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("photos/a.png", "It is {0}/a.png: give --images {1}"),
        ("photos\\a.png", "It is {0}/a.png: give --images {1}"),
        ("/media/ann/photos/a.png", "It is {0}/a.png: write it as a.png"),
        ("C:\\Photos\\ann\\a.png", "It is {0}/a.png: write it as a.png"),
        ("a", "It is {0}/a.png: write it as a.png"),
        ("A.PNG", "It is {0}/a.png: write it as a.png"),
        ("in/b.jpg", "It is {0}/in/B.JPG: write it as in/B.JPG"),
        ("in/b", "It is {0}/in/B.JPG: write it as in/B.JPG"),
        ("B.JPG", "It is {0}/in/B.JPG: give --images {0}/in"),
        ("out/B.JPG", "It is {0}/in/B.JPG: write it as in/B.JPG"),
        ("c.png", ""),
        ("../photos/a.png", ""),
        ("in", ""),
        ("x" * 300, ""),
        ("nul\0.png", ""),
        (".", ""),
    ],
)
def test_where_a_missing_picture_lies(photos, name, told):
    assert where_it_lies(name, [photos]) == told.format(photos, photos.parent)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("photos/a.png", "It is {0}/a.png: move it into {0}"),
        ("B.JPG", "It is {0}/in/B.JPG: write it as in/B.JPG"),
    ],
)
def test_where_others_are_found_their_place_is_the_right_one(photos, name, told):
    assert where_it_lies(name, [photos], all_missing=False) == told.format(photos)


def test_a_broken_link_is_no_place_of_a_picture(photos):
    (photos / "in" / "gone.png").symlink_to("nowhere.png")
    assert where_it_lies("gone.png", [photos]) == ""


def test_a_search_ends_below_the_root(monkeypatch):
    monkeypatch.setattr(os.path, "isfile", lambda path: str(path) == "/media/a.png")
    assert where_it_lies("/media/a.png", [Path("/nowhere")]) == ""


def read_one(folder, name, **how):
    (folder / "captions.csv").write_text(f"image,caption\n{name},a dog\n{name}x,a cat\n")
    return read(folder / "captions.csv", **how)


def test_the_error_says_it_once_with_file_and_line(photos, tmp_path):
    data = read_one(tmp_path, "photos/a.png", images=photos)
    assert data.missing["photos/a.png"] == (
        f"the picture photos/a.png is missing in {photos}. It is {photos}/a.png: give --images {tmp_path}"
    )
    assert data.missing["photos/a.pngx"].endswith("Restore it, remove the record, or give --images")
    with pytest.raises(MmkerasError, match=r"captions.csv, line 2: the picture photos/a.png is missing in .*It is"):
        data.check_missing()


def test_where_a_picture_would_be_outside_what_to_do_is_told_in_place_of_the_risk(photos, tmp_path):
    missing = read_one(tmp_path, "/media/ann/a.png", images=photos).missing["/media/ann/a.png"]
    assert missing == (
        f"the picture /media/ann/a.png lies outside of {photos}. It is {photos}/a.png: write it as a.png"
    )


def test_names_as_windows_writes_them_are_found_and_are_the_same_pictures(photos, tmp_path):
    (tmp_path / "captions.csv").write_text("image,caption\nphotos\\a.png,a dog\nphotos/a.png,one dog\n")
    data = read(tmp_path / "captions.csv")
    assert data.missing == {} and {record.image for record in data.records} == {"photos\\a.png"}
    write_files(tmp_path, "a.png")
    assert "..\\a.png" in read_one(photos, "..\\a.png").missing  # no way out


def test_a_file_that_has_a_backslash_in_its_name_is_that_file(tmp_path):
    write_files(tmp_path, "in\\a.png", "in/a.png")
    data = read_one(tmp_path, "in\\a.png")
    assert str(data.pictures["in\\a.png"]).endswith("in\\a.png") and records_of(data)[0][0] == "in\\a.png"


def test_what_is_no_file_is_told(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    os.mkfifo(tmp_path / "b.jpg")
    (tmp_path / "captions.csv").write_text("image,caption\na.jpg,a dog\nb.jpg,a cat\n")
    missing = read(tmp_path / "captions.csv").missing
    assert "the picture a.jpg is a folder in " in missing["a.jpg"]
    assert "the picture b.jpg is no file in " in missing["b.jpg"]


def test_a_place_that_is_not_there_is_told_with_the_one_that_is_meant(photos, tmp_path):
    with pytest.raises(MmkerasError, match=r"--images to be .*fotos, which is not there. There is .*/photos$"):
        read_one(tmp_path, "a.png", images=tmp_path / "fotos")
    with pytest.raises(MmkerasError, match=r"which is not there$"):
        read_one(tmp_path, "a.png", images=tmp_path / "nowhere" / "q")
