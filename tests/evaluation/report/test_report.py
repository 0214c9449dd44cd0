import dataclasses
import re

import jinja2
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.evaluation.report import report

from ...page import Page

HISTORY = [
    {"epoch": str(epoch), "loss": str(2.0 / (epoch + 1)), "val_text_to_image_recall@1": str(0.1 * epoch), "note": ""}
    for epoch in range(3)
]


@pytest.fixture
def write(tmp_path, evaluation):
    def write(file="report.html", **changes):
        arguments = {
            "title": "a <b>run</b>",
            "settings": {"data": {"name": "four"}, "epochs": 3},
            "versions": {"keras": "3.15.1"},
            "history": HISTORY,
            "evaluation": evaluation,
        }
        report.write_report(tmp_path / file, **arguments | changes)
        return (tmp_path / file).read_text(encoding="utf-8")

    return write


def test_the_page_holds_everything(write):
    source = write()
    page = Page(source)
    assert all(re.match("data:|#", link) for link in page.links)
    assert "url(" not in source.replace("url(#", "")
    assert "@import" not in source
    for words in ("a <b>run</b>", "four/dev: 4 images, 4 texts", "75.0%", "550.0", "data.name", "3.15.1"):
        assert words in page.text, words
    assert "Chance 25.0% 100.0% 100.0% 2.5 2.5" in page.text  # of one item in four; R@5 of four is certain
    assert page.tags.count("svg") == 4  # loss, validation, plane, histogram
    assert page.alts and all(page.alts)


def test_what_data_says_is_no_markup(write):
    source = write()
    assert "<script" not in source
    assert "<script>alert('three')</script>" in Page(source).text


def test_rights_and_wrongs(write):
    page = Page(write()).text
    assert page.count("Right 3 of 3 queries") == 2
    assert page.count("Wrong 1 of 1 queries") == 2
    assert page.count("≈") == 2 + 4  # two legends; the look-alikes of queries one, two and of pictures 0, 1


def test_the_wanted_item_is_shown_where_no_result_is_right(model, make_data, write):
    """A gallery of eight texts in which the one of picture 3 comes last."""
    texts = ["one", "two", "<script>alert('three')</script>", "four"] * 2
    ids = np.array([10, 10, 30, 30, 30, 30, 30, 40])
    model.texts = model.texts | {"four": [1, 0]}
    pairs = np.column_stack([[0, 0, 2, 2, 2, 2, 2, 3], range(8)]).astype(np.int32)
    data = make_data(texts=texts, text_image_id=ids, text_item=ids, pairs=pairs, image_item=None, ids_given=True)
    page = Page(write(evaluation=evaluate(model, data))).text
    assert "“four” was wanted, and is at rank 8" in page


def test_feature_vectors_show_their_items(model, make_data, write):
    images = np.arange(4, dtype=np.float32)[:, None] * np.ones(5, np.float32)
    data = make_data(images=images, image_names=[f"item-{row}" for row in range(4)])
    page = Page(write(evaluation=evaluate(model, data)))
    assert "four/dev: 4 feature vectors of images, 4 texts" in page.text
    assert "img" not in page.tags
    assert "item-3" in page.text


def test_categories_without_pairs(model, make_data, write):
    label = np.array([0, 0, 1, 1], np.int32)
    data = make_data(pairs=np.zeros((0, 2), np.int32), label=label, text_label=label, label_names=("a", "b"))
    page = Page(write(evaluation=evaluate(model, data))).text
    assert "Text to image MAP 0.771" in page
    assert "by category; chance 0.5" in page
    assert "Median rank" not in page
    assert "Text to image, by category Queries drawn" in page
    hot = np.eye(2, dtype=np.uint8)[label]
    data = make_data(pairs=np.zeros((0, 2), np.int32), label=hot, text_label=hot, label_names=("a", "b"))
    assert Page(write(evaluation=evaluate(model, data))).text == page


def test_a_system_of_categories_is_shown_by_category_on_paired_data_too(model, make_data, write):
    label = np.array([0, 0, 1, 1], np.int32)
    data = make_data(label=label, text_label=label, label_names=("greek", "latin"))
    page = Page(write(evaluation=evaluate(model, data))).text
    assert page.index("R@1") < page.index("MAP")
    assert "Text to image Queries drawn" in page and "≈" in page and "latin" not in page
    model.supervision = "categories"
    page = Page(write(evaluation=evaluate(model, data))).text
    assert page.index("MAP") < page.index("R@1")
    assert "trained for the category" in page
    assert "Similarity of pairs by category" in page
    assert "Image to text, by category Queries drawn" in page
    assert "two greek" in page and "four latin" in page
    assert "≈" not in page


def test_the_first_right_one_is_shown_where_no_result_is_of_the_category(model, make_data, write):
    texts = ["one", "two", "<script>alert('three')</script>", "four"] * 2
    model.texts = model.texts | {"four": [1, 0]}
    label, text_label = np.array([0, 0, 0, 1], np.int32), np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    pairs, ids = np.zeros((0, 2), np.int32), np.arange(8)
    names = ("first", "second")
    data = make_data(texts=texts, text_image_id=ids, text_item=ids, pairs=pairs)
    data = dataclasses.replace(data, label=label, text_label=text_label, label_names=names)
    page = Page(write(evaluation=evaluate(model, data))).text
    assert "“four” is the first that is right, at rank 8" in page


def test_re_ranking_stands_beside_what_it_began_with(write, evaluation, reranked):
    page = Page(write(evaluation=reranked)).text
    assert "Equals count, 2 re-ranked 50.0%" in page and "Strict, 2 re-ranked 0.0%" in page
    assert page.index("Equals count 75.0%") < page.index("Equals count, 2 re-ranked")
    assert "Image to text R@1 75.0% re-ranked 50.0%; chance 25%" in page
    assert "“Re-ranked” are the 2 best by embedding" in page and "“Equals count” takes" in page
    assert "re-ranked" not in Page(write()).text.lower()
    twins = {key: value for key, value in reranked.metrics.items() if not key.startswith("strict_")}
    page = Page(write(evaluation=dataclasses.replace(reranked, metrics=twins))).text
    assert "This model, 2 re-ranked 50.0%" in page and "Look-alikes" not in page


def test_a_collapsed_model_and_no_history(model, make_data, write):
    model.images = np.ones((4, 2), np.float32)
    model.texts = dict.fromkeys(model.texts, [1, 1])
    page = Page(write(evaluation=evaluate(model, make_data()), history=[])).text
    assert "No query has a relevant result first" in page
    assert "The run has no training log" in page


def test_the_seed_decides(write):
    assert write("a.html") == write("b.html")
    assert write("a.html", seed=1) != write("b.html", seed=2)


def test_photographs_keep_the_page_small(model, make_data, write):
    noise = np.random.default_rng(0).integers(0, 256, (4, 300, 200, 3), np.uint8)
    noise[:, 0, 0, 0] = range(4)
    source = write(evaluation=evaluate(model, make_data(images=noise)))
    assert len(source) < 600_000
    assert "data:image/jpeg" in source


def test_the_strict_row_is_there_where_it_differs(model, make_data, write):
    assert "Strict" not in Page(write()).text
    page = Page(write(evaluation=evaluate(model, make_data(text_item=np.array([20, 10, 30, 40]))))).text
    assert "Equals count 75.0% 100.0% 100.0% 1 1.2 Strict 25.0% 100.0% 100.0%" in page


def test_the_modality_gap_before_and_after(dozen, write):
    found = evaluate(*dozen)
    metrics = found.metrics | {"untrained_modality_probe": 0.875, "untrained_modality_probe_std": 0.02}
    page = Page(write(evaluation=dataclasses.replace(found, metrics=metrics)))
    assert "Measure Untrained Trained Probe, MLP how often" in page.text
    assert "50% is chance; lower is better 87.5% ±2.0 " in page.text
    assert "by logistic regression; lower is better – 100.0%" in page.text  # not among the untrained figures above
    assert "directions in use of 2" in page.text
    assert "An encoder that has collapsed" in page.text
    assert "There is no column" not in page.text


def test_the_modality_gap_without_the_untrained_model(dozen, write):
    page = Page(write(evaluation=evaluate(*dozen), untrained_missing="no preset <mine>")).text
    assert "There is no column of the untrained model: no preset <mine>." in page
    assert "Measure Trained Probe, MLP" in page
    assert "Not measured: that takes images and texts of at least ten different items." in Page(write()).text


def test_curves_are_found_in_a_log():
    rows = [{"epoch": 1, "loss": 2.0, "val_loss": "3", "category_loss": float("nan"), "learning_rate": 0.1}]
    rows += [{"epoch": 2, "loss": 1.0, "val_loss": "", "category_loss": 0.5, "val_image_to_text_recall@1": 0.25}]
    curves = {curve["title"]: curve["summary"] for curve in report.training_curves(rows)}
    assert curves == {
        "Loss": "loss from 2 to 1; val_loss from 3 to 3",
        "Validation": "val_image_to_text_recall@1 from 0.25 to 0.25",
        "Parts of the loss": "category_loss from 0.5 to 0.5",
        "Learning rate": "learning_rate from 0.1 to 0.1",
    }


def test_curves_of_an_adversarial_run(write):
    row = {"epoch": 0, "loss": 2, "modality_accuracy": 0.9, "gradient_ratio": 0.1, "reversal_strength": 0.5}
    row |= {"val_image_to_text_recall@1": 0.01, "val_text_to_image_recall@1": 0.02, "val_rsum": 12}
    row |= {"val_image_to_text_map": 0.4, "val_text_to_image_map": 0.6, "val_map": 0.5}
    rows = [row, row | {"epoch": 1, "modality_accuracy": 0.75, "reversal_strength": 3, "val_text_to_image_map": 0.7}]
    figures = report.training_curves(rows, by_category=True)
    assert {figure["title"]: figure["summary"] for figure in figures} == {
        "Loss": "loss from 2 to 2",
        "Validation by category": "val_image_to_text_map from 0.4 to 0.4; val_text_to_image_map from 0.6 to 0.7",
        "The adversary": "modality_accuracy from 0.9 to 0.75",
        "The adversary's pull": "gradient_ratio from 0.1 to 0.1; reversal_strength from 0.5 to 3",
    }
    assert "Image to text MAP" in figures[1]["svg"]
    titles = [figure["title"] for figure in report.training_curves(rows)]
    assert titles[1:3] == ["Validation", "Validation by category"]
    page = Page(write(history=rows)).text
    assert "0.5 says little" in page and "the fresh probe above says" in page


def test_a_failure_leaves_the_old_report(tmp_path, write, monkeypatch):
    before = write()
    with pytest.raises(jinja2.UndefinedError):  # while rendering
        write(versions="none")

    def full_disk(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.write_text", full_disk)
    with pytest.raises(MmkerasError, match="report.html could not be written: no space left"):
        write(title="another")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_features_of_texts_are_shown_by_their_names(represented, write):
    model, data = represented
    source = write(evaluation=evaluate(model, dataclasses.replace(data, images=data.images[:, 0, 0, :].astype(float))))
    page = Page(source).text
    assert "four/dev: 4 feature vectors of images, 4 feature vectors of texts" in page
    assert "name of one" in page and "<b>two</b>" in page and "<b>two" not in source
    assert "three three" in page and "three " * 60 not in page and "three…" in page


def test_raw_representations_have_a_table(represented, write, evaluation):
    model, data = represented
    found = evaluate(model, data)
    page = Page(write(evaluation=found)).text
    figures = [found.metrics[f"representation_text_to_image_map_{form}"] for form in ("none", "query", "both")]
    assert f"Text to image {' '.join(f'{value:.3f}' for value in figures)}" in page
    every = [found.metrics[f"representation_image_to_all_map_{form}"] for form in ("none", "both")]
    assert f"Image to all {every[0]:.3f} – {every[1]:.3f}" in page
    assert "Raw representations" not in Page(write()).text


def test_discriminators_have_curves_of_their_own():
    history = [{"epoch": epoch, "loss": 1.0, "image_discriminator_accuracy": 0.5 + epoch / 10} for epoch in range(2)]
    (curve,) = [curve for curve in report.training_curves(history) if curve["title"] == "The discriminators"]
    assert curve["summary"] == "image_discriminator_accuracy from 0.5 to 0.6" and "real from generated" in curve["note"]
