"""What a recipe leaves to the data."""

import pytest

from mmkeras.training import Recipe
from mmkeras.training.data_sizes import sized


@pytest.mark.parametrize(
    ("pairs", "batch_size", "epochs"),
    [
        (10, 2, 40),
        (100, 8, 40),
        (400, 32, 37),
        (1_600, 128, 20),
        (8_000, 128, 10),
        (30_000, 256, 10),
        (500_000, 256, 10),
    ],
)
def test_batches_and_epochs_follow_from_the_pairs(pairs, batch_size, epochs):
    recipe = sized(Recipe.load("photos", ["data=captions.csv"]), pairs)
    assert (recipe.batch_size, recipe.epochs) == (batch_size, epochs)


def test_a_recipe_may_allow_larger_batches():
    settings = ["data=captions.csv", "batch_size=0", "largest_batch=512"]
    sizes = [sized(Recipe.load("photos", settings), pairs).batch_size for pairs in (1_600, 8_000, 30_000)]
    assert sizes == [128, 512, 512]


def test_what_is_given_stays():
    recipe = Recipe.load("photos", ["data=captions.csv", "epochs=3", "batch_size=7"])
    assert sized(recipe, 1_600) is recipe
    chosen = sized(Recipe.load("photos", ["epochs=3"]), 1_600)
    assert (chosen.epochs, chosen.batch_size, chosen.given) == (3, 128, Recipe.load("photos", ["epochs=3"]).given)
