"""A measure is one entry of the registry: with it, every place that shows figures knows its name and its heading."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from mmkeras.console import print_comparison, print_metrics
from mmkeras.evaluation.comparison import Comparison, write_comparison
from mmkeras.evaluation.comparison.compared_run import ComparedRun
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.evaluation.report import evaluate_run, write_report
from mmkeras.evaluation.report.model_card import model_card
from mmkeras.evaluation.report.report import training_curves
from mmkeras.metrics import measures
from mmkeras.metrics.measure import BETWEEN_MODALITIES, HIGHER, LOWER, NO_GOAL, Measure
from mmkeras.metrics.measures import CATEGORY, GAP, REPRESENTATIONS, RETRIEVAL, find_measure
from mmkeras.training import Run, callbacks

from ..page import Page
from ..run_folders import METRICS

NEW = {
    "retrieval by direction": (
        Measure("{direction}_ndcg@{k}", "nDCG@{k}", RETRIEVAL, directions=BETWEEN_MODALITIES, ks=(10,)),
        ("text_to_image_ndcg@10", "image_to_text_ndcg@10"),
    ),
    "both directions": (Measure("hit_sum", "Hit sum", RETRIEVAL), ("hit_sum",)),
    "category": (
        Measure("{direction}_precision", "Precision", CATEGORY, directions=BETWEEN_MODALITIES),
        ("text_to_image_precision", "image_to_text_precision"),
    ),
    "representations": (
        Measure("representation_{direction}_ndcg", "nDCG", REPRESENTATIONS, directions=BETWEEN_MODALITIES),
        ("representation_text_to_image_ndcg",),
    ),
    "gap": (Measure("wasserstein", "Wasserstein distance", GAP, LOWER), ("wasserstein",)),
}


@pytest.fixture
def enter(monkeypatch):
    """A function that enters a measure in the registry, for one test."""

    def enter(measure):
        monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, measure))

    return enter


@pytest.fixture
def card():
    def card(metrics):
        return model_card(
            name="m",
            system="DualEncoder",
            data={"name": "glyphs/train"},
            metrics=metrics,
            signatures={},
            preprocessing={},
            space_id="5f0c",
            versions={},
        )

    return card


@pytest.mark.parametrize("measure, names", NEW.values(), ids=NEW)
def test_a_new_measure_is_shown_everywhere(measure, names, enter, card, evaluation, make_run, tmp_path, capsys):
    found = {name: 0.4321 + place / 10 for place, name in enumerate(names)}
    figures = [f"{value:.3f}" for value in found.values()]
    heading = measure.at(k=10).heading
    assert find_measure(names[0]) is None
    enter(measure)
    evaluation = dataclasses.replace(evaluation, metrics=evaluation.metrics | found)

    print_metrics("four/dev", evaluation.metrics)
    terminal = " ".join(capsys.readouterr().out.split())
    write_report(tmp_path / "r.html", title="r", settings={}, versions={}, history=[], evaluation=evaluation)
    report = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text.partition("All metrics")[0]
    runs = [make_run("a", metrics=METRICS | found), make_run("b", epochs=3)]
    write_comparison(tmp_path / "c.html", Comparison(runs))
    comparison = Page((tmp_path / "c.html").read_text(encoding="utf-8")).text
    print_comparison(Comparison(runs))
    compared = " ".join(capsys.readouterr().out.split())

    for place in (terminal, report, card(evaluation.metrics), comparison, compared):
        assert heading in place
        assert all(figure in place for figure in figures), place


def test_a_new_measure_of_the_log_has_a_curve(enter, monkeypatch):
    history = [{"epoch": epoch, "loss": 1.0, "val_text_to_image_ndcg@10": 0.25 * (epoch + 1)} for epoch in range(2)]
    assert [curve["title"] for curve in training_curves(history)] == ["Loss"]
    enter(dataclasses.replace(NEW["retrieval by direction"][0], main=True))
    (curve,) = [curve for curve in training_curves(history) if curve["title"] == "Validation"]
    assert curve["summary"] == "val_text_to_image_ndcg@10 from 0.25 to 0.5"
    assert "nDCG@10" in curve["svg"]


def test_what_is_main_is_logged_after_each_epoch(enter, model, make_data, monkeypatch):
    measured = callbacks.retrieval_metrics
    monkeypatch.setattr(callbacks, "retrieval_metrics", lambda *given: measured(*given) | {"hit_sum": 3.0})
    enter(dataclasses.replace(NEW["both directions"][0], main=True))
    validation = callbacks.RetrievalValidation(make_data())
    validation.set_model(model)
    logs = {}
    validation.on_epoch_end(0, logs)
    assert logs == {
        "val_image_to_text_recall@1": 0.75,
        "val_text_to_image_recall@1": 0.75,
        "val_rsum": 550.0,
        "val_hit_sum": 3.0,
    }


@pytest.mark.parametrize(
    "better, cells",
    [
        (HIGHER, ["0.300", "0.400*", "0.200"]),
        (LOWER, ["0.300", "0.400", "0.200*"]),
        (NO_GOAL, ["0.300", "0.400", "0.200"]),
    ],
)
def test_its_direction_decides_what_is_the_best(better, cells, enter, make_run):
    enter(Measure("wasserstein", "Wasserstein distance", GAP, better))
    runs = [make_run(str(n), metrics=METRICS | {"wasserstein": n / 10}, epochs=n) for n in (3, 4, 2)]
    (row,) = [
        row
        for section in Comparison(runs).sections()
        for row in section["rows"]
        if row["measure"].name == "wasserstein"
    ]
    assert [cell["text"] + "*" * cell["best"] for cell in row["cells"]] == cells


def unknown(names):
    return [name for name in names if find_measure(name) is None]


def test_every_metric_that_an_evaluation_writes_is_in_the_registry(
    tiny_run, tiny_model, represented, reranked, dozen, tmp_path
):
    run = Run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    evaluate_run(run, model=tiny_model)
    written = json.loads(run.file("metrics.json").read_text())
    assert {"data", "rsum", "modality_probe_std", "untrained_mmd2"} <= set(written)
    assert unknown(written) == []
    assert unknown(written | {"surprise": 1.0}) == ["surprise"]
    for metrics in (evaluate(*represented).metrics, reranked.metrics, evaluate(*dozen).metrics):
        assert unknown(metrics) == []


def test_every_figure_that_a_comparison_reads_is_in_the_registry(make_run):
    parts = dict.fromkeys(measures.PARTS, 1000)
    run = ComparedRun(make_run("a", parameters=parts, parameter_bytes=parts, training_seconds=3.0))
    assert {"queue_megabytes", "rest_parameters", "model_megabytes"} <= set(run.values)
    assert unknown(run.values) == []


def test_every_column_of_validation_is_in_the_registry(model, make_data):
    label = np.array([0, 0, 1, 1], np.int32)
    validation = callbacks.RetrievalValidation(make_data(label=label, text_label=label, label_names=("a", "b")))
    validation.set_model(model)
    logs = {}
    validation.on_epoch_end(0, logs)
    assert len(logs) == 6 and unknown(logs) == []
