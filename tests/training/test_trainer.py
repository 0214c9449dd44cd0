"""Training fills a run folder: log, checkpoint and a model that encodes."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from mmkeras import progress_display
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.models import DualEncoder
from mmkeras.training import Run, train
from mmkeras.training.log import read_log


def test_a_run_folder_holds_all_that_training_left(tiny_run):
    assert {child.name for child in tiny_run.folder.iterdir()} >= {
        "run.json",
        "log.csv",
        "tensorboard",
        "checkpoint.npz",
        "model.keras",
    }
    assert not list(tiny_run.folder.glob(".tmp-*"))
    assert Run(tiny_run.folder).finished
    (row,) = read_log(tiny_run.file("log.csv"))
    assert {"epoch", "loss", "learning_rate", "val_rsum", "val_image_to_text_recall@1"} <= set(row)
    assert np.isfinite(list(row.values())).all()
    with np.load(tiny_run.file("checkpoint.npz")) as checkpoint:
        step = int(checkpoint["step"])
    assert step == steps_of(tiny_run)


def test_a_run_remembers_its_time_and_the_size_of_its_parts(tiny_run, tiny_model):
    info = json.loads(tiny_run.file("run.json").read_text())
    assert 0 < info["training_seconds"] < 600
    parts = info["parameters"]
    assert list(parts) == ["image_encoder", "text_encoder", "rest"]
    assert parts["rest"] == 1  # the temperature
    for name in ("image_encoder", "text_encoder"):
        weights = getattr(tiny_model, name).weights
        assert parts[name] == sum(int(np.prod(weight.shape)) for weight in weights)


def steps_of(run):
    from mmkeras.data.sources import load_source

    return len(load_source("glyphs", "train", limit=run.recipe.limit).pairs) // run.recipe.batch_size


def test_a_terminal_gets_a_progress_bar_and_a_file_a_line_an_epoch(create_run, capsys, monkeypatch):
    train(create_run("file", "epochs=2"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "val_rsum" in line]
    assert [line[:9] for line in lines] == ["Epoch 1/2", "Epoch 2/2"] and "\x1b" not in "".join(lines)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(progress_display, "BAR_AFTER", 0)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)
    train(create_run("terminal", "epochs=1"))
    out = capsys.readouterr().out
    assert "━" in out and "/12 steps" in out
    told = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", out) if "val_rsum" in line]
    assert len(told) == 1 and told[0].startswith("Epoch 1/1  loss ") and len(told[0]) <= 80


def test_nothing_is_printed_where_nobody_wants_it(create_run, capfd):
    train(create_run("run", "epochs=1"), verbose=0)
    assert capfd.readouterr().out == ""


def test_the_learning_rate_warms_up_and_decays_to_nothing(create_run):
    run = create_run("run", "epochs=3", "warmup_steps=12", "learning_rate=0.01")
    model = train(run, verbose=0)
    rates = [row["learning_rate"] for row in read_log(run.file("log.csv"))]
    assert rates == pytest.approx([0.01, 0.005, 0.0], abs=1e-6)
    assert int(model.optimizer.iterations.numpy()) == 36
    # The model of the folder is the one that was returned.
    loaded, texts = run.load_model(), ["GREEK SMALL LETTER OMEGA", "SNOWMAN"]
    np.testing.assert_array_equal(loaded.encode_text(texts), model.encode_text(texts))
    np.testing.assert_allclose(np.linalg.norm(loaded.encode_text(texts), axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_a_warm_up_longer_than_training_trains(create_run):
    run = create_run("run", "epochs=1", "batch_size=384", "warmup_steps=999", "weight_decay=0", "gradient_clip=0")
    train(run, verbose=0)
    assert np.isfinite(read_log(run.file("log.csv"))[0]["loss"])


def test_mixed_precision_without_a_warm_up_gives_float32_embeddings(create_run):
    run = create_run("run", "epochs=1", "precision=mixed_float16", "warmup_steps=0")
    train(run, verbose=0)
    assert np.isfinite(read_log(run.file("log.csv"))[0]["loss"])
    keras.config.set_dtype_policy("float32")
    assert run.load_model().encode_text(["SNOWMAN"]).dtype == np.float32


def test_select_best_keeps_the_weights_of_the_best_epoch(create_run, monkeypatch):
    from mmkeras.training import callbacks

    values = iter([9.0, 1.0, 3.0, 2.0])  # before the training, which is no epoch, and of three epochs
    measured = callbacks.retrieval_metrics
    monkeypatch.setattr(callbacks, "retrieval_metrics", lambda *a: {**measured(*a), "rsum": next(values)})
    best = create_run("best", "epochs=3", "select=best")
    model = train(best, verbose=0)
    with np.load(best.file("best.npz")) as kept, np.load(best.file("checkpoint.npz")) as last:
        assert int(kept["step"]) == 1  # the epoch
        weights = [variable.numpy() for variable in model.trainable_variables]
        kept_weights = [kept[f"model/{position}"] for position in range(len(model.variables))]
        assert not all(np.array_equal(kept[key], last[key]) for key in kept.files if key.startswith("model/"))
    for weight in weights:
        assert any(np.array_equal(weight, one) for one in kept_weights)


def test_a_diverging_loss_ends_with_advice_and_without_a_model(create_run, monkeypatch):
    compute = DualEncoder.compute_losses
    times_nan = lambda *a, **k: {name: loss * float("nan") for name, loss in compute(*a, **k).items()}  # noqa: E731
    monkeypatch.setattr(DualEncoder, "compute_losses", times_nan)
    run = create_run("run", "epochs=2")
    with pytest.raises(MmkerasError, match="Training diverged: the loss of epoch 0 is nan"):
        train(run, verbose=0)
    assert not Run(run.folder).finished
    assert not run.file("model.keras").exists() and not run.file("log.csv").exists()


def test_too_large_a_batch_is_told_with_what_there_is(create_run):
    run = create_run("run", "batch_size=100000")
    with pytest.raises(MmkerasError, match="Expected batch_size from 2 to the 384 pairs of glyphs/train"):
        train(run, verbose=0)


def test_a_full_disk_at_the_end_is_told_and_training_is_not_lost(create_run, monkeypatch):
    run = create_run("run", "epochs=1")

    def full(self, file, **_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(DualEncoder, "save", full)
        with pytest.raises(MmkerasError, match=r"model\.keras could not be written: No space left on device"):
            train(run, verbose=0)
    assert not Run(run.folder).finished and not list(run.folder.glob(".tmp-*"))
    resumed = Run(run.folder)
    train(resumed, verbose=0)  # nothing is trained again: the model is written from the checkpoint
    assert resumed.finished and resumed.load_model().embedding_dim == 16


def test_a_run_on_tags_trains_without_pairs_and_keeps_the_epoch_of_the_best_map(create_run, small_preset, tmp_path):
    preset = json.loads(Path(small_preset).read_text()) | {"model": "AdversarialBackprop"}
    file = tmp_path / "tags.json"
    file.write_text(json.dumps(preset))
    run = create_run("tags", f"preset={file}", "targets=tags", "batch_size=16", "epochs=3", "select=best")
    model = train(run, verbose=0)
    assert model.multi_label and len(model.label_names) == 108
    rows = read_log(run.file("log.csv"))
    assert {"category_loss", "modality_loss", "modality_accuracy", "gradient_ratio", "val_map"} <= set(rows[0])
    assert "val_rsum" in rows[0]  # the glyphs are paired, though training did not know
    data = run.load_data("dev", model.image_preprocessor).one_image_an_item()
    found = evaluate(model, data).metrics
    best = max(row["val_map"] for row in rows)
    assert (found["image_to_text_map"] + found["text_to_image_map"]) / 2 == pytest.approx(best, abs=1e-5)


def test_a_system_of_categories_asks_for_targets(create_run, small_preset, tmp_path):
    preset = json.loads(Path(small_preset).read_text()) | {"model": "AdversarialBackprop"}
    file = tmp_path / "categories.json"
    file.write_text(json.dumps(preset))
    with pytest.raises(MmkerasError, match="AdversarialBackprop trains on categories. .* Received: targets=''"):
        train(create_run("none", f"preset={file}"), verbose=0)
