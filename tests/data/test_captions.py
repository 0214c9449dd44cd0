"""Captions files: every mistake is told with its file, line and picture."""

import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import load_source, read
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(4, 4)
RECORDS = [
    {"image": "a.png", "split": "train", "captions": ["one", "two"]},
    {"image": "b.png", "split": "val", "captions": ["three"]},
    {"image": "c.png", "split": "train", "captions": ["four"]},
    {"image": "d.png", "split": "test", "captions": ["five", "six"]},
]


@pytest.fixture
def write(tmp_path):
    """A function that writes records, or lines as they are, and a grey picture for each name of one letter."""

    def write(lines=RECORDS, name="captions.jsonl"):
        for grey, letter in enumerate("abcd"):
            Image.new("RGB", (6, 5), (10 * grey,) * 3).save(tmp_path / f"{letter}.png")
        file = tmp_path / name
        text = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
        file.write_text("\n".join(text) + "\n", encoding="utf-8")
        return file

    return write


def test_one_split(write):
    data = load_source(write(), "train", PREPROCESSOR)
    assert data.name == "captions.jsonl/train"
    assert data.images.shape == (2, 4, 4, 3)
    assert data.images[:, 0, 0, 0].tolist() == [0, 20]
    assert data.texts == ["one", "two", "four"]
    assert data.pairs.tolist() == [[0, 0], [0, 1], [1, 2]]
    assert data.image_names == ["a.png", "c.png"]
    assert data.image_id.tolist() == [1, 3]
    assert data.text_image_id.tolist() == [1, 1, 3]


def test_all_splits_have_the_ids_of_the_single_ones(write):
    file = write()
    everything = load_source(file, "all", PREPROCESSOR)
    assert everything.texts == ["one", "two", "three", "four", "five", "six"]
    single = np.concatenate([load_source(file, split, PREPROCESSOR).image_id for split in ("train", "val", "test")])
    assert sorted(everything.image_id.tolist()) == sorted(single.tolist())


def test_dev_finds_val(write):
    assert load_source(write(), "dev", PREPROCESSOR).texts == ["three"]


def test_dev_is_dev_where_there_is_one(write):
    file = write([*RECORDS, {"image": "a.png", "split": "dev", "captions": ["seven"]}])
    assert load_source(file, "dev", PREPROCESSOR).texts == ["seven"]
    assert load_source(file, "val", PREPROCESSOR).texts == ["three"]


def test_a_caption_that_names_val_makes_no_split(write):
    file = write([{"image": "a.png", "split": "dev", "captions": ['the "val" mark', "val"]}])
    assert load_source(file, "dev", PREPROCESSOR).texts == ['the "val" mark', "val"]


def test_without_a_split_a_line_is_for_training(write):
    file = write([{"image": "a.png", "captions": ["one"]}])
    assert load_source(file, "train", PREPROCESSOR).texts == ["one"]


def test_lines_of_one_picture_are_one_picture(write):
    """As other formats write them, a line a caption: the captions must not become negatives of each other."""
    file = write(
        [{"image": name, "captions": [text]} for name, text in (("b.png", "x"), ("a.png", "y"), ("b.png", "z"))]
    )
    data = load_source(file, "train", PREPROCESSOR)
    assert data.image_names == ["b.png", "a.png"]
    assert data.texts == ["x", "z", "y"]
    assert data.pairs.tolist() == [[0, 0], [0, 1], [1, 2]]
    assert data.text_image_id.tolist() == [1, 1, 2]


def test_a_picture_of_two_splits_has_one_id(write):
    file = write([{"image": "a.png", "captions": ["x"]}, {"image": "a.png", "split": "test", "captions": ["y"]}])
    assert load_source(file, "test", PREPROCESSOR).image_id.tolist() == [1]


def test_limit_counts_pictures(write):
    data = load_source(write(), "all", PREPROCESSOR, limit=2)
    assert data.image_names == ["a.png", "b.png"]
    assert data.texts == ["one", "two", "three"]


def test_image_folder(write, tmp_path):
    file = write()
    (tmp_path / "pictures").mkdir()
    for picture in tmp_path.glob("*.png"):
        picture.rename(tmp_path / "pictures" / picture.name)
    assert len(load_source(file, "train", PREPROCESSOR, image_folder=tmp_path / "pictures").images) == 2


def test_blank_lines_byte_order_mark_and_line_separators(write):
    caption = "before\u2028after\u0085end"  # JSON allows both inside a string
    file = write(["\ufeff" + json.dumps(RECORDS[0]), "", "  ", {"image": "b.png", "captions": [caption]}])
    data = load_source(file, "train", PREPROCESSOR)
    assert data.texts == ["one", "two", caption]
    assert data.image_id.tolist() == [1, 4]


def test_a_missing_picture(write, tmp_path):
    file = write()
    (tmp_path / "c.png").unlink()
    with pytest.raises(MmkerasError) as caught:
        load_source(file, "train", PREPROCESSOR)
    assert f"{file}, line 3: the picture c.png is missing in {tmp_path}" in str(caught.value)


def test_a_missing_picture_of_another_split_does_not_matter(write, tmp_path):
    file = write()
    (tmp_path / "d.png").unlink()
    assert len(load_source(file, "train", PREPROCESSOR).images) == 2


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_an_unreadable_picture(write, tmp_path, content):
    file = write()
    picture = tmp_path / "c.png"
    picture.write_bytes(picture.read_bytes()[:40] if content is None else content)
    with pytest.raises(MmkerasError) as caught:
        load_source(file, "train", PREPROCESSOR)
    assert f"{file}, line 3: " in str(caught.value)
    assert str(picture) in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2: expected .*Received: '\{'"),
        ("[]", r"line 2: expected .*Received: '\[\]'"),
        ('"a.png"', "line 2: expected"),
        ("17", "line 2: expected"),
        ('{"image": "a.png"}', "line 2: expected"),
        ('{"captions": ["x"]}', "line 2: expected .*Received: no image in '{\"captions"),
        ({"image": "a.png", "captions": []}, "line 2: expected an image name and a list .*Received: no caption in '"),
        ({"image": "a.png", "captions": ["x", 3]}, "line 2: expected caption 1 of a.png to be a text. Received: 3"),
        ({"image": 5, "captions": ["x"]}, "line 2: expected an image name and a list of captions"),
        ({"image": "", "captions": ["x"]}, "line 2: expected an image name and a list of captions"),
        ({"image": "a.png", "split": 7, "captions": ["x"]}, "line 2: expected the name of a split.*split=7"),
        ({"image": "a.png", "captions": ["x", " \n"]}, "line 2: caption 1 of a.png is empty"),
        ({"image": "a.png", "captions": [""]}, "line 2: caption 0 of a.png is empty"),
        ({"image": "a.png", "captions": [None]}, "line 2: caption 0 of a.png is empty"),
    ],
)
def test_a_line_that_is_no_record(write, line, message):
    file = write([RECORDS[0], line])
    with pytest.raises(MmkerasError, match=message) as caught:
        load_source(file, "train", PREPROCESSOR)
    assert str(caught.value).startswith(str(file))


def test_a_blank_split_says_nothing(write):
    lines = [{"image": record["image"], "captions": record["captions"], "split": " "} for record in RECORDS]
    assert read(write(lines)).drawn


def test_no_such_split(write):
    with pytest.raises(
        MmkerasError, match="has no records of split 'holdout'; it has dev, test, train. Let some records be of"
    ):
        load_source(write(), "holdout", PREPROCESSOR)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_pictures_to_draw_splits_from(write, count):
    data = read(write([{"image": record["image"], "captions": ["x"]} for record in RECORDS[:count]]))
    with pytest.raises(MmkerasError, match=f"{count} pictures? are too few to draw train, dev and test .* at least 3"):
        data.split("dev")


def test_an_empty_file(write):
    with pytest.raises(MmkerasError, match="it has no records"):
        load_source(write([""]), "train", PREPROCESSOR)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(MmkerasError, match="There is no captions file .*nowhere.jsonl"):
        load_source(tmp_path / "nowhere.jsonl", "train", PREPROCESSOR)
    (tmp_path / "latin.jsonl").write_bytes(b'{"image": "caf\xe9.png", "captions": ["x"]}')
    with pytest.raises(MmkerasError, match=r"latin.jsonl could not be read: invalid .* in line 1. Expected UTF-8"):
        load_source(tmp_path / "latin.jsonl", "train", PREPROCESSOR)


# --- Categories ---

ONE = [
    {"image": "a.png", "split": "train", "captions": ["one", "two"], "label": "tree"},
    {"image": "b.png", "split": "val", "captions": ["three"], "label": "zebra"},
    {"image": "c.png", "split": "train", "captions": ["four"], "label": "dog"},
]
MANY = [
    {"image": "a.png", "captions": ["one", "two"], "labels": ["tree", "dog", "tree"]},
    {"image": "b.png", "split": "val", "captions": ["three"], "labels": ["beach"]},
    {"image": "c.png", "captions": ["four"], "labels": []},
]
APART = [
    {"image": "a.png", "label": "dog"},
    {"captions": ["a cat", "a grey cat"], "label": "cat"},
    {"image": "b.png", "captions": [], "label": "cat"},
    {"captions": ["a dog"], "label": "dog"},
]


def test_a_label_is_the_pictures_and_its_captions(write):
    data = load_source(write(ONE), "train", PREPROCESSOR, targets="category")
    assert data.label_names == ("dog", "tree", "zebra")  # those of the other splits too
    assert (data.label.dtype, data.label.tolist()) == (np.int32, [1, 0])
    assert (data.text_label.dtype, data.text_label.tolist()) == (np.int32, [1, 1, 0])
    assert data.pairs.tolist() == [[0, 0], [0, 1], [1, 2]]


def test_labels_are_multi_hot(write):
    data = load_source(write(MANY), "train", PREPROCESSOR, targets="tags")
    assert data.label_names == ("beach", "dog", "tree")
    assert (data.label.dtype, data.label.tolist()) == (np.uint8, [[0, 1, 1], [0, 0, 0]])
    assert (data.text_label.dtype, data.text_label.tolist()) == (np.uint8, [[0, 1, 1], [0, 1, 1], [0, 0, 0]])


def test_every_split_and_every_limit_has_the_same_categories(write):
    for records, targets in ((ONE, "category"), (MANY, "tags")):
        file = write(records)
        parts = [("train", 0), ("train", 1), ("dev", 0), ("all", 0)]
        names = {load_source(file, split, PREPROCESSOR, limit=n, targets=targets).label_names for split, n in parts}
        assert len(names) == 1


def test_without_targets_labels_are_not_read(write):
    for records in (ONE, MANY, [{**RECORDS[0], "label": 7, "labels": None}]):
        data = load_source(write(records), "train", PREPROCESSOR)
        assert data.label is None and data.text_label is None and data.label_names == ()


def test_pictures_and_captions_of_no_pair(write):
    data = load_source(write(APART), "all", PREPROCESSOR, targets="category")
    assert data.image_names == ["a.png", "b.png"] and data.label.tolist() == [1, 0]
    assert data.texts == ["a cat", "a grey cat", "a dog"] and data.text_label.tolist() == [0, 0, 1]
    assert data.pairs.shape == (0, 2) and data.pairs.dtype == np.int32
    assert data.image_id.tolist() == [1, 3]
    assert data.text_image_id.tolist() == [2, 2, 4]  # captions of one line speak of one thing, and of no picture


def test_pairs_are_what_stands_in_one_line(write):
    file = write([APART[1], {"image": "b.png", "captions": ["five"], "label": "cat"}, *APART[:1]])
    data = load_source(file, "all", PREPROCESSOR, targets="category")
    assert data.image_names == ["b.png", "a.png"] and data.texts == ["a cat", "a grey cat", "five"]
    assert data.pairs.tolist() == [[0, 2]]
    assert data.text_image_id[2] == data.image_id[0]


def test_a_limit_counts_pictures_and_lines_without_one(write):
    data = load_source(write(APART), "all", PREPROCESSOR, limit=1, targets="category")
    assert data.image_names == ["a.png"] and data.texts == ["a cat", "a grey cat"]


@pytest.mark.parametrize("records", [APART[:1], APART[1:2]])
def test_a_split_needs_pictures_and_captions(write, records):
    with pytest.raises(MmkerasError, match=r"expected pictures and captions in split 'train'. Received: \d pictures, "):
        load_source(write(records), "train", PREPROCESSOR, targets="category")


@pytest.mark.parametrize(
    ("targets", "line", "message"),
    [
        ("category", {"image": "a.png", "captions": ["x"]}, 'expected .*"label": "dog".*Received: no label'),
        ("tags", {"image": "a.png", "captions": ["x"]}, 'expected .*"labels": .*Received: no labels'),
        ("category", {"image": "a.png", "labels": ["dog"]}, "expected label, and no labels.*Received: labels"),
        ("tags", {"image": "a.png", "label": "dog"}, "expected labels, and no label,.*Received: label"),
        ("category", {"image": "a.png", "label": "dog", "labels": ["dog"]}, "and no labels, for targets"),
        ("tags", {"image": "a.png", "label": "dog", "labels": ["dog"]}, "and no label, for targets"),
        ("category", {"image": "a.png", "label": ["dog"]}, r"the name of a category. Received: label=\['dog'\]"),
        ("category", {"image": "a.png", "label": 3}, "the name of a category. Received: label=3"),
        ("category", {"image": "a.png", "label": " "}, "the name of a category. Received: label=' '"),
        ("category", {"image": "a.png", "label": None}, "the name of a category. Received: label=None"),
        ("tags", {"image": "a.png", "labels": "dog"}, "a list of names of categories. Received: labels='dog'"),
        ("tags", {"image": "a.png", "labels": ["dog", 3]}, "a list of names of categories. Received: labels="),
        ("category", {"label": "dog"}, "where image or captions may be left out. Received: "),
        ("category", {"image": None, "captions": ["x"], "label": "dog"}, "expected an image name and a list"),
        ("category", {"captions": [], "label": "dog"}, "expected an image name and a list"),
        ("category", {"captions": ["x", " "], "label": "dog"}, "caption 1 of the line is empty"),
        (
            "category",
            {"image": "a.png", "split": "test", "captions": ["x"], "label": "dog"},
            "expected one labelling of a.png. Received: dog, and in line 1 tree",
        ),
    ],
)
def test_a_line_that_is_no_labelled_record(write, targets, line, message):
    file = write([{"category": ONE, "tags": MANY}[targets][0], line])
    with pytest.raises(MmkerasError, match=message) as caught:
        load_source(file, "train", PREPROCESSOR, targets=targets)
    assert str(caught.value).startswith(f"{file}, line 2: ")


def test_unknown_targets_and_a_file_of_no_tag(write):
    with pytest.raises(MmkerasError, match='Expected targets "", "category" or "tags". Received: targets=\'label\''):
        load_source(write(ONE), "train", PREPROCESSOR, targets="label")
    with pytest.raises(MmkerasError, match="at least one record with a name in labels"):
        load_source(write(MANY[2:]), "train", PREPROCESSOR, targets="tags")
