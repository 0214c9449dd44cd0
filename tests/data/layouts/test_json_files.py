"""COCO's own JSON and lists of records: what is joined, what is told, and where the pictures lie."""

import json

import pytest

from mmkeras.data import read
from mmkeras.errors import MmkerasError
from tests.picture_files import records_of, write_files

IMAGES = [{"id": 7, "file_name": "a.png", "width": 6}, {"id": 3, "file_name": "b.png"}]
ANNOTATIONS = [
    {"id": 1, "image_id": 3, "caption": "b one"},
    {"id": 2, "image_id": 7, "caption": "a one"},
    {"id": 3, "image_id": 3, "caption": "b two"},
]
TWO = [("a.png", ["a one"], None), ("b.png", ["b one", "b two"], None)]


@pytest.fixture
def load(tmp_path):
    write_files(tmp_path, "a.png", "b.png")

    def load(content, name="x.json", **options):
        write_files(tmp_path, files={name: content if isinstance(content, str) else json.dumps(content)})
        return read(tmp_path / name, **options)

    return load


def coco(images=IMAGES, annotations=ANNOTATIONS):
    return {"info": {"year": 2017}, "licenses": [], "images": list(images), "annotations": list(annotations)}


def test_captions_are_joined_to_their_pictures_by_id(load):
    data = load(coco())
    assert records_of(data) == TWO and data.layout.startswith("COCO")
    assert records_of(load(dict(reversed(coco().items())))) == TWO


def test_what_joins_nothing_is_told_and_costs_no_other(load):
    bad = [{"id": 9, "file_name": "c.png"}, 7, {"id": 4}]
    stray = [{"image_id": 99, "caption": "of none"}, "x", {"image_id": 4, "caption": "no name"}]
    data = load(coco([*IMAGES, *bad], [*ANNOTATIONS, *stray]), skip_unreadable=0.8)
    assert records_of(data) == TWO
    told = "\n".join(data.left_out)
    assert "images[2]: " in told and "Received: no caption in \"{'id': 9, 'file_name': 'c.png'}" in told
    assert "images[3]: " in told and "images[4]: " in told
    assert "annotations[3]: " in told and "of no image" in told and "annotations[4]: " in told
    assert len(data.left_out) == 5 and data.count == 7


def test_a_detection_file_is_said_to_be_one(load):
    boxes = [{"id": 1, "image_id": 3, "bbox": [0, 0, 3, 3], "category_id": 1}]
    with pytest.raises(MmkerasError, match=r"expected captions, .*captions_train2017.json. Received: boxes and masks"):
        load(coco(annotations=boxes), "instances_train2017.json")
    with pytest.raises(MmkerasError, match="Received: 0 annotations without any"):
        load(coco(annotations=[]))


@pytest.mark.parametrize("place", ["coco/annotations", "coco/train2017", "coco/images/train2017", "coco/images"])
def test_pictures_of_coco_are_found_where_they_unpack(tmp_path, place):
    write_files(tmp_path, f"{place}/a.png", f"{place}/b.png")
    write_files(tmp_path, files={"coco/annotations/captions_train2017.json": json.dumps(coco())})
    data = read(tmp_path / "coco/annotations/captions_train2017.json")
    assert data.missing == {} and str(data.pictures["a.png"]).endswith(f"{place}/a.png")


def test_a_missing_picture_is_missed_where_the_others_lie(tmp_path):
    write_files(tmp_path, "images/a.png", files={"x.json": json.dumps(coco())})
    assert f"missing in {tmp_path}/images" in read(tmp_path / "x.json").missing["b.png"]


RECORDS = [{"image": "a.png", "caption": "a one", "image_id": 5}, {"filename": "b.png", "captions": ["b one", "b two"]}]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"info": [], "data": x}, lambda x: {"images": x, "n": 1}])
def test_lists_of_records(load, wrap):
    data = load(wrap(RECORDS))
    assert records_of(data) == TWO and data.layout == "JSON list of records" and data.unused == ["image_id"]


def test_an_object_in_annotations_and_sentences_that_are_objects(load):
    assert (
        records_of(load({"annotations": [{"image": "a.png", "sentences": [{"raw": "a one", "tokens": []}]}]}))
        == TWO[:1]
    )


def test_a_list_a_split(load):
    data = load({"train": RECORDS[:1], "validation": RECORDS[1:]})
    assert records_of(data) == [("a.png", ["a one"], "train"), ("b.png", ["b one", "b two"], "dev")]
    assert data.records[1].where == "validation[0]"


def test_bad_records_cost_no_other(load):
    bad = [7, {"image": "a.png"}, {"image": 3, "caption": "x"}, {"image": "a.png", "caption": ["x", 5]}]
    data = load([*bad, *RECORDS], skip_unreadable=0.7)
    assert records_of(data) == TWO and len(data.left_out) == 4
    assert data.left_out[0].startswith(f"{data.source}, record 0: expected")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is no valid JSON"),
        ("[" * 100_000, "is no valid JSON"),
        ('{"image": "a.png", "caption": "x"}\n{"image": "b.png", "caption": "x"}', "named .jsonl"),
        ([{"id": 5, "caption": "x"}], "expected the names of columns, .* Received: 'id, caption'"),
        ([{"image": "a.png", "width": 5}], "expected the names of columns"),
        ([{"url": "http://example.org/a.png", "caption": "x"}], "img2dataset fetches them"),
        ({"a": [{"image": "a.png"}], "b": [{"image": "b.png"}]}, "expected COCO.*Karpathy.*list of records"),
        ("7", "expected COCO"),
    ],
)
def test_files_that_are_none(load, content, told):
    with pytest.raises(MmkerasError, match=told) as caught:
        load(content)
    assert "x.json" in str(caught.value)
