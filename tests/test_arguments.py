"""What commands are given: data of the user's own or a recipe, and the run that finished last."""

import os

import pytest

from mmkeras.arguments import chosen_recipe, newest_run
from mmkeras.errors import MmkerasError

from .run_folders import write_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder: a captions file, a folder of pictures."""
    (tmp_path / "captions.csv").write_text("image,caption\na.png,one\n")
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_recipe_is_known_by_its_name_and_by_its_file(place):
    name, of, recipe = chosen_recipe("glyphs_tiny", settings=["epochs=3"])
    assert (name, of, recipe.data, recipe.epochs) == ("glyphs_tiny", "glyphs_tiny", "glyphs", 3)
    (place / "own.toml").write_text('preset = "dual_encoder_glyphs"\n')
    assert chosen_recipe("own.toml", images="photos")[2].image_folder == "photos"


def test_everything_else_is_data_for_the_recipe_of_photographs(place):
    name, of, recipe = chosen_recipe("captions.csv", images="photos", settings=["seed=3"])
    assert of == "photos"
    assert (name, recipe.data, recipe.image_folder, recipe.seed) == ("captions", "captions.csv", "photos", 3)
    assert recipe.preset == "photos"
    name, of, recipe = chosen_recipe("photos/", recipe="glyphs_tiny")
    assert of == "glyphs_tiny" and (name, recipe.data, recipe.preset) == ("photos", "photos/", "dual_encoder_glyphs")
    assert chosen_recipe("shards/{00000..00003}.tar")[2].data == "shards/{00000..00003}.tar"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "Expected your data .* a RECIPE .* or --resume RUN"),
        (("glyphs_tinny",), "Expected data that is there, a recipe .* Did you mean glyphs_tiny"),
        (("glyphs_tinny", "photos"), "There is no file or folder glyphs_tinny"),
        (("glyphs_tiny", "photos"), "Expected data with --recipe photos. Received: the recipe glyphs_tiny"),
        (
            ("captions.csv", None, None, ["data=other.csv"]),
            "Expected the data once. Received: captions.csv and",
        ),
        (("captions.csv", "photo"), "Did you mean photos"),
    ],
)
def test_what_does_not_go_together_is_told(place, arguments, message):
    with pytest.raises(MmkerasError, match=message):
        chosen_recipe(*arguments)


def test_the_run_that_finished_last(tmp_path):
    with pytest.raises(MmkerasError, match="Which run"):
        newest_run(tmp_path)
    for name, time in (("a", 30), ("b", 20), ("c", 40)):
        write_run(tmp_path / name, model=None if name == "c" else b"x")
        os.utime(tmp_path / name, (time, time))
    os.utime(tmp_path / "a" / "model.keras", (5, 5))
    assert newest_run(tmp_path) == tmp_path / "b"
