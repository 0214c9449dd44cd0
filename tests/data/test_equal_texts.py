"""Equal texts of different pictures: the loss can reach 0, and a perfect model is perfect."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import PairedData, load_source, relate_equal_texts, training_batches
from mmkeras.data.equal_texts import shared_texts
from mmkeras.errors import MmkerasError
from mmkeras.losses import info_nce, share_id
from mmkeras.metrics.retrieval import retrieval_metrics
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, TextPreprocessor


def data_of(captions, **fields):
    """A picture for each list of captions."""
    owner = np.repeat(np.arange(len(captions)), [len(of_one) for of_one in captions])
    return PairedData(
        name="toy/train",
        images=np.zeros((len(captions), 2, 2, 3), np.uint8),
        texts=[text for of_one in captions for text in of_one],
        image_id=np.arange(10, 10 + len(captions)),
        text_image_id=10 + owner,
        pairs=np.column_stack([owner, np.arange(len(owner))]).astype(np.int32),
        **fields,
    )


def answers(data):
    """Of each picture, the texts that are right."""
    right = share_id(data.image_id, data.text_image_id).numpy()
    return [[data.texts[text] for text in np.flatnonzero(row)] for row in right]


def test_one_caption_at_several_pictures():
    data = relate_equal_texts(data_of([["a red shape"], ["A  red shape "], ["blue"]]), StringPreprocessor())
    assert answers(data) == [["a red shape"], ["A  red shape "], ["blue"]]
    pieces = TextPreprocessor.train(["a red shape", "blue"], 30, 8)
    data = relate_equal_texts(data_of([["a red shape"], ["A  red shape "], ["blue"]]), pieces)
    assert answers(data) == [["a red shape", "A  red shape "]] * 2 + [["blue"]]
    assert data.image_id.ndim == 1
    assert data.image_item.tolist() == [10, 11, 12]
    assert shared_texts(data, pieces).tolist() == [0, 1]


def test_pictures_of_a_shared_and_of_own_captions():
    """Picture 1's own caption is right for picture 1 only, although both pictures have the other one."""
    data = relate_equal_texts(data_of([["a dog"], ["a dog", "two dogs"], ["a cat", "a dog"], ["tree"]]))
    right = [sorted(row) for row in answers(data)]
    assert right == [["a dog"] * 3, ["a dog"] * 3 + ["two dogs"], ["a cat"] + ["a dog"] * 3, ["tree"]]
    assert relate_equal_texts(data) is data


def test_look_alikes_stay_related():
    data = data_of([["alpha"], ["a"], ["a"]])
    data = dataclasses.replace(data, image_id=np.array([10, 10, 12]), text_image_id=np.array([10, 10, 12]))
    assert shared_texts(dataclasses.replace(data, texts=["alpha", "a", "b"])).tolist() == []
    assert shared_texts(data).tolist() == [1, 2]  # look-alikes alone share no text
    assert [sorted(row) for row in answers(relate_equal_texts(data))] == [["a", "a", "alpha"]] * 2 + [["a", "a"]]


def test_nothing_changes_without_equal_texts_or_with_ids_of_the_users_own():
    data = data_of([["a", "b", "a"], ["c"]])
    assert relate_equal_texts(data) is data  # one picture may say a thing twice
    data = data_of([["a"], ["a"]], ids_given=True)
    assert not len(shared_texts(data))
    assert relate_equal_texts(data) is data


def test_batches_hold_the_ids():
    data = relate_equal_texts(data_of([["a dog"], ["a dog", "two dogs"], ["tree"], ["sea"]]))
    batch = next(training_batches(data, 5, seed=0).as_numpy_iterator())
    text = batch["text"].tolist()
    right = share_id(batch["image_id"], batch["text_id"]).numpy()
    shared, other = [row for row, one in enumerate(text) if one == b"a dog"], text.index(b"two dogs")
    assert batch["image_id"].shape == (5, 2)
    assert right[np.ix_(shared, shared)].all()
    assert right[other, shared].all()  # the picture of "two dogs" is one of a dog too
    assert right[shared, other].sum() == 1  # and the other picture of a dog is none of two


@pytest.fixture
def write(tmp_path):
    def write(*records):
        for number, _ in enumerate(records):
            Image.new("RGB", (4, 4), (40 * number,) * 3).save(tmp_path / f"{number}.png")
        file = tmp_path / "captions.jsonl"
        lines = [json.dumps({"image": f"{number}.png", **record}) for number, record in enumerate(records)]
        file.write_text("\n".join(lines))
        return file

    return write


def test_an_id_says_what_belongs_together(write):
    records = [{"captions": ["a"], "id": "x"}, {"captions": ["b"], "id": "x"}, {"captions": ["a"], "id": 3}]
    data = load_source(write(*records), "all", ImagePreprocessor(4, 4))
    assert answers(relate_equal_texts(data)) == [["a", "b"], ["a", "b"], ["a"]]
    assert data.image_item.tolist() == [1, 2, 3]


def test_ids_stand_in_all_records_or_in_none(write):
    file = write({"captions": ["a"], "id": "x"}, {"captions": ["b"]})
    with pytest.raises(MmkerasError, match="line 2: expected an id in every record or in none.*1 of 2 without one"):
        load_source(file, "train", ImagePreprocessor(4, 4))
    file = write({"captions": ["a"], "id": 1.5})
    with pytest.raises(MmkerasError, match="line 1: expected id to be a string or a whole number. Received: id=1.5"):
        load_source(file, "train", ImagePreprocessor(4, 4))


def test_the_shared_captions_of_hard_inputs(real_data):
    """Six captions at three pictures each: a perfect model has R@1 1 and the loss reaches 0."""
    folder = real_data / "hard_inputs"
    data = load_source(folder / "captions" / "dup_caption.jsonl", "train", ImagePreprocessor(8, 8), folder / "pics")
    related = relate_equal_texts(data, TextPreprocessor.train(data.texts, 60, 8))
    code = np.unique(data.texts, return_inverse=True)[1]
    texts = np.eye(code.max() + 1, dtype="float32")[code]
    images = texts[[int(np.flatnonzero(data.pairs[:, 0] == row)[0]) for row in range(len(data.images))]]
    metrics = retrieval_metrics(images, texts, related.image_id, related.text_image_id)
    assert (metrics["image_to_text_recall@1"], metrics["text_to_image_recall@1"]) == (1, 1)
    strict = retrieval_metrics(images, texts, related.image_item, related.text_item)
    assert (strict["image_to_text_recall@1"], strict["text_to_image_recall@1"]) == (0, 0)
    assert float(np.max(info_nce(images, texts, 0.01, related.image_id, related.text_image_id))) < 1e-6
    assert float(np.min(info_nce(images, texts, 0.01, related.image_item, related.text_item))) == pytest.approx(
        np.log(3), rel=1e-4
    )
