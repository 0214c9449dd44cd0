"""The studies behind the tables in docs/: they start, and what they say of their variants is so."""

import dataclasses
import importlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.training import Recipe


@pytest.fixture
def study(repository, monkeypatch):
    """A function of a study's name that imports it as it is run."""
    monkeypatch.syspath_prepend(str(repository / "scripts" / "studies"))
    return importlib.import_module


@pytest.mark.parametrize(
    "name",
    [
        "studies/adversarial_backprop",
        "studies/cm_gan",
        "studies/cm_gan_glyphs",
        "studies/flickr8k_pretrained",
        "studies/modality_invariant",
        "studies/modality_invariant_flickr8k",
        "studies/photos",
        "studies/photos_by_class",
        "studies/soft_mask",
        "studies/soft_mask_flickr8k",
        "studies/wikipedia_baselines",
        "studies/wikipedia_texts",
        "benchmarks/latency",
        "benchmarks/on_device",
        "benchmarks/search",
    ],
)
def test_the_help_is_told(repository, name):
    command = [sys.executable, str(repository / "scripts" / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_the_list_of_studies_names_each_with_as_many_variants_as_it_has(study, repository):
    folder = repository / "scripts" / "studies"
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in sorted(folder.glob("*.py")) if f"`{file.name}`" not in told] == []
    variants = re.findall(r"^\| `(\w+)\.py` .* (\d+) variants", told, re.MULTILINE)
    assert len(variants) == 9
    for name, count in variants:
        assert len(getattr(study(name), "TRAINED", study(name).VARIANTS)) == int(count), name


@pytest.mark.parametrize("name, epochs", [("modality_invariant", 10), ("modality_invariant_flickr8k", 8)])
def test_every_variant_of_the_stages_has_as_many_epochs_in_all(study, name, epochs):
    for variant, parts in study(name).VARIANTS.items():
        stages = next(part for part in parts if isinstance(part, list))
        settings = {"preset": "modality_invariant_glyphs", "learning_rate": 4e-3, "stages": stages}
        assert not stages or Recipe.from_settings(settings).epochs == epochs, variant


def test_the_method_of_the_study_is_the_recipe(study):
    recipe = Recipe.load("glyphs_modality_invariant")
    settings = study("ablation").recipe_settings("glyphs_modality_invariant")
    measured = Recipe.from_settings(settings | {"stages": study("modality_invariant").ALL_NEGATIVES}).stages
    for one, other in zip(measured, recipe.stages, strict=True):
        # Arguments that a stage before has set hold on.
        other = dataclasses.replace(other, arguments=one.arguments | other.arguments)
        assert one == other


def test_changes_are_laid_over_settings_at_every_depth(study):
    settings = {"arguments": {"margin": 0.5, "adversary": {"weight": 0.1, "objective": "fooling"}}, "model": "A"}
    changed = study("ablation").laid_over(settings, {"arguments": {"adversary": {"weight": 0.0}}, "model": "B"})
    assert changed == {"arguments": {"margin": 0.5, "adversary": {"weight": 0.0, "objective": "fooling"}}, "model": "B"}
    assert settings["arguments"]["adversary"]["weight"] == 0.1 and settings["model"] == "A"


def preset_and_recipe(study, monkeypatch, name, variant, folder):
    """What a variant of a study would train: a `Preset` and a `Recipe`."""
    from mmkeras.models import Preset

    runs = []
    module = study(name)
    for holder in (module, study("ablation")):
        monkeypatch.setattr(
            holder, "train_run", lambda folder, name, recipe, kind=None: runs.append(recipe), raising=False
        )
    module._train(variant, 0, folder / f"{variant}-seed0")
    return Preset.load(runs[0].preset), runs[0]


@pytest.mark.parametrize(
    "name", ["adversarial_backprop", "modality_invariant", "modality_invariant_flickr8k", "cm_gan"]
)
def test_a_modality_classifier_has_the_recipes_optimizer_wherever_it_has_one(study, monkeypatch, tmp_path, name):
    """Quick and without a long memory, in every stage, whatever learning rate the encoders have."""
    monkeypatch.setenv("MMKERAS_DATA", str(tmp_path))
    (tmp_path / "hub" / "mobilenet_v2").mkdir(parents=True)
    published = Recipe.load("glyphs_modality_invariant").optimizers["classifier"]
    for variant in study(name).VARIANTS:
        preset, recipe = preset_and_recipe(study, monkeypatch, name, variant, tmp_path)
        steps = preset.arguments.get("adversary", {}).get("classifier_steps")
        expected = {"classifier": published} if steps else {}
        for stage in recipe.training_stages:
            assert stage.optimizers == expected, (variant, stage.name)


def test_the_control_with_un_normalised_embeddings_shows_those_to_the_classifier(study, monkeypatch, tmp_path):
    import keras

    import mmkeras.models

    preset, _ = preset_and_recipe(study, monkeypatch, "modality_invariant", "B6", tmp_path)
    texts = ["one word", "two words", "a word", "words"]
    model = getattr(mmkeras.models, preset.model).from_preset(preset, texts=texts)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), "uint8")
    batch = {"image": images, "token_ids": model.text_preprocessor(texts), "image_id": np.arange(4)}
    shown = model(batch, training=True)
    assert (np.linalg.norm(shown["image_embedding"], axis=-1) > 2).all()
    plain = mmkeras.models.ModalityInvariant(model.image_encoder, model.text_encoder, adversary=model.adversary)
    unit = plain(batch, training=True)
    np.testing.assert_allclose(keras.ops.normalize(shown["image_embedding"]), unit["image_embedding"], atol=1e-5)
    plain.margin = model.margin
    ours, theirs = (one.compute_losses(batch, outputs) for one, outputs in ((model, shown), (plain, unit)))
    assert float(ours["triplet_loss"]) == pytest.approx(float(theirs["triplet_loss"]), rel=1e-5)
    assert float(ours["modality_loss"]) != pytest.approx(float(theirs["modality_loss"]), rel=1e-3)


def test_every_variant_of_cm_gan_is_built_and_differs_from_the_others(study):
    from mmkeras.models import CMGAN, Preset

    module = study("cm_gan")
    presets = {variant: module.preset_of(variant) for variant in module.VARIANTS}
    settings = [module.VARIANTS[variant][1] for variant in presets]
    assert len({str(each) for each in zip(presets.values(), settings, strict=True)}) == len(presets)
    for variant, preset in presets.items():
        Recipe.load(module.RECIPE, [f"{key}={value}" for key, value in module.VARIANTS[variant][1].items()])
        if preset["model"] == "CMGAN":
            small = {"autoencoder": {"units": 2}, "discriminators": {"hidden": 2}}
            assert CMGAN.from_preset(preset, label_names=("art", "war"), **small)
    assert presets["full"]["arguments"] == Preset.load("cm_gan_wikipedia").arguments


def test_variants_of_a_preset_differ_from_each_other_and_train(study):
    """In the model's arguments or the recipe."""
    from mmkeras import models

    module = study("cm_gan_glyphs")
    changes = {variant: parts[1] for variant, parts in module.VARIANTS.items()}
    assert len({str(each) for each in changes.values()}) == len(changes)
    recipe = Recipe.load(module.RECIPE)
    assert recipe.preset == module.PRESET
    for variant, arguments in changes.items():
        preset = module.preset_of(variant)
        names = {"label_names": ("art", "war")} if recipe.targets else {}
        model = getattr(models, preset["model"]).from_preset(preset, texts=["one word", "two words"], **names)
        assert model.autoencoder.share_category_head == arguments["autoencoder"]["share_category_head"]
        assert model.adversarial == arguments.get("adversarial", True)


@pytest.mark.slow
@pytest.mark.parametrize("name, data", [("glyphs_soft_mask", {}), ("flickr8k_soft_mask", {"image_folder": "a"})])
def test_variants_of_soft_mask_are_the_recipes_stages_after_its_first(study, tmp_path, name, data):
    from mmkeras.models import SoftMask

    module, published = study("soft_mask"), Recipe.load(name)
    recipes = {
        variant: module.variant_of(variant, 3, tmp_path / f"{variant}-seed3", name, data) for variant in module.VARIANTS
    }
    align = recipes.pop("align")
    assert align.stages == published.stages[:1] and not align.initial_weights
    assert recipes["all"].stages == published.stages[1:]
    changed = ("preset", "stages", "epochs", "seed", "initial_weights", *data)
    own = {key: getattr(published, key) for key in changed}
    presets, changes = {}, set()
    for variant, recipe in recipes.items():
        assert dataclasses.replace(recipe, **own) == published, variant
        assert (recipe.seed, recipe.initial_weights) == (3, str(tmp_path / "align-seed3"))
        assert all(getattr(recipe, key) == value for key, value in data.items())
        presets[variant] = json.loads((tmp_path / f"{variant}.json").read_text())
        changes.add(str((recipe.stages, presets[variant]["arguments"])))
        model = SoftMask.from_preset(recipe.preset, texts=["one word", "two words"])
        for stage in recipe.stages:
            model.set_stage(stage.trains, **stage.arguments)
        masks = {"hard": "hard", "random": "random", "none": "none"}.get(variant, "soft")
        assert (model.soft_masking.mask_mode, bool(model.loss_weights["soft_matching"])) == (
            masks,
            variant not in ("plain", "focal", "views"),
        )
        one_view = variant in ("plain", "focal", "soft")
        assert model.mask_text is not one_view
        assert {stage.augment_distortion for stage in recipe.stages} == ({""} if one_view else {"shape"})
        assert (model.gamma == 0) == (variant in ("plain", "soft", "views"))
    assert len(changes) == len(recipes)


@pytest.mark.parametrize(
    "name, variant, epochs",
    [
        ("cm_gan_glyphs", "one-head", 30),
        ("adversarial_backprop", "A6", 80),
    ],
)
def test_a_run_of_a_variant_takes_its_preset_its_seed_and_its_settings(
    study, monkeypatch, tmp_path, name, variant, epochs
):
    runs = []
    monkeypatch.setattr(
        study("ablation"), "train_run", lambda folder, name, recipe, kind: runs.append((folder, recipe))
    )
    study(name)._train(variant, 3, tmp_path / f"{variant}-seed3")
    [(folder, recipe)] = runs
    assert (folder.name, recipe.seed, recipe.epochs) == (f"{variant}-seed3", 3, epochs)
    assert recipe.preset == str(tmp_path / f"{variant}.json")
    assert json.loads((tmp_path / f"{variant}.json").read_text())["model"] in ("CMGAN", "AdversarialBackprop")


def test_the_aligned_encoders_are_trained_before_what_begins_with_them(study, monkeypatch, tmp_path):
    module, trained = study("soft_mask_flickr8k"), []

    def train_run(folder, name, recipe):
        trained.append((folder.name, recipe.data, bool(recipe.initial_weights)))
        folder.mkdir(parents=True)
        (folder / "model.keras").touch()

    monkeypatch.setenv("MMKERAS_DATA", "data")
    monkeypatch.setattr(study("soft_mask"), "train_run", train_run)
    for variant in ("plain", "all"):
        module._train(variant, 0, tmp_path / f"{variant}-seed0")
    data = "data/flickr8k/captions.jsonl"
    assert trained == [("align-seed0", data, False), ("plain-seed0", data, True), ("all-seed0", data, True)]
    monkeypatch.delenv("MMKERAS_DATA")
    with pytest.raises(ValueError, match="MMKERAS_DATA is unset"):
        module._train("plain", 1, tmp_path / "plain-seed1")


def test_the_authors_settings_are_the_defaults_of_cm_gan(study):
    import inspect

    from mmkeras.layers import CrossModalAutoencoder, CrossModalDiscriminators
    from mmkeras.models import CMGAN

    authors = study("cm_gan").preset_of("authors")
    parts = {"autoencoder": CrossModalAutoencoder, "discriminators": CrossModalDiscriminators}
    for name, given in ({"": authors["arguments"]} | {part: authors["arguments"][part] for part in parts}).items():
        signature = inspect.signature(parts.get(name, CMGAN)).parameters
        given = {key: value for key, value in given.items() if key not in (*parts, "units", "hidden")}  # sizes apart
        assert {key: signature[key].default for key in given} == given
    assert authors["image_encoder"]["scale"] == authors["text_encoder"]["scale"] == 1


def test_the_plot_joins_variants_that_there_are(study):
    module = study("adversarial_backprop")
    assert {variant for curve in module.CURVES.values() for variant in curve} <= set(module.VARIANTS)


def test_the_table_is_markdown_of_what_was_measured(repository, tmp_path):
    for seed, probe in ((0, 0.6), (1, 0.8)):
        folder = tmp_path / f"A0-seed{seed}"
        folder.mkdir()
        keys = ("modality_probe_linear", "proxy_a_distance", "mmd2", "image_to_text_map", "text_to_image_map")
        metrics = dict.fromkeys((*keys, "image_to_text_recall@10", "image_effective_rank"), 0.5)
        (folder / "dev.json").write_text(str(metrics | {"modality_probe": probe}).replace("'", '"'))
    script = repository / "scripts" / "studies" / "adversarial_backprop.py"
    command = [sys.executable, str(script), "--out", str(tmp_path), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "| A0: no adversary | 2 | 0.700 ± 0.141 | 0.500 ± 0.000 |" in done.stdout, done.stderr
    assert done.stdout.count("\n| A") == 1


def test_linear_cca_finds_what_two_views_share(study):
    """One direction is shared, and the second view sums to a constant, as histograms do."""
    random = np.random.default_rng(0)
    shared = random.normal(size=400)
    one = np.column_stack([random.normal(size=400), shared + random.normal(size=400), random.normal(size=400)])
    other = np.column_stack([shared, random.normal(size=400)])
    other = np.column_stack([other, 7 - other.sum(axis=1)])
    variates = [
        project(rows)
        for project, rows in zip(study("wikipedia_baselines").fit_cca(one, other), (one, other), strict=True)
    ]
    assert [each.shape for each in variates] == [(400, 2), (400, 2)]
    for each in variates:
        np.testing.assert_allclose(each.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(each.T @ each / 400, np.eye(2), atol=1e-9)
    between = variates[0].T @ variates[1] / 400
    np.testing.assert_allclose(between, np.diag(np.diag(between)), atol=1e-9)
    assert abs(np.corrcoef(variates[1][:, 0], shared)[0, 1]) > 0.99
    assert 0.6 < between[0, 0] < 0.8 and between[1, 1] < 0.2  # 1 / sqrt(2), and nothing
    with_regression = np.linalg.lstsq(np.column_stack([other[:, :2], np.ones(400)]), variates[0][:, 0], rcond=None)
    explained = 1 - with_regression[1][0] / 400
    assert between[0, 0] == pytest.approx(explained**0.5, rel=1e-6)


def test_the_baselines_are_measured_beside_each_other(study, tmp_path, monkeypatch, capsys):
    """Categories are the signs of a shared number: both methods beat chance, which is about one half."""
    random = np.random.default_rng(0)
    arrays = {"categories": np.array(["minus", "plus"])}
    for split, rows in (("train", 200), ("val", 60)):
        shared = random.normal(size=rows)
        arrays |= {
            f"image_{split}": np.column_stack([random.normal(size=(rows, 3)), shared]),
            f"text_{split}": np.column_stack([random.normal(size=rows), -shared]),
            f"label_{split}": 1 + (shared > 0),
        }
    np.savez(tmp_path / "toy.npz", **arrays)
    methods = ["chance", "cca", "semantic"]
    monkeypatch.setattr(
        sys, "argv", ["study", "--data", str(tmp_path / "toy.npz"), "--seeds", "0", "1", "--", *methods]
    )
    study("wikipedia_baselines").main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ").partition(":")[0] for row in rows] == methods
    assert [row[1] for row in rows] == ["2", "1", "1"]
    figures = [float(row[2].partition(" ")[0]) for row in rows]
    assert 0.45 < figures[0] < 0.6 and min(figures[1:]) > 0.75


def test_raw_texts_become_captions_with_features_beside_them(study, tmp_path):
    from mmkeras.data import load_source

    features = {"categories": np.array(["art", "war"])}
    for split, rows in (("train", [0, 1]), ("val", [2])):
        features |= {
            f"id_{split}": np.array([f"section-{row}" for row in rows]),
            f"image_{split}": np.array([[row, -row] for row in rows], np.float32),
            f"label_{split}": np.array([1 + row % 2 for row in rows], np.int16),
        }
    texts = [{"text_id": f"section-{row}", "text": f"text of \u00fc {row}\n"} for row in range(3)]
    study("wikipedia_texts").write_captions(features, texts, tmp_path / "out")
    source, folder = tmp_path / "out" / "captions.jsonl", tmp_path / "out" / "images.npz"
    data = load_source(source, "train", image_folder=folder, targets="category")
    assert data.images.tolist() == [[0, 0], [1, -1]]
    assert [data.label_names[label] for label in data.label] == ["art", "war"]
    assert [text.strip() for text in data.texts] == ["text of \u00fc 0", "text of \u00fc 1"]
    assert load_source(source, "dev", image_folder=folder).image_names == ["section-2"]
    with pytest.raises(SystemExit, match="another order"):
        study("wikipedia_texts").write_captions(features, texts[::-1], tmp_path / "out")
