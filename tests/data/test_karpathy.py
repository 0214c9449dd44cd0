"""Karpathy's layout reads as the same data that a line a record would give, and its mistakes are told by position."""

import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import load_source
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(4, 4)


def picture(name, split, *captions, **further):
    sentences = [{"raw": caption, "tokens": caption.split(), "sentid": 7} for caption in captions]
    return {"filename": name, "split": split, "sentences": sentences, "sentids": [7], "imgid": 3, **further}


PICTURES = [
    picture("a.png", "train", "one", "two"),
    picture("b.png", "val", "three"),
    picture("c.png", "restval", "four", filepath="more", cocoid=9),
    picture("d.png", "test", "five"),
]


@pytest.fixture
def write(tmp_path):
    """A function that writes a captions file of the given pictures, or of a text as it is, beside four pictures."""

    def write(pictures=PICTURES, name="dataset_toy.json"):
        (tmp_path / "more").mkdir(exist_ok=True)
        for grey, path in enumerate(("a.png", "b.png", "more/c.png", "d.png")):
            Image.new("RGB", (6, 5), (10 * grey,) * 3).save(tmp_path / path)
        file = tmp_path / name
        text = pictures if isinstance(pictures, str) else json.dumps({"dataset": "toy", "images": pictures})
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_it_is_the_data_of_one_record_a_line(write, tmp_path):
    data = load_source(write(), "all", PREPROCESSOR)
    lines = [
        {"image": "a.png", "captions": ["one", "two"]},
        {"image": "b.png", "captions": ["three"]},
        {"image": "more/c.png", "captions": ["four"]},
        {"image": "d.png", "captions": ["five"]},
    ]
    (tmp_path / "same.jsonl").write_text("\n".join(map(json.dumps, lines)))
    same = load_source(tmp_path / "same.jsonl", "all", PREPROCESSOR)
    assert data.texts == same.texts and data.image_names == same.image_names
    for field in ("images", "pairs"):
        assert np.array_equal(getattr(data, field), getattr(same, field))
    assert data.image_id.tolist() == [0, 1, 2, 3] and data.text_image_id.tolist() == [0, 0, 1, 2, 3]


def test_restval_is_trained_on_only_where_it_is_asked_for(write):
    file = write()
    assert load_source(file, "train", PREPROCESSOR).texts == ["one", "two"]
    data = load_source(file, "train+restval", PREPROCESSOR)
    assert data.name == "dataset_toy.json/train+restval"
    assert data.texts == ["one", "two", "four"] and data.image_id.tolist() == [0, 2]
    assert load_source(file, "dev", PREPROCESSOR).texts == ["three"]
    with pytest.raises(MmkerasError, match="no records of split 'rest'; it has dev, restval, test, train"):
        load_source(file, "train+rest", PREPROCESSOR)


@pytest.mark.parametrize(
    ("pictures", "told"),
    [
        ("{", "is no valid JSON"),
        ('{"image": "a.png", "captions": ["x"]}\n{"image": "b.png", "captions": ["x"]}\n', "a line is named .jsonl"),
        ('{"image": "a.png", "captions": ["x"]}', 'Karpathy.*{"images": .*records a line stand in a .jsonl file'),
        ("[]", "it has no records"),
        ('{"images": {}}', 'Karpathy.*{"images": '),
        ([PICTURES[0], 7], r"images\[1\]: expected .*filename.*sentences.* Received: '7'"),
        ([{"filename": "a.png"}], r"images\[0\]: expected .*filename.*sentences.* Received: .*'filename'"),
        ([picture("", "train", "x")], r"images\[0\]: expected an image name.* Received: .*'filename': ''"),
        ([picture("a.png", 7, "x")], r"images\[0\]: expected the name of a split.*split=7"),
        ([picture("a.png", "train", "x", filepath=3)], r"images\[0\]: expected .*Received: .*"),
        ([picture("a.png", "train")], r"images\[0\]: expected an image name and a list of captions. Received: .*a.png"),
        ([picture("a.png", "train", "x", " ")], r"images\[0\]: caption 1 of a.png is empty"),
        ([{**PICTURES[0], "sentences": ["x"]}], r"images\[0\]: caption 0 of a.png is empty"),
        ([PICTURES[0], picture("z.png", "train", "x")], r"images\[1\]: the picture z.png is missing in "),
    ],
)
def test_a_mistake_is_told_with_its_file_and_picture(write, pictures, told):
    file = write(pictures)
    with pytest.raises(MmkerasError, match=told) as caught:
        load_source(file, "train", PREPROCESSOR)
    assert str(caught.value).startswith(str(file))


def test_it_has_no_categories(write):
    with pytest.raises(MmkerasError, match=r"images\[0\]: expected .*targets = .tags.. Received: no labels"):
        load_source(write(), "train", PREPROCESSOR, targets="tags")
