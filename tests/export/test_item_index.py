"""The index of a release: every picture and every text can be found, whether or not they are paired."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.export.item_index import write_item_index
from mmkeras.query import Answer
from mmkeras.search import EmbeddingIndex

TEXTS = ["north", "east", "up"]


class Axes:
    """Embeds a picture by its first value, a text by its place in `TEXTS`: each on an axis of its own."""

    def encode_image(self, images):
        return np.eye(3, dtype=np.float32)[np.asarray(images)[:, 0, 0, 0]]

    def encode_text(self, texts):
        return np.eye(3, dtype=np.float32)[[TEXTS.index(text) for text in texts]]


@pytest.fixture
def write(tmp_path):
    """A function that indexes three pictures and three texts with these pairs; the first of each was trained on."""

    def write(pairs, size=2):
        images = np.zeros((3, size, size, 3), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
        pairs = np.array(pairs, np.int32).reshape(-1, 2)
        data = PairedData("three/all", images, TEXTS, np.array([1, 2, 3]), np.array([1, 2, 6]), pairs)
        seen = PairedData("three/train", images[:1], TEXTS[:1], np.array([1]), np.array([1]), pairs[:0])
        write_item_index(tmp_path / "index", Axes(), "space", data, seen)
        return tmp_path / "index"

    return write


def test_pairs_share_an_item(write):
    folder = write([[0, 0], [1, 1], [2, 2]])
    index = EmbeddingIndex(folder)
    assert [(item["text"], item["seen"]) for item in index.items] == [("north", True), ("east", False), ("up", False)]
    for modality in ("image", "text"):
        assert index.search(np.eye(3)[1:2], modality, 1)[0][0].item["id"] == "2"
    assert [child.name for child in folder.parent.iterdir()] == ["index"]


@pytest.mark.parametrize("pairs", [[], [[0, 0], [1, 1]], [[0, 0], [1, 1], [2, 1]]])
def test_unpaired_pictures_and_texts_have_an_index_each(write, pairs):
    folder = write(pairs)
    pictures, texts = EmbeddingIndex(folder), EmbeddingIndex(folder.with_name("index_of_texts"))
    text_of = dict(pairs)
    assert [item["text"] for item in pictures.items] == [
        TEXTS[text_of[row]] if row in text_of else "" for row in (0, 1, 2)
    ]
    assert [item["seen"] for item in pictures.items] == [True, False, False]
    assert pictures.picture(pictures.items[2]) is not None
    assert texts.items[2] == {"id": "text-2", "text": "up", "seen": False} and texts.items[0]["seen"]
    assert pictures.search(np.eye(3)[2:], "image", 1)[0][0].item["id"] == "3"
    assert texts.search(np.eye(3)[2:], "text", 1)[0][0].item["text"] == "up"
    assert pictures.space_id == texts.space_id == "space"
    with pytest.raises(MmkerasError, match="Expected a modality of this index, image"):
        pictures.search(np.eye(3)[:1], "text", 1)


def test_an_index_for_devices_holds_what_they_read(tmp_path):
    images = np.arange(3, dtype=np.uint8)[:, None, None, None]
    pairs = np.array([[0, 0], [1, 1]], np.int32)  # not all paired: texts would be an index of their own
    data = PairedData("three/all", images, TEXTS, np.array([1, 2, 3]), np.array([1, 2, 6]), pairs)
    write_item_index(tmp_path / "index", Axes(), "space", data, data, "int8", texts=False, keep_pictures=False)
    index = EmbeddingIndex(tmp_path / "index")
    assert index.manifest.modalities == ["image"] and not any("picture" in item for item in index.items)
    assert [child.name for child in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize(("size", "suffix", "kind"), [(2, "png", "png"), (224, "jpg", "jpeg")])
def test_pictures_are_shown_by_a_query(write, tmp_path, size, suffix, kind):
    index = EmbeddingIndex(write([[0, 0], [1, 1], [2, 2]], size))
    assert [item["picture"] for item in index.items] == [f"{row}.{suffix}" for row in (1, 2, 3)]
    Answer("east", "text", index.search(np.eye(3)[1:2], "image", 2)[0], index).write_html(tmp_path / "answer.html")
    shown = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', (tmp_path / "answer.html").read_text())
    assert [name for name, _ in shown] == [kind, kind]
    with Image.open(io.BytesIO(base64.b64decode(shown[0][1]))) as picture:
        assert (picture.format, picture.size, picture.getpixel((1, 1))) == (kind.upper(), (size, size), (1, 1, 1))


def test_features_of_texts_are_found_by_their_names(tmp_path):
    """One by one in reverse, so that the embedding beside a picture must be that of its own text."""

    class AxesOfFeatures(Axes):
        def encode_text(self, texts):
            assert texts.dtype == np.float32
            return np.eye(3, dtype=np.float32)[texts[:, 0].astype(int)]

    images = np.arange(3, dtype=np.float32)[:, None] * np.ones((1, 2), np.float32)
    model = AxesOfFeatures()
    model.encode_image = lambda images: np.eye(3, dtype=np.float32)[images[:, 0].astype(int)]
    texts, names = np.arange(3, dtype=np.float32)[::-1, None], ["up", "east", "north"]
    for folder, pairs in (("paired", [[0, 2], [1, 1], [2, 0]]), ("apart", [])):
        pairs = np.array(pairs, np.int32).reshape(-1, 2)
        ids = np.array([1, 2, 3])
        data = PairedData("three/all", images, texts, ids, ids[::-1], pairs, text_names=names)
        write_item_index(tmp_path / folder, model, "space", data, data)
    index = EmbeddingIndex(tmp_path / "paired")
    assert [item["text"] for item in index.items] == ["north", "east", "up"]
    assert "picture" not in index.items[0]
    for modality in ("image", "text"):
        assert index.search(np.eye(3)[2:], modality, 1)[0][0].item["text"] == "up"
    apart = EmbeddingIndex(tmp_path / "apart_of_texts")
    assert apart.search(np.eye(3)[2:], "text", 1)[0][0].item == {"id": "text-0", "text": "up", "seen": True}


def test_every_caption_is_found_and_equal_ones_once(tmp_path):
    """The first picture has two captions, the second has one of them too, the third its own."""
    images = np.zeros((3, 2, 2, 3), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    texts = ["north", "east", "north", "up"]
    pairs = np.array([[0, 0], [0, 1], [1, 2], [2, 3]], np.int32)
    data = PairedData(
        "three/all", images, texts, np.array([1, 2, 3]), np.array([1, 1, 2, 3]), pairs, image_names=["a", "b", "c"]
    )
    write_item_index(tmp_path / "index", Axes(), "space", data, data)
    pictures, found = EmbeddingIndex(tmp_path / "index"), EmbeddingIndex(tmp_path / "index_of_texts")
    assert (pictures.modalities, found.modalities) == (("image",), ("text",))
    assert [(item["text"], item["images"]) for item in found.items] == [
        ("north", ["a", "b"]),
        ("east", ["a"]),
        ("up", ["c"]),
    ]
    assert [result.item["text"] for result in found.search(np.eye(3)[1:2], "text", 1)[0]] == ["east"]
