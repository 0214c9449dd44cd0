"""What scores say is measured on held-out pairs whose pictures the index has embedded."""

import numpy as np
import pytest

from mmkeras.data.paired import PairedData
from mmkeras.export.dev_scores import dev_scores

IMAGES = np.zeros([4, 2, 2, 3], np.uint8)


class Plane:
    """Embeds a text that ends in a number as the direction of so many degrees."""

    def __init__(self):
        self.asked = []

    def encode_text(self, texts):
        self.asked += list(texts)
        angles = np.radians([float(str(text).split()[-1]) for text in texts])
        return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def data(items, texts, pairs):
    """Pictures of these strict items, and texts, in pairs (picture, text)."""
    items = np.array(items, np.int64)
    owners = {text: items[picture] for picture, text in pairs}
    ids = np.array([owners.get(text, 99) for text in range(len(texts))], np.int64)
    return PairedData("made/dev", IMAGES[: len(items)], texts, items, ids, np.array(pairs, np.int32).reshape(-1, 2))


def test_held_out_texts_search_all_that_is_indexed():
    indexed = data([10, 11, 12, 12], ["a 1", "b 2", "c 3", "d 4"], [[0, 0], [1, 1], [2, 2], [3, 3]])
    embeddings = Plane().encode_text(["0", "60", "90"])  # of the items 10, 11 and 12
    dev = data([12, 11], ["at 90", "at 20"], [[0, 0], [1, 1]])
    scores = dev_scores(Plane(), dev, indexed, embeddings)
    six = np.cos(np.radians([90, 30, 0, 20, 40, 70]))
    assert scores["random_mean"] == pytest.approx(np.mean(six), abs=1e-6)
    assert scores["random_deviation"] == pytest.approx(np.std(six), abs=1e-6)
    # The text at 20 finds item 10 at 0 degrees best, which is not its own: a search does so too.
    assert scores["threshold"] == pytest.approx(np.cos(np.radians(20)), abs=1e-6)


def test_a_text_without_a_picture_in_the_index_is_not_asked():
    indexed = data([10], ["a 1"], [[0, 0]])
    embeddings = Plane().encode_text(["0"])
    model = Plane()
    scores = dev_scores(model, data([10, 77], ["at 60", "at 1"], [[0, 0], [1, 1]]), indexed, embeddings)
    assert model.asked == ["at 60"]
    assert scores["threshold"] == pytest.approx(0.5, abs=1e-6)
    assert dev_scores(Plane(), data([77], ["at 1"], [[0, 0]]), indexed, embeddings) == {}


def test_data_without_pairs_have_no_scores():
    indexed = data([10], ["a 1"], [[0, 0]])
    assert dev_scores(Plane(), data([10], ["at 60"], []), indexed, Plane().encode_text(["0"])) == {}
