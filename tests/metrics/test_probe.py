import warnings

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import modality_probe, proxy_a_distance
from mmkeras.metrics.probe import _folds


def gaussians(rows, dimensions, shift=0.0, seed=0):
    random = np.random.default_rng(seed)
    x, y = random.standard_normal((2, rows, dimensions))
    y[:, 0] += shift
    return x, y


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_one_distribution_is_chance_and_two_are_told_apart(kind):
    accuracy, deviation = modality_probe(*gaussians(400, 4), kind=kind)
    assert accuracy == pytest.approx(0.5, abs=0.06)
    assert 0 < deviation < 0.05
    assert modality_probe(*gaussians(100, 4, shift=20.0), kind=kind) == (1.0, 0.0)


def test_a_known_overlap():
    """Normals at a distance of 2: the best classifier cuts in the middle and is right with probability Phi(1)."""
    accuracy, _ = modality_probe(*gaussians(1000, 2, shift=2.0), kind="linear")
    assert accuracy == pytest.approx(0.8413, abs=0.02)


def test_shells_are_apart_for_the_mlp_alone():
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 300, 3))
    x, y = (radius * c / np.linalg.norm(c, axis=1, keepdims=True) for radius, c in ((1.0, x), (3.0, y)))
    assert modality_probe(x, y, kind="mlp")[0] > 0.95
    assert modality_probe(x, y, kind="linear")[0] == pytest.approx(0.5, abs=0.08)


def test_groups_keep_near_copies_out_of_the_training_folds():
    """Each group has its pictures in one random place and its texts in another: nothing holds for the next group."""
    random = np.random.default_rng(0)
    images, texts = random.standard_normal((2, 60, 8))
    images, texts = (np.repeat(c, 4, axis=0) + 0.01 * random.standard_normal((240, 8)) for c in (images, texts))
    group = np.repeat(np.arange(60), 4)
    assert modality_probe(images, texts)[0] > 0.8  # remembered
    assert modality_probe(images, texts, group, group)[0] == pytest.approx(0.5, abs=0.12)
    names = np.array([f"U+{each:04d}" for each in group])  # in the order of the integers
    assert modality_probe(images, texts, names, names, seeds=1) == modality_probe(images, texts, group, group, seeds=1)


def test_a_picture_beside_its_own_text_does_not_push_below_chance():
    """Were they in two folds, the place of the picture would be remembered as the picture's, and the text be missed."""
    images = np.random.default_rng(0).standard_normal((300, 3))
    group = np.arange(300)
    assert modality_probe(images, images)[0] < 0.45
    assert modality_probe(images, images, group, group)[0] == 0.5


def test_folds_hold_groups_whole_and_modalities_in_equal_shares():
    random = np.random.default_rng(0)
    modality = np.repeat([0, 1], 500)
    for group in (
        np.arange(1000),  # no two rows belong together
        np.tile(np.arange(500), 2),  # pairs
        np.concatenate([np.arange(500), np.repeat(np.arange(100), 5)]),  # five texts to some pictures
        random.integers(0, 150, 1000),
    ):
        fold = _folds(modality, group, 5, random)
        assert set(fold) == set(range(5))
        assert all(len(set(fold[group == each])) == 1 for each in np.unique(group))
        texts = np.bincount(fold, weights=modality) / np.bincount(fold)
        assert np.abs(texts - 0.5).max() < 0.05


def test_the_larger_modality_is_drawn_down_and_rows_are_capped():
    """A classifier of 900 pictures and 100 texts would be right nine times in ten without looking."""
    x, _ = gaussians(900, 2)
    _, y = gaussians(100, 2, seed=1)
    assert modality_probe(x, y, kind="linear")[0] < 0.65
    few, many = (modality_probe(*gaussians(300, 2), kind="linear", rows=rows, seeds=4)[1] for rows in (20, 300))
    assert few > many


def test_seeds_repeat_and_differ():
    x, y = gaussians(60, 3, shift=1.0)
    assert modality_probe(x, y, seeds=2) == modality_probe(x, y, seeds=2)
    single = [modality_probe(x, y, seeds=1, seed=seed)[0] for seed in (0, 1)]
    mean, deviation = modality_probe(x, y, seeds=2)
    assert mean == pytest.approx(np.mean(single))
    assert deviation == pytest.approx(abs(single[0] - single[1]) / np.sqrt(2))
    assert modality_probe(x, y, seeds=1)[1] == 0.0


def test_scale_and_offset_of_the_embeddings_do_not_matter():
    x, y = gaussians(100, 3, shift=1.0)
    assert modality_probe(1e-4 * x + 5, 1e-4 * y + 5, kind="linear") == pytest.approx(
        modality_probe(x, y, kind="linear"), abs=1e-3
    )


def test_no_warning_leaks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        modality_probe(*gaussians(50, 3), seeds=1)
        modality_probe(np.ones((20, 3)), np.ones((20, 3)), seeds=1)


def test_a_collapsed_encoder_is_at_chance():
    group = np.arange(40)
    for kind in ("mlp", "linear"):
        assert modality_probe(np.ones((40, 3)), np.ones((40, 3)), group, group, kind=kind)[0] == 0.5


def test_few_groups_are_a_fold_each():
    x, y = gaussians(6, 2, shift=50.0)
    group = [0, 0, 1, 1, 2, 2]
    assert modality_probe(x, y, group, group, kind="linear") == (1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "tree"}, "kind to be one of mlp, linear"),
        ({"folds": 1}, "folds to be at least 2. Received: folds=1"),
        ({"seeds": 0}, "seeds to be at least 1"),
        ({"image_group": [1, 2, 3, 4]}, "text_group as integers or strings of shape"),
        ({"image_group": [1, 2], "text_group": [1, 2, 3, 4]}, r"image_group .* shape \(4,\)"),
        ({"image_group": [1, 2, 3, 4], "text_group": list("abcd")}, "of one type"),
        ({"image_group": [7] * 4, "text_group": [7] * 4}, "at least 2 groups. Received: 7 only"),
        ({"image_group": [1] * 4, "text_group": [2] * 4}, "one fold holds a modality as a whole"),
        ({"text_embeddings": np.zeros((4, 3))}, "same dimension. Received: 2 and 3"),
        ({"text_embeddings": np.zeros((1, 2))}, "at least 2 rows of text_embeddings. Received: 1"),
        ({"image_embeddings": [[0, 0], [0, np.nan], [0, 0], [0, 0]]}, "1 of 4 rows, first in row 1"),
        ({"image_embeddings": np.zeros(4)}, r"image_embeddings .* shape \(4,\)"),
    ],
)
def test_mistakes_are_named(changes, message):
    arguments = {"image_embeddings": np.zeros((4, 2)), "text_embeddings": np.ones((4, 2))}
    with pytest.raises(MmkerasError, match=message):
        modality_probe(**arguments | changes)


def test_proxy_a_distance():
    assert [proxy_a_distance(accuracy) for accuracy in (0.5, 0.75, 1.0)] == [0.0, 1.0, 2.0]
    assert proxy_a_distance(0.45) == pytest.approx(-0.2)
    with pytest.raises(MmkerasError, match="accuracy=75"):
        proxy_a_distance(75)
