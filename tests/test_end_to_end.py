"""The commands one after another, each in a process of its own, as a user types them."""

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from mmkeras.search import EmbeddingIndex

pytestmark = pytest.mark.slow
OUTPUTS = 7  # of all signatures of a model of pictures without categories; the tolerant one has two


@pytest.fixture
def mmkeras(tmp_path, repository):
    """A function that runs a command in an empty folder and returns what it printed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(repository), "COLUMNS": "120"}

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "mmkeras.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*arguments, code=0):
        process = start(*arguments)
        out, err = process.communicate(timeout=180)
        assert process.returncode == code, out + err
        assert "Traceback" not in err
        return out if code == 0 else err

    run.start = start
    return run


def address_of(process):
    """Read what `serve` prints until it tells its address; killed, it fails, rather than waiting for ever."""
    timer = threading.Timer(180, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            if found := re.search(r"127\.0\.0\.1:\d+", line):
                return found[0]
    finally:
        timer.cancel()
    raise AssertionError(process.stderr.read())


@contextlib.contextmanager
def served(mmkeras, model):
    """Serve a model, and hand out the option that says where it answers."""
    server = mmkeras.start("serve", model, "--port", "0")
    try:
        yield ("--server", address_of(server))
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=60)
        finally:
            server.kill()
    assert server.returncode == 0


def test_from_a_recipe_to_an_answer(mmkeras, tmp_path):
    out = mmkeras("train", "glyphs_tiny", "limit=150", "batch_size=32", "epochs=2", "--out", "runs/tiny")
    assert "Next:    mmkeras evaluate runs/tiny" in out

    out = mmkeras("evaluate", "runs/tiny")
    assert "glyphs/dev" in out and "text to image" in out
    metrics = json.loads((tmp_path / "runs" / "tiny" / "metrics.json").read_text())
    assert metrics["data"] == "glyphs/dev" and 0 <= metrics["image_to_text_recall@1"] <= 1
    assert "<svg" in (tmp_path / "runs" / "tiny" / "report.html").read_text()

    for version in ("1", "2"):
        out = mmkeras("export", "runs/tiny", "--to", "savedmodels/tiny")
        assert f"Exported: savedmodels/tiny/{version}" in out
    assert mmkeras("parity", "savedmodels/tiny").count("equal") == OUTPUTS

    with served(mmkeras, "savedmodels/tiny") as address:
        index = EmbeddingIndex(tmp_path / "savedmodels" / "tiny" / "2" / "assets.extra" / "index")
        (tmp_path / "glyph.png").write_bytes(index.picture(index.items[3]))

        assert mmkeras("parity", "savedmodels/tiny", *address).count("equal") == OUTPUTS

        table = mmkeras("query", "exclamation mark", *address)
        assert "exclamation mark" in table and "U+" in table
        answer = json.loads(mmkeras("query", "exclamation mark", "--json", "-k", "3", *address))
        assert (answer["query"], answer["kind"]) == ("exclamation mark", "text")
        assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
        scores = [result["score"] for result in answer["results"]]
        assert scores == sorted(scores, reverse=True) and all(-1 <= score <= 1.0001 for score in scores)

        answer = json.loads(mmkeras("query", "glyph.png", "--json", "-k", len(index), *address))
        assert answer["kind"] == "image" and len(answer["results"]) == len(index)
        ids = [result["id"] for result in answer["results"]]
        assert sorted(ids) == sorted(item["id"] for item in index.items)

        mmkeras("query", "glyph.png", "--html", "answer.html", *address)
        page = (tmp_path / "answer.html").read_text()
        assert page.count("data:image/png;base64,") == 6 and page.count("<li>") == 5
        assert not re.search(r'(src|href)="http', page)

        err = mmkeras("query", "missing.png", *address, code=2)
        assert err == "mmkeras: error: There is no picture missing.png\n"


@pytest.mark.parametrize(
    "recipe, settings, told",
    [
        ("glyphs_adversarial_backprop", ("epochs=2", "reversal_ramp=1.0"), "No pairs were used in training."),
        ("glyphs_cm_gan", ("stages.features.epochs=1", "stages.game.epochs=1"), "and with a pair of another one."),
    ],
    ids=["AdversarialBackprop", "CMGAN"],
)
def test_a_system_of_categories_goes_the_same_way(mmkeras, tmp_path, recipe, settings, told):
    """Train, evaluate, export, parity, serve, query: and its signatures name categories."""
    mmkeras("train", recipe, "limit=150", "batch_size=32", *settings, "--out", "runs/tiny")
    assert "map" in mmkeras("evaluate", "runs/tiny").lower()
    metrics = json.loads((tmp_path / "runs" / "tiny" / "metrics.json").read_text())
    assert 0 <= metrics["image_to_text_map"] <= 1
    assert 0 <= metrics["modality_probe"] <= 1 and 0 <= metrics["untrained_modality_probe"] <= 1
    mmkeras("export", "runs/tiny", "--to", "savedmodels/tiny")
    extra = tmp_path / "savedmodels" / "tiny" / "1" / "assets.extra"
    assert told in (extra / "model_card.md").read_text()
    with served(mmkeras, "savedmodels/tiny") as address:
        parity = mmkeras("parity", "savedmodels/tiny", *address)
        assert parity.count("equal") == OUTPUTS + 8  # two outputs of two signatures a modality
        assert len(json.loads(mmkeras("query", "exclamation mark", "--json", *address))["results"]) == 5


def test_a_system_in_stages_goes_the_same_way(mmkeras, tmp_path):
    """Its stages show in the log and the report; what is exported holds nothing of the adversary."""
    stages = ("triplet", "classifier", "joint")
    settings = ("limit=150", "batch_size=32", *(f"stages.{name}.epochs=1" for name in stages))
    out = mmkeras("train", "glyphs_modality_invariant", *settings, "--out", "runs/staged")
    assert all(f"Stage {position} of 3: {name}" in out for position, name in enumerate(stages, 1))
    log = csv.DictReader((tmp_path / "runs" / "staged" / "log.csv").open())
    assert [row["stage"] for row in log] == list(stages)
    mmkeras("evaluate", "runs/staged")
    assert all(name in (tmp_path / "runs" / "staged" / "report.html").read_text() for name in stages)
    mmkeras("export", "runs/staged", "--to", "savedmodels/staged")
    with served(mmkeras, "savedmodels/staged") as address:
        assert mmkeras("parity", "savedmodels/staged", *address).count("equal") == OUTPUTS
        assert len(json.loads(mmkeras("query", "exclamation mark", "--json", *address))["results"]) == 5


def test_a_system_with_a_fusion_encoder_goes_the_same_way(mmkeras, tmp_path):
    """`match` is its matching head, in Keras and in the server alike."""
    settings = ("limit=150", "batch_size=32", "epochs=1")
    mmkeras("train", "glyphs_soft_mask", *settings, "--out", "runs/soft")
    row = next(csv.DictReader((tmp_path / "runs" / "soft" / "log.csv").open()))
    assert {"contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss"} <= set(row)
    assert "re-ranked" not in mmkeras("evaluate", "runs/soft", "--k-test", "0")
    assert "re-ranked" in mmkeras("evaluate", "runs/soft", "--k-test", "8")
    mmkeras("export", "runs/soft", "--to", "savedmodels/soft")
    extra = tmp_path / "savedmodels" / "soft" / "1" / "assets.extra"
    card = (extra / "model_card.md").read_text()
    assert "soft masks" in card and "8 re-ranked" in card
    # What it learnt is where another training begins.
    mmkeras("train", "glyphs_soft_mask", *settings, "initial_weights=runs/soft", "--out", "runs/tuned")
    with served(mmkeras, "savedmodels/soft") as address:
        parity = mmkeras("parity", "savedmodels/soft", *address)
        assert parity.count("equal") == OUTPUTS and "match" in parity
        results = json.loads(mmkeras("query", "exclamation mark", "--json", *address))["results"]
        matches = [result["match"] for result in results]
        assert len(matches) == 5 and matches == sorted(matches, reverse=True)
        plain = json.loads(mmkeras("query", "exclamation mark", "--json", "--rerank", "0", *address))["results"]
        assert len(plain) == 5 and "match" not in plain[0]
