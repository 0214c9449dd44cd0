"""The gate before a label moves: what it measures, its interval, and its refusals."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mmkeras import gate
from mmkeras.cli import main
from mmkeras.data import read
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.gate import compare_versions


@pytest.fixture(scope="module")
def two_versions(tiny_version, tmp_path_factory):
    """A model's folder with `tiny_version` twice."""
    folder = tmp_path_factory.mktemp("savedmodels") / "tiny"
    for number in (1, 2):
        shutil.copytree(tiny_version, folder / str(number))
    return folder


@pytest.fixture
def photographs(tmp_path):
    """A captions file of 12 pictures with two captions each; all of them are `dev`."""
    generator = np.random.default_rng(0)
    lines = ["image,caption,split"]
    for row in range(12):
        Image.fromarray(generator.integers(0, 256, (20, 24, 3), "uint8")).save(tmp_path / f"{row}.png")
        lines += [f"{row}.png,letter {row} {kind},dev" for kind in ("small", "capital")]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return tmp_path / "captions.csv"


def test_a_version_is_as_good_as_itself(two_versions, photographs, tiny_model):
    verdict = compare_versions(two_versions, photographs)
    assert (verdict.candidate, verdict.current, verdict.pictures, verdict.measured) == (2, 1, 12, "captions.csv/dev")
    assert verdict.passed and verdict.same_space
    assert (verdict.difference, verdict.interval) == (0.0, (0.0, 0.0))
    assert all(before == after for _, before, after in verdict.rows)


def test_it_measures_what_an_evaluation_does(two_versions, photographs, tiny_model):
    verdict = compare_versions(two_versions, photographs)
    data = read(photographs, loader=tiny_model.image_preprocessor).dev
    metrics = evaluate(tiny_model, data).metrics
    measured = {name: value for name, value, _ in verdict.rows}
    assert measured["rsum"] == pytest.approx(metrics["rsum"])
    assert measured["text to image R@5"] == pytest.approx(metrics["text_to_image_recall@5"])
    assert measured["image to text R@10"] == pytest.approx(metrics["image_to_text_recall@10"])


def hits(*rows):
    """Whether each of some queries finds a right answer among the first 1, 5 and 10."""
    return np.array([[k >= rank for k in gate.KS] for rank in rows])


@pytest.fixture
def told(monkeypatch, two_versions, photographs):
    """A function of the ranks of both versions' queries that returns the verdict of them."""

    def verdict(current, candidate, **how):
        found = iter([(current, b"one"), (candidate, b"other")])
        monkeypatch.setattr(gate, "_measured", lambda *_: next(found))
        return compare_versions(two_versions, photographs, **how)

    return verdict


def test_the_difference_and_its_interval(told):
    """By hand: of 12 pictures one loses its place among the first, 1 of 12 by all three recalls: -25 points."""
    before = {"image_to_text": hits(*[1] * 12), "text_to_image": hits(*[1] * 24)}
    after = before | {"image_to_text": hits(11, *[1] * 11)}
    verdict = told(before, after)
    assert verdict.difference == pytest.approx(-25)
    assert not verdict.passed and not verdict.same_space
    # Drawn 12 times of 12, the picture is there n times with the binomial's chances: 0 at 2.5 %, 3 at 97.5 %.
    assert verdict.interval == pytest.approx((-75, 0))
    assert "is worse" in verdict.sentence and "chance alone could make" in verdict.sentence
    assert told(before, after, tolerance=25).passed
    better = told(after, before)
    assert better.passed and better.difference == pytest.approx(25)


def test_captions_of_a_picture_are_drawn_with_it(told):
    before = {"image_to_text": hits(*[1] * 12), "text_to_image": hits(*[1] * 24)}
    after = before | {"text_to_image": hits(11, 11, *[1] * 22)}  # both captions of the first picture
    verdict = told(before, after)
    assert verdict.difference == pytest.approx(-25)
    assert verdict.interval == pytest.approx((-75, 0))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"candidate": 1}, r"Expected a version before 1 in .*\[1, 2\]"),
        ({"candidate": 2, "current": 2}, "version 2 against itself"),
        ({"candidate": 7, "current": 1}, r"Expected version to be among \[1, 2\]"),
        ({"tolerance": -1.0}, "Received: tolerance=-1.0"),
        ({"split": "nowhere"}, "no records of split 'nowhere'"),
    ],
)
def test_refusals(two_versions, photographs, how, message):
    with pytest.raises(MmkerasError, match=message):
        compare_versions(two_versions, photographs, **how)


def test_a_picture_that_cannot_be_read_is_named(two_versions, photographs):
    (photographs.parent / "3.png").write_bytes(b"no picture")
    with pytest.raises(MmkerasError, match="encode_image"):
        compare_versions(two_versions, photographs)


def test_the_command_tells_by_its_exit_code(two_versions, photographs, monkeypatch, capsys):
    assert main(["gate", str(two_versions), "--data", "glyphs", "--against", "1"]) == 0
    shown = capsys.readouterr().out
    assert "rsum" in shown and "Both embed in one space" in shown
    assert "Version 2 is no worse than version 1: rsum +0.0" in shown
    monkeypatch.setattr(gate.GateVerdict, "passed", False)
    assert main(["gate", str(two_versions), "--data", str(photographs)]) == 1
    assert "Version 2 is worse" in capsys.readouterr().out
