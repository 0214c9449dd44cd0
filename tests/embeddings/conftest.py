"""Pictures, a job over them, and an encoder that needs no model."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from mmkeras.embeddings.corpus_encoder import CorpusEncoder
from mmkeras.serving.errors import ServingError

COUNT = 12
BROKEN, MISSING = "03.png", "05.png"


def encoded(seed, side=24):
    """A PNG of noise."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A captions file with 12 pictures beside it, one of them no picture and one missing."""
    folder = tmp_path_factory.mktemp("photos")
    with open(folder / "captions.csv", "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "caption", "price", "shop", "split"])
        for number in range(COUNT):
            name = f"{number:02}.png"
            table.writerow([name, f"picture {number}", number / 4, f"shop {number % 2}", "train"])
            if name != MISSING:
                (folder / name).write_bytes(b"no picture" if name == BROKEN else encoded(number))
    return folder / "captions.csv"


class LookUp(CorpusEncoder):
    """Embeds by the first byte, refuses `bad...`, and remembers how many rows it was given."""

    def __init__(self, signature="encode_image", most=None, norm=1.0):
        both = ["embedding", "valid"]
        signatures = {
            "encode_image": (["image_bytes"], ["embedding"]),
            "encode_image_tolerant": (["image_bytes"], both),
            "encode_text": (["text"], ["embedding"]),
            "encode_pixels": (["image"], ["embedding"]),
            "describe": (["probe"], ["space_id"]),
        }
        super().__init__(signature, signatures, "a model")
        self.space_id, self.dim, self.model, self.version = "s" * 64, 4, "look-up", "3"
        self.most, self.norm, self.rows = most, norm, []

    def call(self, signature, name, values):
        self.rows.append(len(values))
        if self.most is not None and len(values) > self.most:
            told = f"Task size {len(values)} is larger than maximum input batch size {self.most}"
            raise ServingError("INVALID_ARGUMENT", told)
        good = np.array([not value.startswith(b"bad") for value in values])
        if "tolerant" not in signature and not good.all():
            raise ServingError("INVALID_ARGUMENT", f"row {int(good.argmin())}: expected a picture")
        embedding = np.zeros((len(values), 4), np.float32)
        embedding[np.arange(len(values)), [value[0] % 4 if value else 0 for value in values]] = self.norm
        embedding[[value == b"nan" for value in values]] = np.nan
        return {"embedding": embedding, "valid": good}

    def close(self):
        pass


@pytest.fixture
def look_up():
    return LookUp


@pytest.fixture(scope="session")
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'mmkeras[parquet]'")
