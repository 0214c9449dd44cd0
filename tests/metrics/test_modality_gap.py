import json
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import mmd2, modality_gap_metrics
from mmkeras.metrics.modality_gap import _independent_rows

KEYS = ["modality_probe", "modality_probe_std", "modality_probe_linear", "proxy_a_distance", "mmd2", "mmd2_p"]
KEYS += ["centroid_gap", "frechet_distance", "image_effective_rank", "text_effective_rank", "embedding_dim"]


def unit(rows, dimensions=6, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    cloud = random.standard_normal((rows, dimensions)) + shift
    return (cloud / np.linalg.norm(cloud, axis=1, keepdims=True)).astype(np.float32)


def test_one_distribution_has_no_gap():
    metrics = modality_gap_metrics(unit(200, seed=8), unit(200, seed=9), range(200), range(200))
    assert list(metrics) == KEYS
    assert metrics["modality_probe"] == pytest.approx(0.5, abs=0.1)
    assert metrics["modality_probe_linear"] == pytest.approx(0.5, abs=0.1)
    assert metrics["proxy_a_distance"] == pytest.approx(4 * metrics["modality_probe"] - 2)
    assert abs(metrics["mmd2"]) < 0.01
    assert metrics["mmd2_p"] > 0.05
    assert metrics["centroid_gap"] < 0.2
    assert metrics["image_effective_rank"] == pytest.approx(6, abs=0.3)
    assert metrics["embedding_dim"] == 6


def test_two_distributions():
    metrics = modality_gap_metrics(unit(100, shift=-9.0), unit(100, seed=1, shift=9.0))
    assert (metrics["modality_probe"], metrics["proxy_a_distance"]) == (1.0, 2.0)
    assert metrics["modality_probe_linear"] == 1.0
    assert metrics["mmd2_p"] == 1 / 501
    assert metrics["centroid_gap"] == pytest.approx(2, abs=0.05)
    assert json.loads(json.dumps(metrics)) == metrics


def test_a_collapsed_encoder_scores_perfectly_and_its_rank_tells():
    one = np.full((50, 4), 0.5, np.float32)
    metrics = modality_gap_metrics(one, one, range(50), range(50))
    assert [metrics[key] for key in KEYS] == [0.5, 0, 0.5, 0, 0, 1, 0, 0, 0, 0, 4]


def test_the_seed_decides():
    clouds = unit(20), unit(30, seed=1, shift=0.3)
    assert modality_gap_metrics(*clouds) == modality_gap_metrics(*clouds)
    assert modality_gap_metrics(*clouds) != modality_gap_metrics(*clouds, seed=1)


def test_pairs_that_lie_close_do_not_feign_a_finding_or_its_absence():
    """Of groups with a place each, the same for picture and text, MMD^2 takes every one once: its p is uniform."""
    values = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        images = random.standard_normal((60, 3))
        texts = images + 0.01 * random.standard_normal((60, 3))
        image_rows, text_rows = _independent_rows(np.arange(60), np.arange(60), random)
        values.append(mmd2(images[image_rows], texts[text_rows], permutations=99, seed=seed)[1])
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) < 0.2) < 0.4


def test_independent_rows_share_no_group():
    image_group = np.array([0, 0, 1, 2, 3, 4, 4])  # 0 twice, 4 twice and of pictures only
    text_group = np.array([3, 3, 2, 1, 0, 5])  # 5 of texts only
    images, texts = _independent_rows(image_group, text_group, np.random.default_rng(0))
    used = [*image_group[images], *text_group[texts]]
    assert sorted(used) == [0, 1, 2, 3, 4, 5]
    assert 4 in image_group[images] and 5 in text_group[texts]
    assert (len(images), len(texts)) == (3, 3)


def test_few_groups_are_refused():
    with pytest.raises(MmkerasError, match="at least 10 different groups .* Received: 9 in text_group"):
        modality_gap_metrics(unit(10), unit(10), range(10), [0, *range(9)])
    with pytest.raises(MmkerasError, match="Received: 4 in image_group"):
        modality_gap_metrics(unit(4), unit(10))
    assert modality_gap_metrics(unit(10), unit(10), range(10), range(10))["embedding_dim"] == 6
    with pytest.raises(MmkerasError, match="image_embeddings finite"):
        modality_gap_metrics(np.full((10, 6), np.nan), unit(10))


def test_no_tensorflow():
    code = "import sys, mmkeras.metrics.modality_gap; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
