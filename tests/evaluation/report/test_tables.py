import re

import numpy as np

from mmkeras.console import print_metrics
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.evaluation.report.tables import category_table, gap_table, retrieval_table

METRICS = {
    "modality_probe": 0.75,
    "modality_probe_std": 0.0125,
    "modality_probe_linear": 0.6,
    "proxy_a_distance": 1.0,
    "mmd2": -0.00004,
    "mmd2_p": 0.517,
    "embedding_dim": 64,
    "image_effective_rank": 12.34,
    "text_to_image_map": 0.5123,
    "untrained_modality_probe": 1.0,
    "untrained_modality_probe_std": 0.0,
    "untrained_mmd2": 0.5564,
}


def test_rows_are_what_was_measured():
    rows = {row["name"]: (row["untrained"], row["trained"], row["better"]) for row in gap_table(METRICS)}
    assert rows == {
        "Probe, MLP": ("100.0%", "75.0% ±1.2", "lower is better"),
        "Probe, linear": (None, "60.0%", "lower is better"),
        "Proxy A-distance": (None, "1.000", "lower is better"),
        "MMD²": ("0.5564", "0.0000", "lower is better"),  # and no minus before a zero
        "p-value of the MMD²": (None, "0.517", "higher is better"),
        "Effective rank, images": (None, "12.3", "a check, no goal"),
        "Retrieval: text to image MAP": (None, "0.512", "higher is better"),
    }
    assert gap_table({"rsum": 450.0}) == []


def test_look_alikes_and_strict_are_one_row_where_they_are_the_same(capsys, reranked, evaluation, model, make_data):
    def first_words(metrics):
        print_metrics("four/dev", metrics)
        return [line.strip().rpartition("  ")[0].split("  ")[0] for line in capsys.readouterr().out.splitlines()]

    assert {row["name"] for group in retrieval_table(evaluation.metrics)["groups"] for row in group["rows"]} == {
        "This model",
        "Chance",
    }
    shown = first_words(evaluation.metrics)
    assert shown.count("This model") == shown.count("Chance") == 2
    assert "Strict" not in shown and "Equals count" not in shown
    apart = evaluate(model, make_data(text_item=np.array([20, 10, 30, 40]))).metrics
    shown = first_words(apart)
    assert shown.count("Equals count") == shown.count("Strict") == 2 and "This model" not in shown
    shown = first_words(reranked.metrics)
    assert shown.count("Equals count, 2 re-ranked") == shown.count("Strict, 2 re-ranked") == 2


def test_the_terminal_shows_the_figures_of_re_ranking(capsys, reranked):
    print_metrics("four/dev", reranked.metrics)
    out = capsys.readouterr().out
    assert re.search(r"Equals count +75.0%", out)
    assert re.search(r"Equals count, 2 re-ranked +50.0%", out)
    assert re.search(r"Strict, 2 re-ranked +0.0%", out)
    assert "rsum 550.0, re-ranked 475.0 (of 600)" in out


def test_chance_stands_in_the_table_of_categories_where_it_is_the_same_both_ways():
    maps = {"text_to_image_map": 0.5, "image_to_text_map": 0.25}
    rows = [(row["name"], *row["cells"]) for row in category_table(maps | {"map_chance": 0.125})["rows"]]
    assert rows == [("Text to image", "0.500"), ("Image to text", "0.250"), ("Chance", "0.125")]
    assert [row["name"] for row in category_table(maps)["rows"]] == ["Text to image", "Image to text"]
    assert category_table({"rsum": 300.0}) is None


def test_the_terminal_shows_what_was_measured(capsys):
    print_metrics("categories only", METRICS)
    printed = capsys.readouterr().out
    assert printed.index("categories only") < printed.index("0.512") < printed.index("Modality gap")
    assert "75.0% ±1.2" in printed
    assert "rsum" not in printed and "R@1" not in printed


def test_the_terminal_shows_raw_representations(capsys):
    names = [f"representation_text_to_image_map_{form}" for form in ("none", "query", "both")]
    forms = dict(zip(names, (0.1234, 0.2468, 0.3702), strict=True))
    print_metrics("raw", METRICS | forms)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Raw representations" in printed and "MAP, queries" in printed
    assert all(figure in printed for figure in ("Text to image", "0.123", "0.247", "0.370"))
    print_metrics("raw", METRICS)
    assert "Raw representations" not in capsys.readouterr().out


def test_chance_stands_beside_the_mean_average_precision(capsys):
    metrics = METRICS | {"map_chance": 0.0876}
    meanings = [row["meaning"] for row in gap_table(metrics) if "MAP" in row["name"]]
    assert meanings == ["by category; chance 0.088"]
    print_metrics("categories only", metrics)
    assert "0.088" in capsys.readouterr().out
