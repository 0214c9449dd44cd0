"""Captions files that users stumble over: told by name, all at once, and never half right in silence."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import load_source
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(4, 4)


@pytest.fixture
def folder(tmp_path):
    for grey, name in enumerate("abc", 80):
        Image.new("RGB", (6, 5), (grey,) * 3).save(tmp_path / f"{name}.png")
    return tmp_path


def load(folder, *records, **options):
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return load_source(folder / "captions.jsonl", "all", PREPROCESSOR, **options)


def record(image="a.png", *captions, **more):
    return {"image": image, "captions": list(captions) or ["a word"], **more}


def test_one_picture_written_in_several_ways_is_one_picture(folder):
    data = load(
        folder, record("a.png", "one"), record("./a.png", "two"), record("x/../a.png", "three"), record("b.png")
    )
    assert data.image_names == ["a.png", "b.png"]
    assert data.text_image_id.tolist() == [1, 1, 1, 4]


def test_a_single_caption_may_be_called_caption(folder):
    assert load(folder, {"image": "a.png", "caption": "one"}).texts == ["one"]
    with pytest.raises(MmkerasError, match="line 1: expected an image name and a list of captions"):
        load(folder, {"image": "a.png", "caption": " "})


@pytest.mark.parametrize(
    "bad",
    [r'{"image": "b.png", "captions": ["half \ud83d a pair"]}', r'{"image": "b\udc00.png", "captions": ["x"]}'],
)
def test_half_a_surrogate_pair_is_told_with_its_line(folder, bad):
    with pytest.raises(MmkerasError, match=r"line 2: expected Unicode text. Received: half of a surrogate pair, \\ud"):
        load(folder, record(), bad)


@pytest.mark.parametrize("url", ["http://example.org/a.png", "HTTPS://example.org/a.png", "s3://bucket/a.png"])
def test_urls_are_not_fetched(folder, url):
    with pytest.raises(MmkerasError, match="URLs are not fetched. img2dataset"):
        load(folder, record(url))


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "x/" * 3000 + "a.png", "nul\0.png"])
def test_names_that_no_file_has_are_told(folder, name):
    with pytest.raises(MmkerasError, match="line 1: the picture (n|x|nul).* (cannot be looked for|is missing) in"):
        load(folder, record(name))


def test_deep_json_is_no_record(folder):
    with pytest.raises(MmkerasError, match="line 1: expected"):
        load(folder, "[" * 100_000)


def test_all_bad_pictures_are_told_at_once(folder):
    (folder / "empty.png").write_bytes(b"")
    (folder / "page.png").write_text("<html>not found</html>")
    records = [record("a.png"), record("empty.png"), record("gone.png"), record("page.png")]
    with pytest.raises(MmkerasError) as caught:
        load(folder, *records[:2], *records[3:])
    first, second, cure = str(caught.value).split("\n")
    assert cure == "2 of 3 cannot be read; skip_unreadable=0.667 leaves them out"
    assert "captions.jsonl, line 2: Cannot read picture" in first and "empty.png" in first
    assert "captions.jsonl, line 3: Cannot read picture" in second and "page.png" in second
    with pytest.raises(MmkerasError, match="line 3: the picture gone.png is missing"):
        load(folder, *records)


def test_many_problems_are_counted(folder):
    with pytest.raises(MmkerasError) as caught:
        load(folder, *["no record"] * 9)
    lines = str(caught.value).split("\n")
    assert len(lines) == 7 and lines[-2] == "... and 4 more" and lines[-1] == "9 of 9 cannot be read"


def test_what_is_bad_is_left_out_where_that_is_asked_for(folder):
    (folder / "page.png").write_text("<html>not found</html>")
    data = load(
        folder, record("a.png", "one"), record("gone.png"), "no record", record("page.png"), record("b.png", "two"),
        skip_unreadable=1.0,
    )  # fmt: skip
    assert (data.image_names, data.texts) == (["a.png", "b.png"], ["one", "two"])
    assert data.images.shape == (2, 4, 4, 3)
    assert len(data.left_out) == 3
    assert [part.partition(",")[2].partition(":")[0] for part in data.left_out] == [" line 3", " line 2", " line 4"]
    with pytest.raises(MmkerasError, match="Received: 0 pictures, 0 captions"):
        load(folder, record("gone.png"), skip_unreadable=1.0)


def test_pictures_outside_the_folder_are_refused(folder):
    inside = folder / "pictures"
    inside.mkdir()
    Image.new("RGB", (6, 5)).save(inside / "in.png")
    os.symlink(folder / "a.png", inside / "link.png")
    os.symlink(inside / "in.png", inside / "near.png")
    for name in ("../a.png", str(folder / "a.png"), "link.png"):
        with pytest.raises(
            MmkerasError, match="line 1: the picture (.*a.png|link.png) lies outside of .*pictures_outside"
        ):
            load(folder, record(name), image_folder=inside)
        data = load(folder, record(name), image_folder=inside, pictures_outside=True)
        assert np.all(data.images == 80)
    assert load(folder, record("in.png"), record("near.png"), image_folder=inside).image_names == ["in.png"]
    os.symlink(inside, folder / "elsewhere")  # the folder itself may be a link
    assert len(load(folder, record("in.png"), image_folder=folder / "elsewhere").images) == 1


def test_whether_a_file_outside_exists_is_not_told(folder):
    inside = folder / "pictures"
    inside.mkdir()
    told = []
    for name in ("../a.png", "../nowhere.png"):
        with pytest.raises(MmkerasError) as caught:
            load(folder, record(name), image_folder=inside)
        told.append(str(caught.value).replace(name, "NAME"))
    assert told[0] == told[1]


def test_hard_inputs(real_data):
    folder = real_data / "hard_inputs"

    def read(name, **options):
        return load_source(folder / "captions" / name, "train", PREPROCESSOR, folder / "pics", **options)

    data = read("same_picture_two_ways.jsonl")
    assert len(data.images) == len(np.unique(data.image_id)) == 18
    assert all(len(read(name).texts) for name in ("ok.jsonl", "caption_key.jsonl"))
    with pytest.raises(MmkerasError, match="surrogate.jsonl, line"):
        read("surrogate.jsonl")
    with pytest.raises(MmkerasError, match="URLs are not fetched"):
        read("urls.jsonl")
    with pytest.raises(MmkerasError, match="no_caption.jsonl, line"):
        read("no_caption.jsonl")
    assert len(read("no_caption.jsonl", skip_unreadable=1.0).left_out) == 1
