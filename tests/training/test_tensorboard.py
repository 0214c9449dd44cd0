"""What TensorBoard shows of a run: its figures by epoch, what it finds, its settings and what came of them."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from mmkeras.data import PairedData
from mmkeras.training import hparams
from mmkeras.training.callbacks import RetrievalValidation
from mmkeras.training.hparams import write_figures, write_settings
from mmkeras.training.log import read_log
from mmkeras.training.retrieved_pictures import LINE, MARGIN, RIGHT, SIDE, RetrievedPictures

CELL = SIDE + 2 * MARGIN


def events(folder):
    """An `EventAccumulator` that read all event files that lie in a folder."""
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    return accumulator.Reload()


def values(folder, tag):
    """{epoch: value} of a scalar."""
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events(folder).Tensors(tag)}


def hparams_of(folder, tag):
    """What the hparams plugin reads of a summary."""
    content = events(folder).SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return getattr(plugin_data_pb2.HParamsPluginData.FromString(content), tag)


def picture(folder, epoch=0):
    (event,) = [event for event in events(folder).Tensors("retrieved_pictures") if event.step == epoch]
    return np.asarray(Image.open(io.BytesIO(event.tensor_proto.string_val[2])))


def test_a_run_shows_its_losses_recall_pictures_and_settings(tiny_run):
    folder = tiny_run.file("tensorboard")
    (row,) = read_log(tiny_run.file("log.csv"))
    assert values(folder / "train", "epoch_loss") == {0: pytest.approx(row["loss"])}
    for name in ("loss", "rsum", "image_to_text_recall@1", "text_to_image_recall@1"):
        assert values(folder / "validation", f"epoch_{name}") == {0: pytest.approx(row[f"val_{name}"])}
        assert values(folder, f"final/val_{name}") == {0: pytest.approx(row[f"val_{name}"])}
    assert picture(folder / "validation").shape == (6 * (LINE + CELL), 5 * CELL, 3)
    settings = hparams_of(folder, "session_start_info").hparams
    assert settings["recipe"].string_value == tiny_run.info["recipe"]
    assert settings["batch_size"].number_value == tiny_run.recipe.batch_size
    assert settings["deterministic"].bool_value == tiny_run.recipe.deterministic
    assert hparams_of(folder, "session_end_info").status == 1  # success


def test_settings_of_stages_and_optimizers_have_the_names_of_the_command_line():
    settings = {
        "epochs": 3,
        "data": "glyphs",
        "optimizers": {"classifier": {"learning_rate": 0.1}},
        "stages": [{"name": "first", "epochs": 1, "trains": ["text_encoder"], "arguments": {"margin": 0.2}}],
        "limit": None,
    }
    assert dict(hparams._scalars(settings)) == {
        "epochs": 3,
        "data": "glyphs",
        "optimizers.classifier.learning_rate": 0.1,
        "stages.first.epochs": 1,
        "stages.first.arguments.margin": 0.2,
    }


def test_final_figures_are_those_of_the_weights_that_were_kept(tmp_path):
    rows = [
        {"epoch": epoch, "stage": "one", "loss": 3.0 - epoch, "val_rsum": [1.0, 3.0, 2.0][epoch]} for epoch in range(3)
    ]
    write_settings(tmp_path, "mine", {"epochs": 3})
    write_figures(tmp_path / "best", rows, "val_rsum")
    write_figures(tmp_path / "last", rows)
    assert values(tmp_path / "best", "final/val_rsum") == {1: 3.0} and values(tmp_path / "best", "final/loss") == {
        1: 2.0
    }
    assert values(tmp_path / "last", "final/val_rsum") == {2: 2.0}
    assert "final/stage" not in events(tmp_path / "best").Tags()["tensors"]


def colours(**arguments):
    """Three pictures, red, green and blue, with a text each; arguments of `PairedData` take the place of others."""
    pictures = np.zeros((3, 4, 8, 3), np.uint8)
    for channel in range(3):
        pictures[channel, ..., channel] = 255
    of_all = {
        "name": "toy",
        "images": pictures,
        "texts": ["red", "green", "blue"],
        "image_id": np.arange(3),
        "text_image_id": np.arange(3),
        "pairs": np.repeat(np.arange(3, dtype=np.int32)[:, None], 2, axis=1),
    }
    return PairedData(**of_all | arguments)


def after_an_epoch(folder, data, **arguments):
    """What was written after an epoch in which each text found its own picture first, but the last, which found red."""
    validation = RetrievalValidation(data)
    validation.image_embedding = np.eye(3, dtype=np.float32)
    validation.text_embedding = np.array([[1, 0.5, 0], [0, 1, 0.5], [1, 0, 0.5]], np.float32)
    callback = RetrievedPictures(folder, validation, **arguments)
    callback.on_epoch_end(7)
    callback.on_train_end()


def cells(sheet):
    """The colour in the middle of each cell, and whether it has a frame: two arrays of 3 x 3."""
    found = np.array(
        [
            [sheet[row * (LINE + CELL) + LINE + CELL // 2, column * CELL + CELL // 2] for column in range(3)]
            for row in range(3)
        ]
    )
    framed = np.array(
        [[tuple(sheet[row * (LINE + CELL) + LINE, column * CELL]) == RIGHT for column in range(3)] for row in range(3)]
    )
    return found.argmax(axis=-1), framed


def test_pictures_stand_in_their_order_and_the_right_ones_have_a_frame(tmp_path):
    after_an_epoch(tmp_path, colours())
    order, framed = cells(picture(tmp_path, epoch=7))
    assert order.tolist() == [[0, 1, 2], [1, 2, 0], [0, 2, 1]]
    assert framed.tolist() == [[True, False, False], [True, False, False], [False, True, False]]


@pytest.mark.parametrize("several", [False, True])
def test_right_answers_by_category(tmp_path, several):
    label = np.array([0, 1, 1])
    label = np.eye(2, dtype=np.uint8)[label] if several else label.astype(np.int32)
    data = colours(label=label, text_label=label, label_names=("warm", "cold"))
    after_an_epoch(tmp_path, data, by_category=True)
    _, framed = cells(picture(tmp_path, epoch=7))
    assert framed.tolist() == [[True, False, False], [True, True, False], [False, True, True]]


def test_features_without_pictures_write_no_image(tmp_path):
    after_an_epoch(tmp_path / "events", colours(images=np.eye(3, dtype=np.float32)))
    assert not (tmp_path / "events").exists()


def test_a_long_text_is_cut_and_a_foreign_one_moves_nothing(tmp_path):
    after_an_epoch(tmp_path, colours(texts=["a dog " * 100, "\x1b[2J\n\n", "日本語"]))
    assert picture(tmp_path, epoch=7).shape == (3 * (LINE + CELL), 3 * CELL, 3)
