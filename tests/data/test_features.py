"""Feature sets in their published layouts: pairs with a category, and what is wrong with a file, by its row."""

import os

import numpy as np
import pytest
from scipy.io import savemat

from mmkeras.data import load_features, load_source
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

IMAGES = np.arange(18, dtype=np.float32).reshape(6, 3)
TEXTS = -np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = np.array([2, 1, 2, 2, 1, 2])


def arrays(split, rows, **changes):
    found = {f"image_{split}": IMAGES[rows], f"text_{split}": TEXTS[rows], f"label_{split}": LABELS[rows]}
    return found | changes


@pytest.fixture
def npz(tmp_path):
    """A function that writes an archive: four rows of training, two of validation; `None` leaves an array out."""

    def write(**changes):
        content = arrays("train", slice(4)) | arrays("val", slice(4, 6)) | {"categories": np.array(["art", "war"])}
        content = {name: value for name, value in (content | changes).items() if value is not None}
        np.savez(tmp_path / "set.npz", **content)
        return tmp_path / "set.npz"

    return write


@pytest.fixture
def mat(tmp_path):
    def write(**changes):
        for name, value in (
            {"train_img": IMAGES[:2], "train_txt": TEXTS[:2], "train_img_lab": LABELS[:2, None]}
            | {"test_img": IMAGES[2:], "test_txt": TEXTS[2:], "test_img_lab": LABELS[2:, None]}
            | changes
        ).items():
            savemat(tmp_path / f"{name}.mat", value if isinstance(value, dict) else {name: value})
        return tmp_path

    return write


@pytest.fixture
def txt(tmp_path):
    def write(**changes):
        lines = {}
        for split, rows in (("train", range(2)), ("test", range(2, 6))):
            for kind, values in (("img", IMAGES), ("txt", TEXTS)):
                lines[f"{kind}_{split}_fea"] = [" ".join(map(str, values[row])) for row in rows]
                lines[f"{kind}_{split}_list"] = [f"a class/{kind} {row}.jpg {LABELS[row]}" for row in rows]
        for name, content in (lines | changes).items():
            (tmp_path / f"{name}.txt").write_text("\n".join(content) + "\n")
        return tmp_path

    return write


def test_an_archive_holds_pairs_with_a_category(npz):
    data = load_features(
        npz(id_train=np.array(["a", "b", "c", "d"]), words_train=np.array(["w", "x", "y", "z"])), "train"
    )
    assert data.name == "set.npz/train"
    assert data.images.dtype == data.texts.dtype == np.float32
    np.testing.assert_array_equal(data.images, IMAGES[:4])
    np.testing.assert_array_equal(data.texts, TEXTS[:4])
    assert data.pairs.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]] and data.paired
    assert data.label.tolist() == data.text_label.tolist() == [1, 0, 1, 1]
    assert data.label_names == ("art", "war")
    assert (data.image_names, data.shown_texts) == (["a", "b", "c", "d"], ["w", "x", "y", "z"])


def test_ids_agree_over_the_splits(npz):
    file = npz()
    ids = {split: load_features(file, split).image_id.tolist() for split in ("train", "dev", "val", "all", "val+train")}
    assert ids == {
        "train": [0, 1, 2, 3],
        "dev": [4, 5],
        "val": [4, 5],
        "all": [0, 1, 2, 3, 4, 5],
        "val+train": [4, 5, 0, 1, 2, 3],
    }
    both = load_features(file, "val+train", limit=1)
    assert both.image_id.tolist() == [4, 0] and both.image_names == ["val-0", "train-0"] == both.shown_texts
    assert both.texts.tolist() == [TEXTS[4].tolist(), TEXTS[0].tolist()]


def test_without_names_the_labels_are_the_categories_of_all_splits(npz):
    data = load_features(npz(categories=None, label_val=np.array([7, 1])), "dev")
    assert data.label_names == ("1", "2", "7") and data.label.tolist() == [2, 0]


def test_labels_can_be_left_away(npz):
    data = load_features(npz(), "train", targets="")
    assert data.label is None and data.label_names == () and len(data.pairs) == 4
    with pytest.raises(MmkerasError, match="targets to be category or empty for .*Received: targets='tags'"):
        load_features(npz(), "train", targets="tags")


@pytest.mark.parametrize("layout", ["mat", "txt"])
def test_folders_without_a_dev_split_share_their_test_rows(layout, request):
    """Of category 2 (rows 2, 3 and 5) the first and third go to dev, of category 1 (row 4) the first."""
    folder = request.getfixturevalue(layout)()
    found = {split: load_features(folder, split) for split in ("train", "dev", "test", "all")}
    assert {split: data.image_id.tolist() for split, data in found.items()} == {
        "train": [0, 1],
        "dev": [2, 4, 5],
        "test": [3],
        "all": [0, 1, 2, 3, 4, 5],
    }
    for data in found.values():
        np.testing.assert_array_equal(data.images, IMAGES[data.image_id])
        np.testing.assert_array_equal(data.texts, TEXTS[data.image_id])
        assert [data.label_names[label] for label in data.label] == [str(LABELS[row]) for row in data.image_id]
    assert found["test"].image_names == [{"mat": "test-1", "txt": "a class/img 3.jpg"}[layout]]


def test_a_dev_split_of_its_own_leaves_the_test_rows_alone(mat):
    folder = mat(valid_img=IMAGES[:1], valid_txt=TEXTS[:1], valid_img_lab=LABELS[:1])
    assert load_features(folder, "dev").images.tolist() == IMAGES[:1].tolist()
    assert len(load_features(folder, "test").texts) == 4


def test_a_source_is_found_by_its_path(npz, tmp_path):
    file = npz()
    assert load_source(str(file), "dev", limit=1, targets="category").label.tolist() == [0]
    assert load_source(file, "dev").label is None
    with pytest.raises(MmkerasError, match="set.npz holds 3 features a picture.* a model that takes 8 x 8 x 3"):
        load_source(file, "dev", ImagePreprocessor(8, 8))


@pytest.mark.parametrize("layout", ["mat", "txt"])
def test_a_source_may_be_a_folder(layout, request):
    folder = request.getfixturevalue(layout)()
    assert load_source(str(folder), "train", targets="category").texts.shape == (2, 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"text_train": None}, "split 'train' lacks its text part. Expected an .npz file of image_SPLIT"),
        ({"label_val": None}, "split 'val' lacks its label part"),
        (
            {"image_train": IMAGES},
            r"image_train: expected features, .* shape \(4, F\).*float32 of shape \(6, 3\)",
        ),
        ({"text_train": TEXTS[:4, 0]}, r"text_train: .* Received: float32 of shape \(4,\)"),
        ({"text_train": TEXTS[:4].astype(str)}, "text_train: expected features, numbers"),
        ({"image_train": np.where(IMAGES[:4] == 7, np.nan, IMAGES[:4])}, "image_train, row 2: expected finite.* nan"),
        ({"text_train": TEXTS[:4].astype(np.float64) * 1e300}, "text_train, row 0: expected finite numbers. Rec.*-inf"),
        (
            {"label_train": np.array([1, 2, 3, 1])},
            "label_train, row 2: expected 1 to 2, a place in .*Received: 3",
        ),
        ({"label_train": np.array([1, 0, 1, 1])}, "label_train, row 1: expected 1 to 2.*Received: 0"),
        ({"label_train": np.array([1, 1.5, 2, 1])}, "label_train, row 1: expected a whole number, .*Received: 1.5"),
        ({"label_train": np.eye(4)}, r"label_train: expected a whole number a row.*shape \(4, 4\)"),
        ({"label_train": np.array([{}] * 4)}, "label_train: expected an array of numbers or strings"),
        ({"id_train": np.array(["a"])}, r"id_train: expected 4 rows, one for each label. Received: shape \(1,\)"),
    ],
)
def test_what_does_not_fit_is_named(npz, changes, told):
    with pytest.raises(MmkerasError, match=told):
        load_features(npz(**changes), "train")


def test_splits_of_other_features_are_not_joined(npz):
    file = npz(image_val=IMAGES[4:, :2])
    assert load_features(file, "dev").images.shape == (2, 2)
    with pytest.raises(MmkerasError, match="image features of one length in all splits. .* 'val': 2}"):
        load_features(file, "all")


def test_what_is_no_feature_set_is_told(npz, tmp_path):
    with pytest.raises(MmkerasError, match="There is no feature file .*none.npz"):
        load_features(tmp_path / "none.npz", "train")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(MmkerasError, match="text.npz is no feature set: "):
        load_features(tmp_path / "text.npz", "train")
    np.savez(tmp_path / "other.npz", names=["a"], features=IMAGES[:1])
    with pytest.raises(MmkerasError, match="other.npz is no feature set. Expected an .npz file of image_SPLIT"):
        load_features(tmp_path / "other.npz", "train")
    with pytest.raises(MmkerasError, match="set.npz has no split 'test'; it has dev, train, val"):
        load_features(npz(), "test")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train_txt_lab": [2, 2]}, "train_txt_lab.mat, row 1: expected the category of its picture, 1.* Received: 2"),
        ({"train_txt_lab": [2, 1, 1]}, "train_txt_lab.mat: expected 2 rows, as in .*train_img_lab.mat. Received: 3"),
        ({"train_img": {"a": IMAGES, "b": IMAGES}}, "train_img.mat: expected one variable. Received: a, b"),
        ({"train_img": {"train_img": {"x": 1}}}, "train_img.mat: expected features, numbers"),
    ],
)
def test_matlab_files_that_do_not_fit_are_named(mat, changes, told):
    with pytest.raises(MmkerasError, match=told):
        load_features(mat(**changes), "train")


def test_a_file_that_is_no_matlab_file_is_named(mat):
    folder = mat()
    (folder / "train_txt.mat").write_text("text")
    with pytest.raises(MmkerasError, match="train_txt.mat: expected a MATLAB file, up to version 7.2"):
        load_features(folder, "train")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"img_train_fea": ["1 2 3", "1 two 3"]}, "img_train_fea.txt, line 2: expected numbers. Received: 'two'"),
        ({"img_train_fea": ["1 2 3", "1 2"]}, "img_train_fea.txt, line 2: expected 3 numbers, .* Received: 2"),
        ({"txt_train_fea": ["1 2"]}, r"txt_train_fea.txt: expected features, numbers of shape \(2, F\).*\(1, 2\)"),
        ({"img_train_list": ["a 1", "b.jpg"]}, "img_train_list.txt, line 2: expected PATH LABEL.* Received: 'b.jpg'"),
        ({"img_train_list": ["a 1", "b one"]}, "img_train_list.txt, line 2: expected PATH LABEL"),
        ({"txt_train_list": ["a 2", "b 2"]}, "txt_train_list.txt, row 1: expected the category of its picture, 1"),
    ],
)
def test_text_files_that_do_not_fit_are_named(txt, changes, told):
    with pytest.raises(MmkerasError, match=told):
        load_features(txt(**changes), "train")


def test_the_wikipedia_features(real_data):
    file = real_data / "wikipedia" / "features.npz"
    if not os.path.isfile(file):
        pytest.skip(f"{file} is not there")
    train, dev = (load_features(file, split) for split in ("train", "dev"))
    assert (train.images.shape, train.texts.shape) == ((2173, 128), (2173, 10))
    assert (dev.images.shape, dev.texts.shape) == ((231, 128), (231, 10))
    assert train.label_names == dev.label_names
    assert train.label_names[:2] == ("art", "biology") and len(train.label_names) == 10
    assert np.bincount(dev.label).tolist() == [11, 33, 34, 27, 16, 18, 16, 15, 21, 40]
    np.testing.assert_allclose(dev.texts.sum(axis=1), 1, atol=1e-4)  # topics of LDA
    assert not set(train.image_id) & set(dev.image_id)
    assert dev.image_names[0] == "6d6ead4cf7fd78eea820ac94d101f602-5"
