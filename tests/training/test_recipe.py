"""Recipes are data, strictly typed: a slip of the pen is told at once, with what is allowed."""

import dataclasses
import json
import re
import tomllib
from importlib import resources

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, list_recipes
from mmkeras.training.recipe import recipe_title
from mmkeras.training.stage import Stage


def test_recipes_lie_in_the_package_as_toml():
    folder = resources.files("mmkeras.training") / "recipes"
    assert {"glyphs_dual_encoder", "glyphs_tiny"} <= set(list_recipes())
    assert list_recipes() == sorted(list_recipes())
    for name in list_recipes():
        settings = tomllib.loads((folder / f"{name}.toml").read_text())
        assert len(recipe_title(name)) > 30 and "=" not in recipe_title(name)
        recipe = Recipe.load(name)
        found = json.loads(json.dumps(dataclasses.asdict(recipe)))
        for stage, given in zip(found["stages"], settings.pop("stages", []), strict=True):
            assert {key: stage[key] for key in given} == given
        assert {key: found[key] for key in settings} == settings


def test_settings_lie_over_the_recipe_with_their_types():
    settings = ["epochs=3", "learning_rate=3e-4", "deterministic=False", "select=best", "data=a=b.jsonl"]
    recipe = Recipe.load("glyphs_tiny", settings)
    assert (recipe.epochs, recipe.learning_rate, recipe.deterministic) == (3, 3e-4, False)
    assert recipe.data == "a=b.jsonl"  # only the first = separates
    assert recipe.batch_size == Recipe.load("glyphs_tiny").batch_size


def test_a_whole_number_in_toml_serves_as_a_float(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('preset = "dual_encoder_glyphs"\nlearning_rate = 1\n')
    rate = Recipe.load(file).learning_rate
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize(
    "override, told",
    [
        ("epoch=2", "Unknown setting epoch. Did you mean epochs?"),
        ("learnig_rate=1", "Unknown setting learnig_rate. Did you mean learning_rate?"),
        ("zzz=1", "Unknown setting zzz. There are: preset, data,"),
        ("epochs", "Expected key=value. Received: epochs"),
        ("epochs=2.5", "Expected epochs to be of type int. Received: epochs=2.5"),
        ("epochs=", "Expected epochs to be of type int. Received: epochs="),
        ("learning_rate=fast", "Expected learning_rate to be of type float. Received: learning_rate=fast"),
        ("deterministic=1", "Expected deterministic to be true or false. Received: deterministic=1"),
        ("epochs=-1", "Expected epochs to be 0 or more. Received: epochs=-1"),
        ("learning_rate=0", "Expected learning_rate to be more than 0. Received: learning_rate=0.0"),
        ("learning_rate=nan", "Expected learning_rate to be more than 0. Received: learning_rate=nan"),
        ("learning_rate=inf", "Expected learning_rate to be 2147483647 at most. Received: learning_rate=inf"),
        ("weight_decay=nan", "Expected weight_decay to be 0 or more. Received: weight_decay=nan"),
        ("weight_decay=-1", "Expected weight_decay to be 0 or more. Received: weight_decay=-1.0"),
        ("reversal_ramp=1.5", "Expected reversal_ramp to be 1 at most. Received: reversal_ramp=1.5"),
        ("reversal_strength=-1", "Expected reversal_strength to be 0 or more. Received: reversal_strength=-1.0"),
        ("adam_beta_1=1", "Expected adam_beta_1 to be below 1. Received: adam_beta_1=1.0"),
        ("adam_beta_1=2", "Expected adam_beta_1 to be below 1. Received: adam_beta_1=2.0"),
        ("halving_epochs=0", "Expected halving_epochs to be more than 0. Received: halving_epochs=0"),
        ("decay=linear", "Expected decay to be one of 'cosine', 'halving', 'constant'. Received: 'linear'"),
        (
            "decay=halving",
            'Expected warmup_steps, warmup_share, final_learning_rate of 0 with decay = "halving". Received: ',
        ),
        ("targets=colour", "Expected targets to be one of '', 'category', 'tags'. Received: 'colour'"),
        ("limit=-1", "Expected limit to be 0 or more. Received: limit=-1"),
        ("seed=2147483648", "Expected seed to be 2147483647 at most. Received: seed=2147483648"),
        ("precision=float16", "Expected precision to be one of 'float32', 'mixed_float16', 'mixed_bfloat16'"),
        ("select=first", "Expected select to be one of 'last', 'best'. Received: 'first'"),
    ],
)
def test_a_wrong_setting_is_told(override, told):
    with pytest.raises(MmkerasError) as caught:
        Recipe.load("glyphs_tiny", [override])
    assert told in str(caught.value)


@pytest.mark.parametrize("override", ["warmup_steps=0", "weight_decay=0", "gradient_clip=0", "seed=2147483647"])
def test_the_ends_of_the_ranges_are_allowed(override):
    key, _, value = override.partition("=")
    assert getattr(Recipe.load("glyphs_tiny", [override]), key) == float(value)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"epochs = 2\n", "A recipe needs a preset"),
        (b'preset = "p"\nepochs = "2"\n', "Expected epochs to be of type int. Received: epochs='2'"),
        (b'preset = "p"\nepochs = true\n', "Expected epochs to be of type int. Received: epochs=True"),
        (b'preset = "p"\nbatchsize = 2\n', "Unknown setting batchsize. Did you mean batch_size?"),
        (b'preset = "p"\n[training]\nepochs = 2\n', "Unknown setting training"),
        (b'preset = "p\n', "is no valid TOML"),
        (b'preset = "\xff"\n', "is no valid TOML"),
    ],
)
def test_a_wrong_recipe_file_is_told(tmp_path, content, told):
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(MmkerasError) as caught:
        Recipe.load(file)
    assert told in str(caught.value)


@pytest.mark.parametrize("name, hint", [("glyph_tiny", "Did you mean glyphs_tiny?"), ("missing.toml", "missing.toml.")])
def test_an_unknown_recipe_names_what_there_is(name, hint):
    with pytest.raises(MmkerasError) as caught:
        Recipe.load(name)
    assert "glyphs_dual_encoder" in str(caught.value)
    assert str(caught.value).endswith(hint)


STAGED = {
    "preset": "some",
    "learning_rate": 2e-3,
    "stages": [{"name": "one", "epochs": 2, "warmup_steps": 5}, {"name": "two", "epochs": 3, "learning_rate": 1e-4}],
}


def test_stages_take_what_they_leave_out_from_the_recipe():
    recipe = Recipe.from_settings(STAGED)
    assert [stage.learning_rate for stage in recipe.training_stages] == [2e-3, 1e-4]
    assert [stage.warmup_steps for stage in recipe.training_stages] == [5, 100]
    assert recipe.epochs == 5
    assert Recipe.from_settings(json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


def test_each_stage_has_its_own_decay_and_the_recipe_beside_them_none():
    halving = {"name": "two", "epochs": 3, "decay": "halving", "halving_epochs": 2, "warmup_steps": 0}
    recipe = Recipe.from_settings(STAGED | {"adam_beta_1": 0.5, "stages": [STAGED["stages"][0], halving]})
    found = [(stage.decay, stage.halving_epochs, stage.adam_beta_1) for stage in recipe.training_stages]
    assert found == [("cosine", 100, 0.5), ("halving", 2, 0.5)]


def test_a_recipe_without_stages_is_one_of_its_own_settings():
    (stage,) = Recipe.from_settings({"preset": "some", "epochs": 4, "reversal_ramp": 0.25}).training_stages
    assert (stage.epochs, stage.reversal_ramp, stage.trains, stage.arguments) == (4, 0.25, [], {})


@pytest.mark.parametrize(
    "change, told",
    [
        ({"epochs": 4}, r"in the stages, which have 5 together.* write stages\.two\.epochs=4"),
        ({"stages": [{"name": "one"}]}, "Expected epochs in stage one"),
        ({"stages": [{"epochs": 1}]}, "Expected name in stage 1"),
        ({"stages": [{"name": "one", "epoch": 1}]}, "Expected epochs in stage one"),
        ({"stages": [{"name": "one", "epochs": 1, "negativs": 1}]}, "Unknown setting negativs in stage one"),
        ({"stages": [{"name": "one", "epochs": "1"}]}, "Expected epochs in stage one to be of type int"),
        (
            {"stages": [{"name": "one", "epochs": 1, "trains": "all"}]},
            "Expected trains in stage one to be of type list",
        ),
        ({"stages": [{"name": "one", "epochs": 1, "trains": [1]}]}, "Expected trains as a list of names"),
        ({"final_learning_rate": 1e-2}, "at most learning_rate, 0.002. Received: final_learning_rate=0.01"),
        ({"stages": [{"name": "one", "epochs": 0}]}, "Expected epochs to be more than 0"),
        ({"stages": [{"name": "a b", "epochs": 1}]}, "letters, digits"),
        ({"stages": [{"name": "one", "epochs": 1, "decay": "linear"}]}, "Expected decay to be one of"),
        ({"decay": "halving"}, 'with decay = "halving". Received: warmup_steps=5'),
        ({"stages": [{"name": "one", "epochs": 1}] * 2}, "different names. Received: one, one"),
        ({"stages": ["one"]}, r"\[\[stages\]\] in TOML"),
    ],
)
def test_stages_that_do_not_fit_are_refused(change, told):
    with pytest.raises(MmkerasError, match=told):
        Recipe.from_settings(STAGED | change)


def test_the_command_line_reaches_into_stages(tmp_path):
    file = tmp_path / "staged.toml"
    file.write_text('preset = "some"\n[[stages]]\nname = "one"\nepochs = 2\n[[stages]]\nname = "two"\nepochs = 1\n')
    recipe = Recipe.load(file, ["stages.two.epochs=7", "stages.two.learning_rate=1e-5"])
    assert [stage.epochs for stage in recipe.stages] == [2, 7] and recipe.stages[1].learning_rate == 1e-5
    with pytest.raises(MmkerasError, match="Expected a stage of the recipe: one, two. Received: stages.three.epochs=1"):
        Recipe.load(file, ["stages.three.epochs=1"])
    with pytest.raises(MmkerasError, match="in a recipe's file, not on the command line"):
        Recipe.load(file, ["stages.one.trains=image_encoder"])


def test_a_recipe_is_shown_with_its_reasons_and_what_every_setting_means(capsys, monkeypatch):
    from mmkeras.console import print_recipe

    monkeypatch.setenv("COLUMNS", "200")
    print_recipe("glyphs_modality_invariant")
    out = capsys.readouterr().out
    assert "# until its gradient says something" in out  # a reason
    assert re.search(r"learning_rate +0\.004 +peak of the learning rate", out)  # the recipe's value, not the default
    for settings_class in (Recipe, Stage):
        for field in dataclasses.fields(settings_class):
            assert field.name in out
    with pytest.raises(MmkerasError, match="Did you mean glyphs_tiny"):
        print_recipe("glyphs_tin")
