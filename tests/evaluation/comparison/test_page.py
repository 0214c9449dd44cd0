"""The page of a comparison holds the tables, a figure of each kind, and what differs; it loads nothing."""

import re

import pytest

from mmkeras.evaluation.comparison.comparison import Comparison
from mmkeras.evaluation.comparison.figures import MARKERS, series_key, series_style
from mmkeras.evaluation.comparison.page import write_comparison

from ...page import Page
from ...run_folders import METRICS

MAPS = METRICS | {"text_to_image_map": 0.6, "image_to_text_map": 0.5}


@pytest.fixture
def write(tmp_path):
    def write(folders, file="page.html", **arguments):
        write_comparison(tmp_path / file, Comparison(folders, **arguments))
        return (tmp_path / file).read_text(encoding="utf-8")

    return write


def figures(source):
    """From the title of each figure to what it says to a screen reader."""
    return [tuple(label.split(": ", 1)) for label in re.findall(r'role="img" aria-label="([^"]*)"', source)]


def test_the_page_holds_everything(make_run, write):
    seeds = [
        make_run(f"a-seed{n}", f"seed={n}", metrics=METRICS | {"rsum": 300 + 10 * n}, columns=["val_rsum"])
        for n in range(2)
    ]
    other = METRICS | {"rsum": 250, "modality_probe": 0.6}
    other = make_run("<b>bold", "learning_rate=0.01", metrics=other, columns=["val_rsum"], epochs=3)
    source = write([*seeds, other])
    page = Page(source)
    assert all(re.match("data:|#", link) for link in page.links)
    assert "url(" not in source.replace("url(#", "") and "<script" not in source and "@import" not in source
    assert "a · <b>bold 3 runs, measured on glyphs/dev (500 images, 500 texts)" in page.text
    assert "rsum ↑ 305.0 ±7.1 best 250.0" in page.text
    assert "Probe, MLP, % ↓ 75.0 ±0.0 60.0 best" in page.text
    assert "learning_rate 0.001 0.01" in page.text and "seed 0, 1 0" in page.text and "epochs 2 3" in page.text
    assert "The adversary" not in page.text and "differ" in page.text
    assert figures(source) == [
        ("Validation", "a from 1 to 0.5; &lt;b&gt;bold from 1 to 0.3333"),
        ("Loss", "a from 1 to 0.5; &lt;b&gt;bold from 1 to 0.3333"),
        ("Retrieval and modality gap", "a 305 at 75.0%; &lt;b&gt;bold 250 at 60.0%"),
    ]
    assert page.tags.count("svg") == 3 + 2  # the figures, and the key
    assert page.tags.count("figure") == 3


def test_mean_and_range_of_seeds_are_drawn(make_run):
    a, b = make_run("a-0", columns=["val_rsum"]), make_run("a-1", "seed=1", columns=["val_rsum"], epochs=2)
    (b / "log.csv").write_text("epoch,loss,val_rsum\n0,3,10\n1,2,20\n2,1,30\n")
    (group, _) = Comparison([a, b, make_run("other", epochs=9)]).groups
    assert group.curve("val_rsum") == {0: (5.5, 1.0, 10.0), 1: (10.25, 0.5, 20.0), 2: (30.0, 30.0, 30.0)}
    assert group.curve("val_map") == {}


def test_systems_of_categories_are_drawn_by_category(make_run, write):
    a = make_run("a", "targets=category", metrics=MAPS, columns=["val_rsum", "val_map"])
    b = make_run("b", "targets=category", metrics=MAPS, columns=["val_rsum", "val_map"], epochs=3)
    source = write([a, b])
    assert [title for title, _ in figures(source)] == ["Validation", "Loss", "Retrieval and modality gap"]
    assert figures(source)[2][1] == "a 0.55 at 75.0%; b 0.55 at 75.0%"
    assert "MAP, mean of both directions" in source and "rsum, of 600" not in source


def test_where_some_have_no_common_measure_both_are_drawn(make_run, write):
    maps = {key: value for key, value in MAPS.items() if key != "rsum"}
    a = make_run("a", "targets=category", metrics=maps, columns=["val_map"])
    b = make_run("b", columns=["val_rsum"])
    source = write([a, b])
    assert [title for title, _ in figures(source)] == [
        "Validation",
        "Validation",
        "Loss",
        "Retrieval and modality gap",
        "Retrieval and modality gap",
    ]
    assert figures(source)[0][1] == "b from 1 to 0.5" and figures(source)[1][1] == "a from 1 to 0.5"
    assert "points of different data do not compare" in Page(source).text


def test_runs_without_anything_have_a_page_too(make_run, write):
    nothing = {"metrics": None, "model": None, "finished": False, "epochs": 0}
    page = Page(write([make_run("a", **nothing), make_run("b", **nothing)]))
    assert "a has not finished, 0 of 2 epochs. Go on with: mmkeras train --resume" in page.text
    assert "Nothing: settings, versions and training data are the same in all." in page.text
    assert "figure" not in page.tags


def test_many_runs_have_styles_of_their_own(make_run, write):
    styles = [series_style(place) for place in range(32)]
    assert len(set(styles)) == 32
    assert {colour for colour, _, _ in styles[:8]} == {colour for colour, _, _ in styles[8:16]}
    assert len({marker for _, marker in MARKERS}) == len(MARKERS) == 8
    assert series_key(0) == {"colour": "var(--image)", "dashes": "", "marker": MARKERS[0][1]}
    runs = [make_run(f"run{n}", f"learning_rate=0.{n + 1}", columns=["val_rsum"]) for n in range(9)]
    page = Page(write(runs))
    assert page.text.startswith("9 runs – comparison mmkeras comparison 9 runs 9 runs, measured on")
    assert page.tags.count("svg") == 3 + 9


def test_the_same_runs_give_the_same_bytes(make_run, write):
    runs = [make_run(name, f"epochs={n + 2}", columns=["val_rsum"]) for n, name in enumerate("ab")]
    assert write(runs, "one.html") == write(runs, "two.html")
