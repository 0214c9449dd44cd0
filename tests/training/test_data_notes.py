"""What is told of data before training, and of a run that learnt by heart after it."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import PairedData, relate_equal_texts
from mmkeras.preprocessing import TextPreprocessor
from mmkeras.training import Run, train
from mmkeras.training.data_notes import data_notes
from mmkeras.training.log import read_log
from mmkeras.training.memorisation import learnt_by_heart


def data_of(texts, seed=0, name="toy/train"):
    rows = np.arange(len(texts))
    return PairedData(
        name=name,
        images=np.random.default_rng(seed).integers(0, 256, (len(texts), 3, 3, 3), "uint8"),
        texts=texts,
        image_id=rows + 100 * seed,
        text_image_id=rows + 100 * seed,
        pairs=np.column_stack([rows, rows]).astype(np.int32),
        image_names=[f"{seed}-{row}.png" for row in rows],
    )


TRAIN = ["a dog", "a cat", "a dog", "two dogs by the sea in the evening"]
DEV = list("qrstuvwxyz")


def test_nothing_is_said_of_sound_data():
    tokenizer = TextPreprocessor.train(TRAIN, 60, 40)
    assert data_notes(data_of(["a dog", "a cat"]), data_of(DEV, 1), tokenizer) == []


def test_shared_and_cut_texts_are_counted():
    tokenizer = TextPreprocessor.train(TRAIN, 60, 6)
    lengths = [len(ids) for ids in tokenizer._pieces.encode(TRAIN)]
    assert tokenizer.count_cut(TRAIN) == sum(length > 6 for length in lengths) == 1
    shared, cut = data_notes(relate_equal_texts(data_of(TRAIN), tokenizer), data_of(DEV, 1), tokenizer)
    assert shared.startswith("2 of 4 texts stand at several images (1 different ones, such as 'a dog')")
    assert cut.startswith("25 % of the texts (1 of 4) are longer than the 6 ids")


def test_images_of_both_splits_are_counted_whatever_their_names():
    train_data, dev = data_of(["a", "b", "c", "d"]), data_of(DEV, 1, "toy/dev")
    dev.images[1] = train_data.images[2]
    [note] = data_notes(train_data, dev)
    assert note.startswith("1 of 10 images of toy/dev are in toy/train too, or copies of its images, such as '1-1.png'")
    again = dataclasses.replace(dev, images=dev.images[:, ::-1].copy(), image_item=np.array([2, *range(100, 109)]))
    assert "such as '1-0.png'" in data_notes(train_data, again)[0]


def test_what_was_left_out_is_counted():
    lost = ("c.jsonl, line 3: no picture", "c.jsonl, line 4: x")
    train_data = dataclasses.replace(data_of(["a", "b"]), left_out=lost)
    [note] = data_notes(train_data, dataclasses.replace(data_of(DEV, 1), left_out=lost[:1]))
    told = "Left out, since it cannot be read: 2 of the data, which mmkeras data check lists. The first: "
    assert note == f"{told}c.jsonl, line 3: no picture"


@pytest.mark.parametrize(("count", "told"), [(1, "1 image"), (9, "9 images"), (10, "")])
def test_a_dev_split_of_few_images_is_told(count, told):
    notes = data_notes(data_of(["a", "b"]), data_of(DEV[:count], 1, "toy/dev"))
    assert notes == [f"toy/dev has {told}: what is measured on so few says little"] * bool(told)


def test_texts_that_all_say_the_same_are_told():
    (note,) = data_notes(relate_equal_texts(data_of(["cats"] * 4)), data_of(DEV, 1))
    assert note.startswith("All 4 texts say the same, 'cats': ") and note.endswith("nothing can be learnt of them")


@pytest.mark.parametrize(
    ("loss", "val_loss", "rsum", "told"),
    [(0.13, 4.8, 48.0, True), (0.13, 4.8, 250.0, False), (2.0, 4.8, 48.0, False), (0.13, None, 48.0, False)],
)
def test_a_run_that_learnt_by_heart_is_told(tmp_path, create_run, loss, val_loss, rsum, told):
    """200 images and texts: chance has an rsum of 16."""
    run = create_run("run")
    columns = {"epoch": 0, "loss": loss, "val_loss": val_loss, "val_rsum": rsum}
    kept = {key: value for key, value in columns.items() if value is not None}
    run.file("log.csv").write_text(",".join(kept) + "\n" + ",".join(map(str, kept.values())) + "\n")
    note = learnt_by_heart(run, {"pictures": 200, "texts": 200})
    assert bool(note) == told
    if told:
        assert (
            "the training loss is 0.13, the validation loss 4.8, and rsum on held-out data 48.0, where chance has 16.0"
            in note
        )
        assert not learnt_by_heart(run, {"pictures": 200, "texts": 200, "rsum": 300.0})


def test_a_run_logs_its_validation_loss_tells_its_notes_and_is_found_from_elsewhere(
    tmp_path, small_preset, monkeypatch, capfd
):
    """Eight captions, four of them the same, dev a copy of a picture of train."""
    from mmkeras.training import Recipe

    lines = []
    for row in range(10):
        Image.new("RGB", (8, 8), (20 * row,) * 3).save(tmp_path / f"{row}.png")
        lines.append({"image": f"{row}.png", "split": "train" if row < 8 else "dev", "captions": [f"glyph {row % 5}"]})
    (tmp_path / "9.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.chdir(tmp_path)
    settings = [f"preset={small_preset}", "data=captions.jsonl", "batch_size=4", "epochs=2", "warmup_steps=100"]
    run = Run.create(tmp_path / "run", "glyphs_tiny", Recipe.load("glyphs_tiny", settings))
    train(run, verbose=2)
    notes = Run("run").info["notes"]
    assert [note.partition(" ")[0] for note in notes] == ["6", "1", "captions.jsonl/dev", "Warm-up:"]
    printed = capfd.readouterr().out
    assert all(f"Note: {note}" in printed for note in notes)
    rows = read_log(run.file("log.csv"))
    assert all(np.isfinite(row["val_loss"]) for row in rows) and len(rows) == 2
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = Run(tmp_path / "run")
    assert again.recipe.data == str(tmp_path / "captions.jsonl")
    assert len(again.load_data("dev", again.load_model().image_preprocessor).images) == 2
