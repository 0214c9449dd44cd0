"""Which settings of a recipe reach which optimizer: the rate of each, and what is refused because it reaches none."""

import dataclasses
import json

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import Preset
from mmkeras.training import Recipe, Run, list_recipes, train
from mmkeras.training.log import read_log
from mmkeras.training.optimizer_settings import OptimizerSettings
from mmkeras.training.run_data import RunData
from mmkeras.training.stage_runner import StageRunner
from mmkeras.training.trainer import build_model

from ..encoders.published_folders import write_bert, write_vit

FEATURES = {"kind": "features", "hidden": [], "embedding_dim": 6}
TOKENS = {"depth": 1, "heads": 2, "embedding_dim": 6, "initializer_range": None}


def published(preset, folder):
    """A preset of the same system over two small published networks, each with a projection of its own."""
    image, text = write_vit(folder / "vit"), write_bert(folder / "bert", vocabulary=6)
    (text / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]))
    (text / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    own = dict(preset.settings)
    for side, checkpoint in (("image", str(image)), ("text", str(text))):
        own[f"{side}_preprocessor"] = {"kind": "published", "checkpoint": checkpoint}
        own[f"{side}_encoder"] = {"kind": "pretrained", "checkpoint": checkpoint, "embedding_dim": 6}
    return own


def small(preset):
    """A preset of the same system and arguments over small encoders: of features where the system takes such ones."""
    own = preset.settings | {
        "image_encoder": {**FEATURES, "features": 5},
        "text_encoder": {**FEATURES, "features": 3},
    }
    for key in ("image_preprocessor", "text_preprocessor"):
        own.pop(key, None)
    if preset.model == "SoftMask":
        own |= {
            "image_preprocessor": {"height": 8, "width": 8},
            "text_preprocessor": {"vocabulary_size": 60, "sequence_length": 6},
            "image_encoder": {"kind": "vit", "patch": 4, "token_width": 8, **TOKENS},
            "text_encoder": {"kind": "bert", "width": 8, **TOKENS},
        }
        own["arguments"] |= {"teacher": {"queue_size": 4}, "fusion": {"depth": 2, "heads": 2, "attention_block": 0}}
    return own


def write_features(file):
    generator = np.random.default_rng(0)
    arrays = {"categories": np.array(["art", "war", "sport"])}
    for split in ("train", "val"):
        for side, width in (("image", 5), ("text", 3)):
            arrays[f"{side}_{split}"] = generator.normal(size=(8, width)).astype("float32")
        arrays[f"label_{split}"] = np.arange(8) % 3 + 1
    np.savez(file, **arrays)


@pytest.fixture
def runner_of(tmp_path):
    """A function of a recipe and of settings over it that returns a `StageRunner`.

    System, stages and settings are the recipe's; encoders and data are small, so that a model takes no time.
    """

    def runner_of(name, *settings):
        recipe = Recipe.load(name, settings)
        preset = Preset.load(recipe.preset)
        pair = name == "pretrained_pair"  # which trains the networks below its projections
        (tmp_path / "preset.json").write_text(json.dumps(published(preset, tmp_path) if pair else small(preset)))
        write_features(tmp_path / "set.npz")
        changed = {"preset": str(tmp_path / "preset.json"), "batch_size": 2, "backbone": "", "image_folder": ""}
        changed |= {"data": str(tmp_path / "set.npz"), "targets": "category", "limit": 0}
        if pair or preset.model == "SoftMask":
            changed |= {"data": "glyphs", "targets": "", "limit": 4}
        else:
            changed |= {"augment_shift": 0}
        changed |= {} if recipe.epochs else {"epochs": 3}  # which it leaves to the data
        given = recipe.given
        recipe = dataclasses.replace(recipe, **changed)
        object.__setattr__(recipe, "given", given)
        run = Run.create(tmp_path / "run", name, recipe)
        built = recipe.load_preset()
        encoder = built.build_image_encoder()
        data = RunData(run, encoder, built.build_image_preprocessor())
        return StageRunner(run, build_model(built, data, encoder), data)

    return runner_of


def expected_rate(settings, total, step, steps_per_epoch):
    """The learning rate after so many batches of a stage of `total` ones, written anew."""
    peak = settings.learning_rate
    if settings.decay == "constant":
        return peak
    if settings.decay == "halving":
        return peak * 0.5 ** (step // (settings.halving_epochs * steps_per_epoch))
    warmup = settings.warmup_steps if settings.warmup_steps < total else total // 10
    warmup = round(settings.warmup_share * total) if settings.warmup_share else warmup
    if step < warmup:
        return peak * step / warmup
    share = min(1.0, (step - warmup) / (total - warmup))
    return settings.final_learning_rate + (peak - settings.final_learning_rate) * 0.5 * (1 + np.cos(np.pi * share))


@pytest.mark.parametrize("name", list_recipes())
def test_the_rate_of_each_optimizer_after_some_steps_of_each_stage(runner_of, name):
    # A stage that the recipe leaves out is trained where it is told to.
    runner = runner_of(name, *["stages.towers.epochs=2"] * (name == "pretrained_pair"))
    model = runner.model
    for stage in runner.recipe.training_stages:
        model.set_stage(stage.trains, **stage.arguments)
        runner._compile(stage)
        assert list(model.optimizers) == [*model.roles, *{"backbones"}.intersection(stage.optimizers)]
        for role, optimizer in model.optimizers.items():
            settings = stage.of_role(role)
            total = stage.epochs * runner.steps
            for step in (0, 1, runner.steps, total - 1):
                optimizer.iterations.assign(step * model.roles.get(role, 1))
                rate = float(optimizer.learning_rate)
                assert rate == pytest.approx(expected_rate(settings, total, step, runner.steps), rel=1e-4, abs=1e-9)
            assert (optimizer.beta_1, optimizer.beta_2) == (settings.adam_beta_1, settings.adam_beta_2)
            assert optimizer.global_clipnorm == (settings.gradient_clip or None)
            assert optimizer.weight_decay == (settings.weight_decay or None)


def test_a_stages_own_keys_reach_the_classifier_where_the_recipe_gives_it_no_table(runner_of, tmp_path):
    text = """
preset = "modality_invariant_glyphs"
learning_rate = 4e-3
weight_decay = 0.02
[[stages]]
name = "classifier"
epochs = 1
trains = ["modality_classifier"]
learning_rate = 1e-5
warmup_steps = 0
adam_beta_1 = 0.2
[[stages]]
name = "joint"
epochs = 1
[stages.optimizers.classifier]
learning_rate = 1e-2
decay = "constant"
"""
    (tmp_path / "mine.toml").write_text(text)
    runner = runner_of(str(tmp_path / "mine.toml"))
    found = []
    for stage in runner.recipe.training_stages:
        runner.model.set_stage(stage.trains, **stage.arguments)
        runner._compile(stage)
        found.append([float(np.max(runner.model.optimizers[role].beta_1)) for role in ("encoders", "classifier")])
        classifier = runner.model.optimizers["classifier"]
        found.append([float(classifier.learning_rate), classifier.weight_decay])
    assert found == [[0.2, 0.2], pytest.approx([1e-5, 0.02]), [0.9, 0.9], pytest.approx([1e-2, 0.02])]


@pytest.mark.parametrize(
    "name, settings, told",
    [
        (
            "glyphs_modality_invariant",
            ["stages.classifier.learning_rate=1e-5"],
            "stages.classifier.learning_rate reaches no optimizer: the stage trains by classifier alone, whose "
            "learning_rate stands in optimizers.classifier",
        ),
        ("glyphs_dual_encoder", ["optimizers.classifier.learning_rate=1e-5"], "Expected optimizers of roles of Dual"),
        (
            "glyphs_modality_invariant",
            ["stages.joint.optimizers.discriminator.learning_rate=1e-5"],
            "encoders, classifier. Received: optimizers.discriminator",
        ),
        ("glyphs_cm_gan", ["learning_rate=1e-5"], "learning_rate reaches no optimizer: every stage that trains has"),
        ("glyphs_dual_encoder", ["reversal_strength=2"], "reversal_strength reaches nothing: DualEncoder has no"),
    ],
)
def test_a_key_that_cannot_reach_what_it_names_is_refused(runner_of, name, settings, told):
    with pytest.raises(MmkerasError, match=told):
        runner_of(name, *settings)


def test_a_mistake_in_the_last_stage_is_told_before_the_first(runner_of, tmp_path):
    text = 'preset = "modality_invariant_glyphs"\n[[stages]]\nname = "one"\nepochs = 1\n[[stages]]\nname = "two"\n'
    (tmp_path / "mine.toml").write_text(text + 'epochs = 1\ntrains = ["audio_encoder"]\n')
    with pytest.raises(MmkerasError, match="Expected parts of ModalityInvariant: .*Received: audio_encoder"):
        runner_of(str(tmp_path / "mine.toml"))


def test_looking_ahead_leaves_the_model_as_it_was(runner_of):
    model = runner_of("glyphs_modality_invariant").model
    assert (model.negatives, model.adversary.weight) == ("hardest", 0.1)  # the preset's; stages change both
    assert all(part.trainable for part in model.parts.values())


@pytest.mark.parametrize(
    "overrides, told",
    [
        (["optimizers.classifier.rate=1"], "Unknown setting rate"),
        (["optimizers.classifier.learning_rate=0"], "optimizers.classifier: Expected learning_rate to be more than 0"),
        (["optimizers.classifier.decay=linear"], "optimizers.classifier: Expected decay to be one of"),
        (["optimizers.classifier.warmup_steps=3"], 'optimizers.classifier: .*with decay = "constant"'),
    ],
)
def test_a_table_of_an_optimizer_is_checked_as_the_recipe_is(overrides, told):
    with pytest.raises(MmkerasError, match=told):
        Recipe.load("glyphs_adversarial_backprop", overrides)


def test_the_log_of_a_run_has_the_rate_of_what_trains(tmp_path, small_preset):
    preset = json.loads(open(small_preset).read())
    preset |= {
        "model": "ModalityInvariant",
        "arguments": {"adversary": {"classifier_hidden": [8], "classifier_steps": 1}},
    }
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    recipe = Recipe.from_settings(
        {
            "preset": str(tmp_path / "preset.json"),
            "limit": 32,
            "batch_size": 64,
            "deterministic": False,
            "decay": "constant",
            "warmup_steps": 0,
            "stages": [
                {"name": "one", "epochs": 1, "trains": ["modality_classifier"], "learning_rate": 0.5},
                {"name": "two", "epochs": 1, "optimizers": {"classifier": {"learning_rate": 0.25}}},
            ],
        }
    )
    run = Run.create(tmp_path / "run", "mine", recipe)
    train(run, verbose=0)
    first, second = read_log(run.file("log.csv"))
    assert first["learning_rate"] == 0.5 and "classifier_learning_rate" not in first
    assert (second["learning_rate"], second["classifier_learning_rate"]) == pytest.approx((1e-3, 0.25))


def test_every_setting_says_what_it_means():
    for settings_class in (Recipe, OptimizerSettings):
        for field in dataclasses.fields(settings_class):
            assert len(field.metadata["help"]) > 10
            assert f"{field.name}: {field.metadata['help'][:20]}" in settings_class.__doc__
