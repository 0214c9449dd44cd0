import pytest

from mmkeras.metrics import find_measure, retrieval_metrics
from mmkeras.metrics.measure import BETWEEN_MODALITIES, HIGHER, LOWER, NO_GOAL, Measure
from mmkeras.metrics.measures import DATA, MEASURES, SECTIONS, untrained_measures


@pytest.mark.parametrize(
    "name, label",
    [
        ("image_to_text_recall@1", "Image to text R@1, % ↑"),
        ("text_to_image_recall@20", "Text to image R@20, % ↑"),  # no table shows it, and it has its heading
        ("text_to_image_median_rank", "Text to image Median rank ↓"),
        ("strict_reranked_image_to_text_recall@5", "Image to text R@5, strict, re-ranked, % ↑"),
        ("val_text_to_image_map", "Text to image MAP ↑"),
        ("representation_image_to_all_map_both", "Image to all MAP, both standardised ↑"),
        ("modality_probe", "Probe, MLP, % ↓"),
        ("untrained_modality_probe_std", "Probe, MLP, untrained, deviation, % ↓"),
        ("image_effective_rank", "Effective rank, images"),
        ("training_seconds", "Time, s ↓"),
    ],
)
def test_a_name_says_what_it_stands_for(name, label):
    measure = find_measure(name)
    assert measure.label == label
    assert measure.name == name


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        "text_to_image_ndcg@10",
        "image_to_text_recall@0",
        "text_to_all_recall@1",
        "representation_text_to_all_map_query",
        "xrsum",
        "",
    ],
)
def test_an_unknown_name_stands_for_nothing(name):
    assert find_measure(name) is None


def test_each_name_stands_for_one_measure():
    figures = [figure for measure in MEASURES for figure in measure.figures()]
    assert len({figure.name for figure in figures}) == len(figures)
    assert len({figure.title for figure in figures}) == len(figures)
    assert [find_measure(figure.name) for figure in figures] == figures
    assert {figure.section for figure in figures} == {*SECTIONS, DATA}


def test_every_metric_of_retrieval_is_a_measure_at_any_cut_off():
    metrics = retrieval_metrics([[1.0, 0.0]], [[0.0, 1.0]], [0], [0], ks=(1, 3))
    assert all(find_measure(name) for name in metrics)


def test_figures_are_printed_with_unit_and_deviation():
    share = Measure("share", "Share", "Retrieval", unit="%", form=".1f")
    assert share.figure(0.7123) == "71.2%"
    assert share.figure(0.7123, 0.01) == "71.2% ±1.0"
    assert share.show(0.7123, 0.01) == "71.2 ±1.0"
    assert share.show(0.7123, 0.0) == "71.2 ±0.0" and share.figure(0.7123, 0.0) == "71.2%"
    count = Measure("count", "Count", "Training", form=",.0f")
    assert count.show(1234, 0) == "1,234"  # counts that are equal in all runs have no deviation
    assert count.show(1234, 5.0) == "1,234 ±5"
    assert find_measure("training_seconds").figure(12.0) == "12 s"
    assert find_measure("text_to_image_median_rank").figure(1.0) == "1"
    assert find_measure("text_to_image_median_rank").figure(2.5) == "2.5"
    assert find_measure("mmd2").figure(-0.00001) == "0.0000"  # no minus before a zero


def test_the_label_points_where_it_is_better():
    for better, arrow in ((HIGHER, " ↑"), (LOWER, " ↓"), (NO_GOAL, "")):
        assert Measure("x", "X", "Retrieval", better).label == f"X{arrow}"


def test_notes_say_what_is_possible_and_what_chance_has():
    assert find_measure("rsum").note({}) == "of 600"
    assert find_measure("image_effective_rank").note({}) == "directions in use; near 1, a collapse"
    assert find_measure("image_effective_rank").note({"embedding_dim": 64}).startswith("directions in use of 64;")
    assert find_measure("text_to_image_map").note({"map_chance": 0.0876}) == "by category; chance 0.088"
    recall = find_measure("text_to_image_recall@5")
    assert recall.note({}) == ""
    assert recall.note({"pictures": 500, "texts": 2500}) == "chance 1%"
    assert recall.by_chance({"pictures": 4}) == 1.0
    assert find_measure("image_to_text_recall@5").note({"pictures": 500, "texts": 2500}) == "chance 0.2%"
    assert find_measure("image_to_text_mean_rank").by_chance({"texts": 4}) == 2.5


def test_of_several_cut_offs_the_first_is_the_main_one():
    measure = Measure("{direction}_x@{k}", "X@{k}", "Retrieval", directions=BETWEEN_MODALITIES, ks=(1, 5), main=True)
    assert [(figure.name, figure.main) for figure in measure.figures()] == [
        ("text_to_image_x@1", True),
        ("text_to_image_x@5", False),
        ("image_to_text_x@1", True),
        ("image_to_text_x@5", False),
    ]


def test_the_untrained_model_keeps_the_gap_and_what_sums_retrieval_up():
    names = [measure.name for measure in untrained_measures()]
    assert names[0] == "modality_probe" and {"mmd2_p", "frechet_distance"} <= set(names)
    assert names[-3:] == ["rsum", "text_to_image_map", "image_to_text_map"]
