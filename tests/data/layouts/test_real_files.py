"""One set of 24 pictures in six layouts, written by others' rules, is the same data in each."""

import os
from pathlib import Path

import pytest

from mmkeras.data import read

FILES = {  # captions a picture
    "comma.csv": 1,
    "metadata.jsonl": 1,
    "Flickr8k.token.txt": 2,
    "captions_train2017.json": 2,
    "list.json": 2,
    "00000.tar": 1,
}


@pytest.fixture(scope="module")
def folder():
    if not os.environ.get("MMKERAS_DATA"):
        pytest.skip("MMKERAS_DATA is not set")
    return Path(os.environ["MMKERAS_DATA"]) / "hard_inputs" / "captions"


@pytest.mark.parametrize("name", FILES)
def test_they_are_the_same_data(folder, name):
    data = read(folder / name, images=None if name == "00000.tar" else folder / "../pics")
    assert data.left_out == [] and data.missing == {}
    assert sum(data.counts.values()) == 24 and len(data.pictures) == 24
    found = {}
    for record in data.records:
        found.setdefault(data.pictures[record.image].read_bytes(), []).extend(record.captions)
    expected = {
        (folder / "../pics" / record.image).read_bytes(): record.captions
        for record in read(folder / "list.json", images=folder / "../pics").records
    }
    assert set(found) == set(expected)
    for content, captions in expected.items():
        red, circle = captions
        first = f'{red}, "really", {circle}' if name == "comma.csv" else red
        assert found[content] == [first, circle][: FILES[name]]


def test_a_list_of_urls_is_told(folder):
    data = read(folder / "urls.jsonl", skip_unreadable=1.0)
    assert "URLs are not fetched. img2dataset" in data.left_out[0]
