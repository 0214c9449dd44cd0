"""Runs side by side: what stands in the cells, what is the best, which runs are one column, and what is told."""

import json

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.comparison.comparison import Comparison
from mmkeras.training import Recipe

from ...run_folders import METRICS


def cells(comparison, name):
    """The cells of a row by its label, the best one with a star behind it."""
    rows = {row["measure"].label: row["cells"] for section in comparison.sections() for row in section["rows"]}
    return [cell["text"] + "*" * cell["best"] for cell in rows[name]]


def titles(comparison):
    return [group.title for group in comparison.groups]


def test_figures_stand_side_by_side_and_the_best_is_marked(make_run):
    better = METRICS | {"text_to_image_recall@1": 0.512, "modality_probe": 0.6, "mmd2": -0.00004, "rsum": 310}
    better |= {"image_effective_rank": 2.0}
    comparison = Comparison([make_run("a"), make_run("b", metrics=better, epochs=3)])
    assert titles(comparison) == ["a", "b"]
    assert cells(comparison, "Text to image R@1, % ↑") == ["50.0", "51.2*"]
    assert cells(comparison, "Image to text R@1, % ↑") == ["25.0", "25.0"]  # equal: none is the best
    assert cells(comparison, "rsum ↑") == ["300.0", "310.0*"]
    assert cells(comparison, "Probe, MLP, % ↓") == ["75.0", "60.0*"]
    assert cells(comparison, "MMD² ↓") == ["0.0123", "0.0000*"]
    assert cells(comparison, "Effective rank, images") == ["9.0", "2.0"]  # a check, no goal
    assert cells(comparison, "Epochs") == ["2", "3"]
    assert [section["title"] for section in comparison.sections()] == ["Retrieval", "Modality gap", "Training"]
    assert comparison.warnings == []
    assert list(comparison.differences()) == ["epochs"]


def test_figures_that_look_equal_are_all_the_best(make_run):
    rsums = (310.01, 310.02, 300)
    runs = [make_run(str(rsum), metrics=METRICS | {"rsum": rsum}, epochs=n) for n, rsum in enumerate(rsums, 1)]
    assert cells(Comparison(runs), "rsum ↑") == ["310.0*", "310.0*", "300.0"]


def test_raw_representations_have_rows_where_a_run_has_some(make_run):
    raw = {"representation_text_to_image_map_query": 0.2512, "representation_image_to_all_map_both": 0.5}
    comparison = Comparison([make_run("a", metrics=METRICS | raw), make_run("b", epochs=3)])
    assert cells(comparison, "Text to image MAP, queries standardised ↑") == ["0.251", "–"]
    assert cells(comparison, "Image to all MAP, both standardised ↑") == ["0.500", "–"]
    (section,) = [section for section in comparison.sections() if section["title"] == "Raw representations"]
    assert len(section["rows"]) == 2


def test_time_and_size_of_new_runs_and_a_dash_for_old_ones(make_run):
    parameters = {"image_encoder": 4_000_000, "text_encoder": 1_000_000, "rest": 500}
    parameters |= {"queue": 100_000}
    measured = {"parameters": parameters, "parameter_bytes": {"queue": 450_000}, "training_seconds": 1234.4}
    new = make_run("new", "learning_rate=0.01", **measured, model=b"x" * 2_340_000)
    old = make_run("old")
    comparison = Comparison([new, old])
    assert cells(comparison, "Time, s ↓") == ["1,234", "–"]
    assert cells(comparison, "Parameters ↓") == ["5,100,500", "–"]
    assert cells(comparison, "Parameters: queue ↓") == ["100,000", "–"]
    assert cells(comparison, "Size: queue, MB ↓") == ["0.5", "–"]  # 0.45
    assert cells(comparison, "Parameters: rest of the model ↓") == ["500", "–"]
    assert cells(comparison, "Size: model.keras, MB ↓") == ["2.3", "0.0*"]
    labels = [row["measure"].label for row in Comparison([old, make_run("b", epochs=3)]).sections()[-1]["rows"]]
    # No part of the parameters is known.
    assert labels == ["Epochs", "Time, s ↓", "Parameters ↓", "Size: model.keras, MB ↓"]


def test_seeds_of_one_experiment_are_a_column_of_means_and_deviations(make_run):
    rsums = (300, 310, 320)
    seeds = [make_run(f"a-seed{n}", f"seed={n}", metrics=METRICS | {"rsum": rsum}) for n, rsum in enumerate(rsums)]
    other = make_run("b", "learning_rate=0.01")
    comparison = Comparison([seeds[0], other, *seeds[1:]])
    assert titles(comparison) == ["a ×3", "b"]
    assert cells(comparison, "rsum ↑") == ["310.0 ±10.0*", "300.0"]
    assert cells(comparison, "Text to image R@1, % ↑") == ["50.0 ±0.0", "50.0"]
    assert cells(comparison, "Epochs") == ["2", "2"]  # no deviation of what is a count
    differences = comparison.differences()
    assert differences["seed"] == ["0, 1, 2", "0"]
    assert differences["learning_rate"][1] == "0.01" and set(differences) == {"seed", "learning_rate"}
    assert titles(Comparison([*seeds, other], each=True)) == ["a-seed0", "a-seed1", "a-seed2", "b"]


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": ["learning_rate=0.01"]},
        {"metrics": METRICS | {"data": "glyphs/test"}},
        {"metrics": None},
        {"finished": False},
        {"data_digest": "another"},
    ],
    ids=["setting", "split", "not evaluated", "unfinished", "training data"],
)
def test_what_differs_in_more_than_the_seed_is_apart(make_run, changes):
    settings = changes.pop("settings", [])
    runs = [make_run("x-0"), make_run("x-1", "seed=1"), make_run("x-2", "seed=2", *settings, **changes)]
    assert titles(Comparison(runs)) == ["x ×2", "x-2"]


def test_a_second_run_of_one_seed_is_no_other_seed(make_run):
    runs = [make_run("x-0"), make_run("x-1", "seed=1"), make_run("again")]
    assert titles(Comparison(runs)) == ["x ×2", "again"]


@pytest.mark.parametrize(
    "names, title",
    [
        (["mine", "mine-seed1"], "mine ×2"),
        (["linseed-0", "linseed-1"], "linseed ×2"),
        (["a10", "a11"], "a10 … a11 ×2"),
        (["seed0", "seed1"], "seed0 … seed1 ×2"),
        (["lr_1.seed.3", "lr_1.seed.4"], "lr_1 ×2"),
    ],
)
def test_seeds_are_called_by_what_their_names_have_in_common(make_run, names, title):
    seeds = [make_run(name, f"seed={seed}") for seed, name in enumerate(names)]
    assert titles(Comparison([*seeds, make_run("other", epochs=9)]))[0] == title


def test_equal_names_get_their_parent_folders(make_run):
    runs = [make_run("x/a/run"), make_run("y/a/run", epochs=3), make_run("y/other", epochs=4)]
    assert titles(Comparison(runs)) == ["x/a/run", "y/a/run", "other"]


def test_a_run_that_is_named_twice_counts_once(make_run):
    a, b = make_run("a"), make_run("b", epochs=3)
    assert titles(Comparison([a, a / ".." / "a", b])) == ["a", "b"]
    with pytest.raises(MmkerasError, match="Expected two run folders or more to compare. Received: .*a"):
        Comparison([a, a])


def test_other_data_is_told_and_nothing_of_it_is_the_best(make_run):
    test = make_run("t", metrics=METRICS | {"data": "glyphs/test", "pictures": 1000, "rsum": 400}, model=b"x" * 200_000)
    comparison = Comparison([make_run("a"), test, make_run("b", epochs=3)])
    (warning,) = comparison.warnings
    assert warning == (
        "Measured on different data, so retrieval and modality gap do not compare: a, b on glyphs/dev (500 images, "
        "500 texts); t on glyphs/test (1,000 images, 500 texts). "
        "Measure all on one split: mmkeras evaluate RUN --split NAME"
    )
    assert cells(comparison, "rsum ↑") == ["300.0", "400.0", "300.0"]
    assert cells(comparison, "Size: model.keras, MB ↓") == ["0.0*", "0.2", "0.0*"]


def test_glyphs_without_their_class_word_are_other_data_and_captions_with_labels_are_not(make_run):
    """The setting `targets=category` changes the glyphs' texts, and of a captions file nothing that recall sees."""
    a, b = make_run("a"), make_run("b", "targets=category")
    assert "glyphs/dev (500 images, 500 texts, targets=category)" in Comparison([a, b]).warnings[0]
    captions = METRICS | {"data": "captions.jsonl/dev"}
    a, b = make_run("c", metrics=captions), make_run("d", "targets=category", metrics=captions)
    assert Comparison([a, b]).warnings == []


def test_runs_that_are_not_finished_or_not_evaluated_are_there_with_what_to_do(make_run):
    half = make_run("half", finished=False, metrics=None, model=None, epochs=1, training_seconds=5.0)
    blind = make_run("blind", metrics=None, epochs=3, training_seconds=20.0)
    whole = make_run("whole", epochs=4, training_seconds=30.0)
    comparison = Comparison([half, blind, whole])
    assert comparison.warnings == [
        f"half has not finished, 1 of 2 epochs. Go on with: mmkeras train --resume {half}",
        f"blind is not evaluated. Measure it with: mmkeras evaluate {blind}",
    ]
    assert cells(comparison, "rsum ↑") == ["–", "–", "300.0"]  # one alone is not the best
    assert cells(comparison, "Time, s ↓") == ["5", "20*", "30"]  # half a training is not a fast one
    assert cells(comparison, "Size: model.keras, MB ↓") == ["–", "0.0", "0.0"]


def test_the_split_to_measure_on_is_that_of_the_others(make_run):
    blind, test = make_run("blind", metrics=None), METRICS | {"data": "glyphs/test"}
    comparison = Comparison([blind, make_run("a", metrics=test), make_run("b", metrics=test, epochs=3)])
    assert comparison.warnings == [
        f"blind is not evaluated. Measure it with: mmkeras evaluate {blind} --split test",
    ]
    comparison = Comparison([blind, make_run("c", metrics=test), make_run("d", epochs=3)])
    assert comparison.warnings[1].endswith(f"mmkeras evaluate {blind}")


def test_systems_of_categories_are_shown_by_category_first(make_run):
    maps = METRICS | {"text_to_image_map": 0.6, "image_to_text_map": 0.5}
    a = make_run("a", "targets=category", metrics=maps)
    b = make_run("b", "targets=category", metrics=maps | {"image_to_text_map": 0.7}, epochs=3)
    comparison = Comparison([a, b])
    assert [section["title"] for section in comparison.sections()][:2] == ["Retrieval by category", "Retrieval"]
    assert cells(comparison, "Image to text MAP ↑") == ["0.500", "0.700*"]
    assert comparison.groups[1].mean("map") == pytest.approx(0.65)
    comparison = Comparison([a, make_run("c")])
    assert [section["title"] for section in comparison.sections()][:2] == ["Retrieval", "Retrieval by category"]


def test_settings_of_older_runs_are_those_of_today_where_they_left_them_out(make_run):
    old = make_run("old", epochs=3)
    info = json.loads((old / "run.json").read_text())
    del info["settings"]["final_learning_rate"], info["settings"]["stages"]
    (old / "run.json").write_text(json.dumps(info))
    assert list(Comparison([old, make_run("new")]).differences()) == ["epochs"]


def test_stages_are_counted_and_compared_by_name(make_run):
    stages = [{"name": "first", "epochs": 1, "trains": ["text_encoder"]}, {"name": "joint", "epochs": 1}]
    recipe = Recipe.from_settings({"preset": "p", "stages": stages})
    comparison = Comparison([make_run("plain"), make_run("staged", recipe=recipe)])
    assert cells(comparison, "Stages") == ["–", "2"]
    assert comparison.differences()["stages.first.trains"] == ["–", "text_encoder"]


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("metrics.json", "{", r"metrics\.json is damaged: .*Write it anew with: mmkeras evaluate"),
        ("metrics.json", "[]", r"metrics\.json is damaged: expected an object"),
        ("log.csv", "epoch,loss\n0,much\n", r"log\.csv is damaged: could not convert"),
        ("log.csv", "epoch\n0,1\n", r"log\.csv is damaged"),
        ("run.json", "", r"run\.json is damaged"),
    ],
)
def test_a_damaged_file_is_named(make_run, name, content, told):
    run = make_run("a")
    (run / name).write_text(content)
    with pytest.raises(MmkerasError, match=told):
        Comparison([make_run("b"), run])


def test_what_is_no_number_is_no_figure(make_run):
    odd = METRICS | {"rsum": "many", "modality_probe": True, "mmd2": None}
    comparison = Comparison([make_run("a"), make_run("b", metrics=odd, epochs=3)])
    assert cells(comparison, "rsum ↑") == ["300.0", "–"]
    assert cells(comparison, "Probe, MLP, % ↓") == ["75.0", "–"]
    assert cells(comparison, "MMD² ↓") == ["0.0123", "–"]


def test_re_ranking_is_compared_where_a_run_has_it(make_run):
    plain, other = make_run("plain"), make_run("other", "epochs=9")
    again = make_run("again", metrics=METRICS | {"reranked_rsum": 321.0, "k_test": 128})
    assert cells(Comparison([plain, again], each=True), "rsum, re-ranked ↑") == ["–", "321.0"]
    assert cells(Comparison([plain, again], each=True), "Re-ranked a query") == ["–", "128"]
    with pytest.raises(KeyError):
        cells(Comparison([plain, other]), "rsum, re-ranked ↑")
