import dataclasses
import json

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import evaluate, save_metrics
from mmkeras.metrics import modality_gap_metrics, representation_maps

# Scores (picture x text) of the embeddings in conftest.py:
#            one   two   three  four
#   0        1.0   0.6   0.0    0.0
#   1        0.8   0.96  0.6   -0.6
#   2        0.0   0.8   1.0   -1.0
#   3       -1.0  -0.6   0.0    0.0


def test_metrics_by_look_alikes_and_strict(evaluation):
    metrics = evaluation.metrics
    assert (metrics["pictures"], metrics["texts"]) == (4, 4)
    # Picture 3 finds "four" at 0.0, tied with "three", which counts before it: rank 2.
    assert metrics["image_to_text_recall@1"] == 0.75
    assert metrics["image_to_text_mean_rank"] == pytest.approx((1 + 1 + 1 + 2) / 4)
    # "four" scores 0.0 with pictures 0 and 3, -0.6 and -1 with the others: rank 2.
    assert metrics["text_to_image_recall@1"] == 0.75
    assert metrics["rsum"] == pytest.approx(75 + 100 + 100 + 75 + 100 + 100)
    # Strictly, too, each finds its own: "two" prefers picture 1, picture 1 prefers "two".
    assert metrics["strict_image_to_text_recall@1"] == 0.75
    assert metrics["strict_text_to_image_mean_rank"] == pytest.approx(1.25)
    assert "image_to_text_map" not in metrics


def test_strict_is_stricter_where_a_look_alike_wins(model, make_data):
    """With the texts of items 10 and 20 exchanged, look-alikes are still right and the strict items are not."""
    metrics = evaluate(model, make_data(text_item=np.array([20, 10, 30, 40]))).metrics
    assert metrics["text_to_image_recall@1"] == 0.75
    assert metrics["strict_text_to_image_recall@1"] == 0.25
    assert metrics["strict_rsum"] < metrics["rsum"]


def test_a_model_that_can_match_is_measured_with_and_without_it(reranked, evaluation):
    metrics = reranked.metrics
    assert metrics["k_test"] == 2
    np.testing.assert_array_equal(reranked.image_embeddings, evaluation.image_embeddings)
    for key, value in evaluation.metrics.items():
        assert metrics[key] == value
    # Of two texts each: picture 0 has one, two: two, the next, is first, and a look-alike. 1 has two, one: neither is
    # the next, a tie of two that are right. 2 has three, two: a tie, its own behind. 3 has three, four: likewise.
    assert metrics["reranked_image_to_text_recall@1"] == 0.5
    assert metrics["reranked_image_to_text_mean_rank"] == pytest.approx((1 + 1 + 2 + 2) / 4)
    # Strictly 0 and 1, too, have their own behind.
    assert metrics["strict_reranked_image_to_text_mean_rank"] == 2
    assert {key.replace("reranked_", "") for key in metrics if "reranked" in key} <= set(metrics)


def test_re_ranking_is_off_or_on_or_what_the_model_can(model, matching, make_data):
    data = make_data()
    assert "k_test" not in evaluate(model, data).metrics
    assert "k_test" not in evaluate(matching, data, k_test=0).metrics
    assert evaluate(matching, data).metrics["k_test"] == 128
    with pytest.raises(MmkerasError, match="to re-rank by it. Received: WrittenDown, with k_test=3; 0 measures"):
        evaluate(model, data, k_test=3)
    with pytest.raises(MmkerasError, match="Expected k_test to be 0 or more. Received: k_test=-1"):
        evaluate(matching, data, k_test=-1)
    label = np.array([0, 0, 1, 1], np.int32)
    no_pairs = np.zeros((0, 2), np.int32)
    apart = make_data(pairs=no_pairs, label=label, text_label=label, label_names=("a", "b"))
    assert "k_test" not in evaluate(matching, apart).metrics


def test_map_by_category(model, make_data):
    label = np.array([0, 0, 1, 1], np.int32)
    data = make_data(label=label, text_label=label, label_names=("a", "b"))
    metrics = evaluate(model, data).metrics
    # Text to image. one: 0, 1 first, AP 1. two: 1, 2, 0: (1 + 2/3) / 2. three: 2, 1, then 0 and 3 tied, the wrong one
    # first: (1 + 2/4) / 2. four: 0 and 3 tied, the wrong one first: 3 at rank 2; 1; 2 at rank 4: (1/2 + 2/4) / 2.
    assert metrics["text_to_image_map"] == pytest.approx((1 + 5 / 6 + 3 / 4 + 1 / 2) / 4)
    assert 0 < metrics["image_to_text_map"] <= 1
    assert metrics["map_chance"] == 0.5


def test_without_pairs_only_categories_are_measured(model, make_data):
    label = np.array([0, 0, 1, 1], np.int32)
    no_pairs = np.zeros((0, 2), np.int32)
    found = evaluate(model, make_data(pairs=no_pairs, label=label, text_label=label, label_names=("a", "b")))
    assert set(found.metrics) == {"pictures", "texts", "image_to_text_map", "text_to_image_map", "map_chance"}
    assert found.relevance.by == "category"
    assert found.relevance.image is label
    with pytest.raises(MmkerasError, match="four/dev: expected pairs, or categories"):
        evaluate(model, make_data(pairs=no_pairs))


def test_what_examples_are_shown_by(model, make_data):
    label = np.array([0, 0, 1, 1], np.int32)
    labelled = make_data(label=label, text_label=label, label_names=("a", "b"))
    assert evaluate(model, make_data()).relevance.by == "item"
    assert evaluate(model, labelled).relevance.by == "item"
    model.supervision = "categories"
    by_category = evaluate(model, labelled).relevance
    assert by_category.by == "category"
    assert by_category.text is label


def test_the_modality_gap_by_look_alikes(dozen):
    model, data = dozen
    found = evaluate(model, data)
    gap = modality_gap_metrics(found.image_embeddings, found.text_embeddings, data.image_id, data.text_image_id)
    assert gap.items() <= found.metrics.items()
    assert gap != modality_gap_metrics(found.image_embeddings, found.text_embeddings)
    assert gap["modality_probe_linear"] == 1.0
    # The means lie on the horizontal axis, on either side.
    assert gap["centroid_gap"] == pytest.approx(2 * np.mean(np.cos(np.linspace(-1, 1, 12))), rel=1e-5)


def test_the_gap_of_few_items_is_left_out(evaluation, dozen):
    assert "modality_probe" not in evaluation.metrics
    model, data = dozen
    ids = np.array([0, 0, 0, 0, *range(4, 12)])  # 9 of them
    few = dataclasses.replace(data, image_id=ids, text_image_id=ids)
    assert "modality_probe" not in evaluate(model, few).metrics


def test_raw_representations_are_measured_where_a_model_has_them(represented, model, make_data):
    system, data = represented
    found = evaluate(system, data)
    maps = representation_maps(
        system.represent_image(data.images), system.represent_text(data.texts), data.label, data.text_label
    )
    measured = {key: value for key, value in found.metrics.items() if key.startswith("representation_")}
    assert measured == {f"representation_{key}": value for key, value in maps.items()} and len(maps) == 10
    assert measured["representation_image_to_text_map_none"] != found.metrics["image_to_text_map"]
    assert found.relevance.by == "category"  # pairs it had too, but what is asked for is the category
    unlabelled = dataclasses.replace(data, label=None, text_label=None, label_names=())
    for metrics in (evaluate(system, unlabelled).metrics, evaluate(model, make_data()).metrics):
        assert not [key for key in metrics if key.startswith("representation_")]
    system.represent_text = lambda texts: np.zeros(4)
    with pytest.raises(MmkerasError, match=r"shape \(4, D\) from represent_text. Received: \(4,\)"):
        evaluate(system, data)


def test_embeddings_that_do_not_fit_are_refused(model, make_data):
    model.encode_text = lambda texts: np.zeros((3, 2), np.float32)
    with pytest.raises(MmkerasError, match=r"shape \(4, D\) from encode_text. Received: \(3, 2\)"):
        evaluate(model, make_data())


def test_save_metrics(tmp_path, evaluation):
    file = tmp_path / "run" / "metrics.json"
    save_metrics(evaluation.metrics | {"share": np.float32(0.5)}, file)
    read = json.loads(file.read_text())
    assert read == evaluation.metrics | {"share": 0.5}
    with pytest.raises(MmkerasError, match="loss=nan"):
        save_metrics({"loss": float("nan")}, file)
    assert json.loads(file.read_text()) == read
    assert [path.name for path in file.parent.iterdir()] == ["metrics.json"]
