"""Shards of img2dataset and webdataset: what belongs together, what is told, which tars a pattern means."""

import json

import pytest

from mmkeras.data import read
from mmkeras.errors import MmkerasError
from tests.picture_files import png, records_of, write_files, write_tar

ONE = {"0.png": png(10), "0.txt": "one"}
TWO = {"1.jpg": png(20), "1.txt": "two"}


@pytest.fixture
def shards(tmp_path):
    write_tar(tmp_path / "shards" / "00000.tar", ONE)
    write_tar(tmp_path / "shards" / "00001.tar", TWO)
    write_files(tmp_path / "shards", files={"00000_stats.json": "{}", "00000.parquet": b"PAR1"})
    return tmp_path / "shards"


@pytest.mark.parametrize("pattern", ["", "*.tar", "{00000..00001}.tar", "0000{0,1}.tar", "0000?.tar"])
def test_several_tars(shards, pattern):
    data = read(shards / pattern if pattern else shards)
    assert records_of(data) == [("00000.tar/0.png", ["one"], None), ("00001.tar/1.jpg", ["two"], None)]
    assert data.split("all").images[:, 0, 0, 0].tolist() == [10, 20]


@pytest.mark.parametrize("pattern", ["{00000..00002}.tar", "1*.tar"])
def test_a_shard_that_is_not_there(shards, pattern):
    with pytest.raises(MmkerasError, match=r"There is no tar .*(00002|1\*).tar"):
        read(shards / pattern)


def test_members_of_one_name_are_one_record(tmp_path):
    said = {"caption": ["three", "four"], "image": "elsewhere.jpg", "label": "dog", "width": 9}
    members = {
        "in/a.png": png(10),
        "in/a.txt": "\ufeffone\n",
        "in/a.json": json.dumps(said),
        "in/b.seg.png": png(30),
        "in/b.png": png(20),
        "in/b.json": json.dumps(said),
        "./c.JPG": png(30),
        "c.cls": "cat",
        "c.txt": "five",
        "._d.txt": "of a Mac",
        "stats": "no suffix",
    }
    data = read(write_tar(tmp_path / "x.tar", members), skip_unreadable=0.4)
    assert records_of(data) == [
        ("in/a.png", ["one"], None),
        ("in/b.png", ["three", "four"], None),
        ("c.JPG", ["five"], None),
    ]
    assert [record.labels for record in data.records] == [(), ("dog",), ("cat",)] and data.unused == ["width"]
    assert len(data.left_out) == 1 and "x.tar, stats: expected name.jpg and name.txt" in data.left_out[0]


def test_three_bad_records_cost_no_other(tmp_path):
    bad = {"2.txt": "no picture", "3.png": png(), "4.png": png(), "4.json": "{", "5.png": png(), "5.txt": b"\xff"}
    with pytest.raises(MmkerasError) as caught:
        read(write_tar(tmp_path / "x.tar", ONE | bad))
    for where in ("2", "3", "4", "5"):
        assert f"x.tar, {where}: expected" in str(caught.value)
    assert records_of(read(tmp_path / "x.tar", skip_unreadable=0.8)) == [("0.png", ["one"], None)]


def test_a_member_that_is_there_twice_is_told(tmp_path):
    """Written by hand: two processes of a pipeline that append to one shard."""
    import io
    import tarfile

    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, content in [("0.png", png()), ("0.png", png(9)), ("0.txt", b"x"), ("1.png", png()), ("1.txt", b"y")]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = read(tmp_path / "x.tar")
    assert "is in" in data.missing["0.png"] and "more than once" in data.missing["0.png"] and len(data.pictures) == 1


@pytest.mark.parametrize("paths", [("train-0.tar", "val-0.tar"), ("train/0.tar", "val/0.tar")])
def test_shards_say_their_split(tmp_path, paths):
    for path, members in zip(paths, (ONE, TWO), strict=True):
        write_tar(tmp_path / path, members)
    data = read(tmp_path if "-" in paths[0] else tmp_path / "{train,val}" / "*.tar")
    assert records_of(data) == [(f"{paths[0]}/0.png", ["one"], "train"), (f"{paths[1]}/1.jpg", ["two"], "dev")]


def test_tars_that_are_none_or_hold_no_captions(tmp_path):
    with pytest.raises(MmkerasError, match="x.tar holds no captions. Expected name.jpg and name.txt"):
        read(write_tar(tmp_path / "x.tar", {"a.png": png()}))
    write_files(tmp_path, files={"y.tar": b"\x1f\x8b\x08" + b"x" * 1000})
    with pytest.raises(MmkerasError, match="y.tar is no readable tar, or a compressed one"):
        read(tmp_path / "y.tar")


def test_their_pictures_lie_nowhere_else(tmp_path):
    with pytest.raises(MmkerasError, match="The pictures lie in .*x.tar itself. Received: image_folder="):
        read(write_tar(tmp_path / "x.tar", ONE), images=tmp_path)
