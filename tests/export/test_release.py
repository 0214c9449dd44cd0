"""A release is a whole version folder or none: numbered up, with all that belongs to it."""

import dataclasses
import errno
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.data import Glyphs
from mmkeras.errors import MmkerasError
from mmkeras.export import export_run, release, space_id
from mmkeras.export.release import next_version
from mmkeras.models.adversarial_backprop import AdversarialBackprop
from mmkeras.parity import golden_of
from mmkeras.query import find_index
from mmkeras.search import EmbeddingIndex
from mmkeras.search.array_writer import ArrayWriter
from mmkeras.serving.versions import list_versions
from mmkeras.training import Recipe, Run, train


def test_a_version_holds_all_that_belongs_to_it(tiny_version):
    assert tiny_version.name == "1"
    files = {path.relative_to(tiny_version).as_posix() for path in tiny_version.rglob("*") if path.is_file()}
    extra = {"tf_serving_warmup_requests", "golden.npz", "space.json", "model_card.md"}
    segment = {"items.jsonl", "items.offsets.npy", "items.sqlite", "image_embeddings.npy", "text_embeddings.npy"}
    index = {"index.json", *(f"segment-1/{name}" for name in segment | {"pictures.zip"})}
    assert {"saved_model.pb", "variables/variables.index"} <= files
    assert {f"assets.extra/{name}" for name in extra} | {f"assets.extra/index/{name}" for name in index} <= files
    assert [child.name for child in tiny_version.parent.iterdir()] == ["1"]  # nothing else, hidden or not


def test_space_json_tells_the_space_and_the_preprocessing(tiny_version, tiny_model):
    space = json.loads((tiny_version / "assets.extra" / "space.json").read_text())
    assert space["space_id"] == space_id(tiny_model)
    assert (space["dim"], space["system"], space["match"], space["rerank"]) == (16, "DualEncoder", "cosine", 0)
    assert space["image_preprocessor"]["config"]["aspect"] == "pad"
    text = keras.saving.deserialize_keras_object(space["text_preprocessor"])
    np.testing.assert_array_equal(text(["snowman"]), tiny_model.text_preprocessor(["snowman"]))


def test_space_json_tells_what_scores_say(tiny_version, tiny_model):
    """Of dev's pairs, as they are told one by one."""
    from mmkeras.data.sources import load_source

    scores = json.loads((tiny_version / "assets.extra" / "space.json").read_text())["scores"]
    index = EmbeddingIndex(tiny_version / "assets.extra" / "index")
    dev = load_source("glyphs", "dev", limit=60)
    rows = index.rows_of(dev.image_names)
    answered = sorted({text for image, text in dev.pairs.tolist() if dev.image_names[image] in rows})
    assert len(answered) > 1
    searches = tiny_model.encode_text([dev.texts[text] for text in answered]) @ index.embeddings("image").T
    assert scores["random_mean"] == pytest.approx(float(searches.mean()), abs=1e-4)
    assert scores["random_deviation"] == pytest.approx(float(searches.std()), abs=1e-4)
    best = searches.max(axis=1)
    assert sum(best >= scores["threshold"] - 1e-4) >= 0.9 * len(best)
    assert sum(best > scores["threshold"] + 1e-4) < 0.9 * len(best)


def test_the_model_card_tells_what_is_served_and_measured(tiny_version, tiny_model, tiny_run):
    card = (tiny_version / "assets.extra" / "model_card.md").read_text()
    metrics = json.loads(tiny_run.file("metrics.json").read_text())
    assert space_id(tiny_model) in card
    for words in ("encode_text", "encode_image", "encode_pixels", "match", "describe", "uint8 (N, 32, 32, 3)"):
        assert words in card
    assert metrics["data"] == "glyphs/dev" and "glyphs/dev" in card and "glyphs/train" in card


def test_the_index_holds_all_items_and_marks_the_unseen(tiny_version, tiny_model):
    from mmkeras.data.sources import load_source

    index = EmbeddingIndex(tiny_version / "assets.extra" / "index")
    everything = load_source("glyphs", "all", limit=60).one_image_an_item()
    trained = load_source("glyphs", "train", limit=60)
    assert [item["id"] for item in index.items] == everything.image_names
    assert [item["text"] for item in index.items] == everything.texts
    seen = {item["id"] for item in index.items if item["seen"]}
    assert seen == set(everything.image_names) & set(trained.image_names)
    assert 0 < len(seen) < len(index)
    index.check_space(space_id(tiny_model))
    # Each text finds itself among the texts, and its row has the embedding of its own picture.
    row = 7
    found = index.search(tiny_model.encode_text([everything.texts[row]]), "text", 1)[0][0]
    assert found.item["text"] == everything.texts[row] and found.score == pytest.approx(1, abs=1e-4)
    embedding = tiny_model.encode_image([index.picture(index.items[row])])
    np.testing.assert_allclose(embedding, tiny_model.encode_image(everything.images[row : row + 1]), atol=1e-5)


def test_versions_number_up_and_one_run_has_one_space(tiny_run, tiny_version, tmp_path):
    to = tmp_path / "models" / "tiny"
    for name in ("9", "10", "not-a-version", ".tmp-77", "²"):
        (to / name).mkdir(parents=True)
    version = export_run(tiny_run, to)
    assert version == to / "11"
    spaces = [json.loads((v / "assets.extra" / "space.json").read_text()) for v in (version, tiny_version)]
    assert spaces[0] == spaces[1]


def test_the_first_version_is_1(tmp_path):
    assert next_version(tmp_path / "missing") == 1
    assert next_version(tmp_path) == 1


@pytest.mark.slow
def test_another_training_has_another_space(tiny_model, tmp_path, small_preset):
    settings = [f"preset={small_preset}", "limit=60", "epochs=1", "batch_size=32", "deterministic=false", "seed=1"]
    run = Run.create(tmp_path / "other", "glyphs_tiny", Recipe.load("glyphs_tiny", settings))
    assert space_id(train(run, verbose=0)) != space_id(tiny_model)


@pytest.mark.parametrize("to", ["savedmodels/glyphs/1", "."])
def test_a_version_or_no_name_is_no_models_folder(tiny_run, to, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MmkerasError, match="Expected the folder of a model, such as savedmodels/glyphs"):
        export_run(tiny_run, to)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_is_not_exported(run_copy, tmp_path):
    run_copy.update(finished=False)
    with pytest.raises(MmkerasError, match="has not finished"):
        export_run(run_copy, tmp_path / "models" / "tiny")
    assert not (tmp_path / "models").exists()


def test_damaged_metrics_are_named(run_copy, tmp_path, tiny_model):
    run_copy.file("metrics.json").write_text("{")
    with pytest.raises(MmkerasError, match=r"metrics\.json is damaged: .* mmkeras evaluate"):
        export_run(run_copy, tmp_path / "tiny", model=tiny_model)
    assert not (tmp_path / "tiny").exists()


ARCHIVE = type(keras.export.ExportArchive())  # a class of the backend


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def tensorflow_no_space(*_, **__):
    raise tf.errors.ResourceExhaustedError(None, None, "variables/variables.data; No space left on device")


@pytest.mark.parametrize(
    "target, name, full",
    [
        (ARCHIVE, "write_out", tensorflow_no_space),
        (ARCHIVE, "write_out", no_space),
        (np, "savez", no_space),
        (tf.io, "TFRecordWriter", tensorflow_no_space),
        (ArrayWriter, "append", no_space),
    ],
    ids=["saved-model-tensorflow", "saved-model-system", "golden", "warm-up", "index"],
)
def test_a_full_disk_leaves_no_version_and_no_rest(tiny_run, tiny_model, tmp_path, monkeypatch, target, name, full):
    to = tmp_path / "tiny"
    (to / "1").mkdir(parents=True)
    if target is not ARCHIVE:
        # What comes before the full disk is not the matter here, and takes seconds.
        monkeypatch.setattr(release, "export_saved_model", lambda model, folder, **bounds: None)
        monkeypatch.setattr(release, "written_signatures", lambda folder: {})
    monkeypatch.setattr(target, name, full)
    with pytest.raises(MmkerasError, match="could not be written: .*No space left on device") as caught:
        export_run(tiny_run, to, model=tiny_model)
    assert re.search(r"\bat 0x|Traceback", str(caught.value)) is None
    assert [child.name for child in to.iterdir()] == ["1"]
    assert list((to / "1").iterdir()) == []


@pytest.mark.parametrize("paired", [True, False])
def test_a_large_index_stands_beside_the_versions(tiny_run, tiny_model, tmp_path, monkeypatch, paired):
    monkeypatch.setattr(release, "export_saved_model", lambda model, folder, **bounds: None)
    monkeypatch.setattr(release, "written_signatures", lambda folder: {})
    monkeypatch.setattr(release, "LARGE_INDEX", 10)
    if not paired:
        write = release.write_item_index

        def one_text_too_many(folder, model, identity, data, seen):
            pairs = data.pairs[data.pairs[:, 1] != data.pairs[0, 1]]
            return write(folder, model, identity, dataclasses.replace(data, pairs=pairs), seen)

        monkeypatch.setattr(release, "write_item_index", one_text_too_many)
    version = export_run(tiny_run, tmp_path / "tiny", model=tiny_model)
    names = {"1", "index-1"} | (set() if paired else {"index-1_of_texts"})
    assert {child.name for child in (tmp_path / "tiny").iterdir()} == names
    assert not (version / "assets.extra" / "index").exists()
    assert find_index(version, "omega").folder == tmp_path / "tiny" / "index-1"
    texts = find_index(version, __file__).folder  # a path means a picture
    assert texts.name == ("index-1" if paired else "index-1_of_texts")
    space = json.loads((texts / "space.json").read_text())
    assert space["space_id"] == EmbeddingIndex(texts).space_id
    assert list_versions(tmp_path / "tiny") == {1: version}
    shutil.rmtree(version)
    assert next_version(tmp_path / "tiny") == 2  # the index that is left is nobody else's
    monkeypatch.setattr(release, "point_to", no_space)
    with pytest.raises(MmkerasError, match="could not be written"):
        export_run(tiny_run, tmp_path / "tiny", model=tiny_model)
    assert {child.name for child in (tmp_path / "tiny").iterdir()} == names - {"1"}
    (version / "assets.extra").mkdir(parents=True)
    (version / "assets.extra" / "indexes.json").write_text("[]")
    with pytest.raises(MmkerasError, match=r"indexes.json is damaged"):
        find_index(version, "omega")


def test_a_release_of_categories(tiny_model, tmp_path):
    """Its signatures, examples and card tell the categories, and the card that there were no pairs."""
    category_names = Glyphs().category_names
    parts = ("image_encoder", "text_encoder", "image_preprocessor", "text_preprocessor")
    model = AdversarialBackprop(*(getattr(tiny_model, part) for part in parts), label_names=category_names)
    recipe = Recipe(preset="adversarial_backprop_glyphs", targets="category", limit=60)
    run = Run.create(tmp_path / "run", "glyphs_adversarial_backprop", recipe)
    version = export_run(run, tmp_path / "categories", model=model)
    golden = golden_of(version)
    labels = golden["classify_image"]["outputs"]["labels"]
    assert [name.decode() for name in labels[0]] == list(category_names)
    probabilities = golden["classify_text"]["outputs"]["probabilities"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    texts = {item["text"] for item in EmbeddingIndex(version / "assets.extra" / "index").items}
    assert "GREEK" in category_names and not any(text.startswith("GREEK") for text in texts)
    card = (version / "assets.extra" / "model_card.md").read_text()
    assert "No pairs were used in training." in card
    assert f"It knows {len(category_names)} categories, one an item" in card
    assert f"`probabilities: float32 (N, {len(category_names)})`" in card
    assert "leave it out of queries too" in card
    assert json.loads((version / "assets.extra" / "space.json").read_text())["system"] == "AdversarialBackprop"


def test_no_more_is_read_than_an_export_shows(tiny_run, tiny_model, tmp_path, monkeypatch):
    """Of dev a few for the golden examples; of train and dev, as they are counted and paired, no picture."""
    asked, load = [], Run.load_splits

    def load_splits(run, splits, loader, unread=False, limit=0):
        asked.append((*splits, unread, limit))
        return load(run, splits, loader, unread, limit)

    monkeypatch.setattr(Run, "load_splits", load_splits)
    export_run(tiny_run, tmp_path / "tiny", tiny_model)
    assert asked == [("dev", False, 64), ("all", False, 0), ("train", "dev", True, 0)]


def test_the_smaller_of_two_limits_holds(tiny_run):
    own = tiny_run.recipe.limit
    for limit, texts in ((0, own), (3, 3), (own + 5, own)):
        assert len(tiny_run.load_data("dev", None, limit=limit).texts) == texts
