"""Four pictures, four texts and a model whose embeddings are written down; and twelve, enough for the modality gap."""

import numpy as np
import pytest

from mmkeras.data.paired import PairedData
from mmkeras.evaluation.measuring.evaluate import evaluate

from ..run_folders import write_run


class WrittenDown:
    """A model that knows its embeddings by the first value of a picture and by the text."""

    supervision = "pairs"
    text_preprocessor = matcher = word_masks = represent_image = represent_text = None
    images = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
    texts = {
        "one": [1, 0],
        "two": [0.6, 0.8],
        "<script>alert('three')</script>": [0, 1],
        "four": [0, -1],
    }

    def encode_image(self, images):
        return self.images[np.asarray(images).reshape(len(images), -1)[:, 0].astype(int)]

    def encode_text(self, texts):
        return np.array([self.texts[text] for text in texts], np.float32)


@pytest.fixture
def make_data():
    def make(**changes):
        """Pictures 0 and 1 look alike; every item has one picture and one text."""
        images = np.zeros((4, 8, 8, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
        arguments = {
            "name": "four/dev",
            "images": images,
            "texts": list(WrittenDown.texts),
            "image_id": np.array([10, 10, 30, 40]),
            "text_image_id": np.array([10, 10, 30, 40]),
            "pairs": np.column_stack([np.arange(4), np.arange(4)]).astype(np.int32),
            "image_item": np.array([10, 20, 30, 40]),
            "text_item": np.array([10, 20, 30, 40]),
        }
        return PairedData(**arguments | changes)

    return make


@pytest.fixture
def dozen(make_data):
    """A model and its data: twelve pictures and texts in one half-plane each; pictures 0 and 1 look alike."""
    angle = np.linspace(-1, 1, 12)
    model = WrittenDown()
    model.images = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    model.texts = {f"text {row}": [-np.cos(each), np.sin(each)] for row, each in enumerate(angle)}
    ids = np.array([0, 0, *range(2, 12)])
    data = make_data(
        images=np.zeros((12, 8, 8, 3), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None, None],
        texts=list(model.texts),
        image_id=ids,
        text_image_id=ids,
        pairs=np.column_stack([np.arange(12), np.arange(12)]).astype(np.int32),
        image_item=np.arange(12),
        text_item=np.arange(12),
    )
    return model, data


@pytest.fixture
def model():
    return WrittenDown()


class Represented(WrittenDown):
    """A model over features of texts too, with a representation before its embedding: twice or thrice as long."""

    supervision = "pairs_and_categories"

    def encode_text(self, texts):
        return np.asarray(texts)

    def represent_image(self, images):
        return 2 * self.encode_image(images) + [0, 5]

    def represent_text(self, texts):
        return 3 * self.encode_text(texts) + [1, 0]


@pytest.fixture
def represented(make_data):
    """A model with representations and its data: features of texts with names, and categories."""
    label = np.array([0, 0, 1, 1], np.int32)
    texts = np.array(list(WrittenDown.texts.values()), np.float32)
    names = ["name of one", "<b>two</b>", "three " * 100, "four"]
    return Represented(), make_data(
        texts=texts, text_names=names, label=label, text_label=label, label_names=("greek", "latin")
    )


class Matching(WrittenDown):
    """A model that can match: it takes each picture for that of the next text, and of the last for the first."""

    def matcher(self, images, texts):
        return Matcher(self.encode_image(images), self.encode_text(texts))


class Matcher:
    def __init__(self, image_embedding, text_embedding):
        self.image_embedding, self.text_embedding = image_embedding, text_embedding

    def __call__(self, image_rows, text_rows):
        return (text_rows == (image_rows + 1) % len(self.text_embedding)).astype(np.float32)


@pytest.fixture
def matching():
    return Matching()


@pytest.fixture
def reranked(matching, make_data):
    """An `Evaluation` with two candidates a query."""
    return evaluate(matching, make_data(), k_test=2)


@pytest.fixture
def evaluation(model, make_data):
    return evaluate(model, make_data())


@pytest.fixture
def make_run(tmp_path):
    """A function of (name, ...) that writes a run folder as `write_run` does."""

    def make_run(name, *settings, **arguments):
        return write_run(tmp_path / name, *settings, **arguments)

    return make_run
