"""Flickr8k's and Flickr30k's own files, and the splits that lie beside them."""

import pytest

from mmkeras.data import read
from tests.picture_files import records_of, write_files

TEXT = "a.png#0\tone dog\na.png#1\ttwo , dogs\nno line\nb.png#0\ta\tcat\nc.png#0\tx\n"


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "results_20130124.token"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_captions_by_picture(tmp_path, name, end):
    write_files(tmp_path, "a.png", "b.png", files={name: TEXT.replace("\n", end)})
    data = read(tmp_path / name, skip_unreadable=0.2)
    captions = [["one dog"], ["two , dogs"], ["a\tcat"], ["x"]]
    assert [record.captions for record in data.records] == captions and len(data.pictures) == 2
    assert [record.image for record in data.records] == ["a.png", "a.png", "b.png", "c.png"]
    assert data.left_out == [
        f"{tmp_path}/{name}, line 3: expected name.jpg#0, a tab and a caption. Received: 'no line'"
    ]


def test_splits_that_lie_beside(tmp_path):
    lists = {"trainImages": "a.png\n", "devImages": "b.png\r\n", "testImages": ""}
    files = {f"Flickr_8k.{name}.txt": text for name, text in lists.items()}
    write_files(tmp_path, "Flicker8k_Dataset/a.png", "Flicker8k_Dataset/b.png", "Flicker8k_Dataset/c.png", files=files)
    write_files(tmp_path, files={"Flickr8k.token.txt": TEXT.replace("no line\n", "")})
    data = read(tmp_path / "Flickr8k.token.txt")
    assert data.counts == {"train": 1, "dev": 1, "rest": 1} and data.missing == {}
    assert records_of(data)[2] == ("b.png", ["a\tcat"], "dev")
