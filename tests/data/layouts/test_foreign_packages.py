"""What `datasets` and TensorFlow Datasets write themselves, where they are installed."""

import importlib.util
import io
import json
import os

import numpy as np
import pytest

from mmkeras.data import read
from mmkeras.data.stores import OpenPlaces
from mmkeras.errors import MmkerasError
from tests.picture_files import png


def test_what_installs_tfds_is_told():
    if importlib.util.find_spec("tensorflow_datasets"):
        pytest.skip("tensorflow-datasets is installed")
    with pytest.raises(MmkerasError, match=r"tfds: needs tensorflow-datasets: pip install 'mmkeras\[tfds\]'"):
        read("tfds:coco_captions")


def test_datasets(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    features = datasets.Features(
        image=datasets.Image(), text=datasets.Value("string"), label=datasets.ClassLabel(names=["cat", "dog"])
    )

    def make(first, last):
        rows = range(first, last)
        columns = {
            "image": [{"bytes": png(10 * row), "path": None} for row in rows],
            "text": [f"one {row}" for row in rows],
            "label": [row % 2 for row in rows],
        }
        return datasets.Dataset.from_dict(columns, features=features)

    datasets.DatasetDict(train=make(0, 3), validation=make(3, 5)).save_to_disk(tmp_path / "both")
    data = read(tmp_path / "both", targets="category")
    assert data.counts == {"train": 3, "dev": 2} and data.train.label.tolist() == [0, 1, 0]
    assert data.dev.texts == ["one 3", "one 4"] and data.dev.images[:, 0, 0, 0].tolist() == [30, 40]
    chosen = make(0, 20).select([7, 2, 11, 5])
    chosen.save_to_disk(tmp_path / "chosen", num_shards=2)
    chosen.to_parquet(tmp_path / "x.parquet")
    for source in ("chosen", "x.parquet"):
        data = read(tmp_path / source, targets="category").split("all")
        assert data.images[:, 0, 0, 0].tolist() == [70, 20, 110, 50] and data.label.tolist() == [1, 0, 1, 1]


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A function that prepares a tiny data set of TensorFlow Datasets in some file format."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path))

    class TinyPictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
                "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager):
            return {"train": self._generate_examples(0, 3), "val": self._generate_examples(3, 5)}

        def _generate_examples(self, first, last):
            for row in range(first, last):
                captions = [{"id": row, "text": f"one {row}"}, {"id": row, "text": "two"}]
                yield row, {"image": io.BytesIO(png(10 * row)), "captions": captions, "label": row % 2}

    return lambda form: TinyPictures(data_dir=tmp_path, file_format=form).download_and_prepare()


def test_tfds_by_name(prepared):
    prepared("array_record")
    data = read("tfds:tiny_pictures", targets="category")
    assert data.counts == {"train": 3, "dev": 2}
    grey = data.train.images[:, 0, 0, 0].tolist()
    assert sorted(grey) == [0, 10, 20]
    assert data.train.texts == [text for shade in grey for text in (f"one {shade // 10}", "two")]
    assert data.train.label.tolist() == [shade // 10 % 2 for shade in grey]
    assert read("tfds:tiny_pictures:1.0.0:val").counts == {"dev": 2}
    picture = data.pictures["train/1"]
    assert OpenPlaces().read(json.loads(json.dumps(picture.place()))) == picture.read_bytes()
    with pytest.raises(MmkerasError, match="expected one of the splits train, val. Received: 'nothing'"):
        read("tfds:tiny_pictures:nothing")
    with pytest.raises(MmkerasError, match="`tfds build coco_captions --file_format=array_record` downloads"):
        read("tfds:coco_captions")


def test_tfds_that_is_not_read_by_row(prepared):
    prepared("tfrecord")
    with pytest.raises(MmkerasError, match="as TFRECORD, which cannot be read by row: remove it, and"):
        read("tfds:tiny_pictures")
