import json

import numpy as np
import pytest

from mmkeras.data import load_source
from mmkeras.data.feature_file import FeatureFile
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

FEATURES = np.array([[1, 2, 3], [4, 5, 6]], np.float16)


class FrozenFeatures:
    output_shape = (3,)


@pytest.fixture
def write(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "features.npz", **arrays)
        return tmp_path / "features.npz"

    return write


@pytest.fixture
def captions(tmp_path):
    records = [{"image": "b.jpg", "captions": ["two"]}, {"image": "a.jpg", "captions": ["one", "uno"]}]
    file = tmp_path / "captions.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    return file


@pytest.mark.parametrize("preprocessor", [FrozenFeatures(), None], ids=["frozen backbone", "features alone"])
def test_captions_with_features_in_place_of_pictures(write, captions, preprocessor):
    file = write(names=["a.jpg", "b.jpg"], features=FEATURES)
    data = load_source(captions, "train", preprocessor, file)
    assert data.images.dtype == np.float32 and data.images.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert data.pairs.tolist() == [[0, 0], [1, 1], [1, 2]] and data.pictures is None


def test_a_model_that_takes_something_else_is_told(write, captions):
    file = write(names=["a.jpg", "b.jpg"], features=FEATURES)
    with pytest.raises(MmkerasError, match="holds 3 features a picture.*Received: a model that takes 8 x 8 x 3"):
        load_source(captions, "train", ImagePreprocessor(8, 8), file)


def test_a_missing_picture_is_told_with_its_line(write, captions):
    file = write(names=["b.jpg", "c.jpg"], features=FEATURES)
    with pytest.raises(MmkerasError, match=r"captions\.jsonl, line 2: a\.jpg is missing in .*features\.npz"):
        load_source(captions, "train", None, file)


@pytest.mark.parametrize(
    "arrays, told",
    [
        ({"names": ["a"]}, "of names and features"),
        ({"names": ["a"], "features": FEATURES}, r"names \(1,\), features \(2, 3\)"),
        ({"names": ["a", "a"], "features": FEATURES}, "each name once. Received: 1 again"),
        ({"names": ["a", "b"], "features": np.array([["x"], ["y"]])}, "numbers"),
    ],
)
def test_another_file_is_refused(write, arrays, told):
    with pytest.raises(MmkerasError, match=told):
        FeatureFile(write(**arrays))


def test_what_is_no_file_or_not_finite_is_refused(write, tmp_path):
    with pytest.raises(MmkerasError, match="There is no feature file"):
        FeatureFile(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(MmkerasError, match="of names and features"):
        FeatureFile(tmp_path / "text.npz")
    file = write(names=["a"], features=np.array([[np.nan]]))
    with pytest.raises(MmkerasError, match="a has features in .* that are not finite"):
        FeatureFile(file).load(["a"])
