"""A tiny model over 8 x 8 pictures, and a batch of it."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from mmkeras.models import DualEncoder
from mmkeras.preprocessing.text import TextPreprocessor

TEXTS = ["latin small letter a", "greek capital omega", "cyrillic letter ze", "upwards arrow", "leftwards arrow", "box"]
PRESET = {
    "model": "DualEncoder",
    "image_preprocessor": {"height": 8, "width": 8},
    "image_encoder": {"kind": "conv", "widths": [4, 8], "embedding_dim": 8},
    "text_preprocessor": {"vocabulary_size": 60, "sequence_length": 6},
    "text_encoder": {"kind": "text_cnn", "width": 8, "kernel_sizes": [1, 2], "filters": 8, "dropout": 0.0},
}
PRESET["text_encoder"]["embedding_dim"] = 8


@pytest.fixture(scope="session")
def text_preprocessor():
    return TextPreprocessor.train(TEXTS, 60, 6)


@pytest.fixture
def model(text_preprocessor):
    """A fresh `DualEncoder`, not compiled."""
    keras.utils.set_random_seed(0)
    return DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor)


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), "uint8")


@pytest.fixture(scope="session")
def batch(images, text_preprocessor):
    return {
        "image": images,
        "token_ids": text_preprocessor(TEXTS).numpy(),
        "image_id": np.arange(6, dtype="int64"),
        "label": np.zeros(6, "int32"),
    }


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
