"""Settings that follow from how much data there is, where a recipe leaves them to it."""

from __future__ import annotations

import dataclasses

from mmkeras.training.recipe import Recipe

# Chosen on Flickr8k with the recipe photos: of 1,600 pairs about the tenth epoch is the best, of 8,000 the sixth.
PAIRS, EPOCHS, POWER = 1_600, 20, 0.45
FEWEST_EPOCHS, MOST_EPOCHS = 10, 40
MANY_PAIRS, BATCH, BATCH_OF_MANY = 20_000, 128, 256
BATCHES = 8  # an epoch has at least, as far as a batch of two allows


def sized(recipe: Recipe, pairs: int, devices: int = 1) -> Recipe:
    """Return a recipe with numbers in place of its zeros.

    Args:
        recipe: `Recipe`; a `batch_size` or `epochs` of 0 follows from the data.
        pairs: number of pairs that are trained on.
        devices: how many train, of which a chosen `batch_size` is a multiple.

    Returns:
        `Recipe`; itself where it leaves nothing open.

    Example:
        >>> recipe = sized(Recipe.load("photos", ["data=captions.csv"]), 8_000)
        >>> recipe.epochs, recipe.batch_size
        (10, 128)
    """
    sizes = {}
    if not recipe.batch_size:
        most = recipe.largest_batch or (BATCH if pairs < MANY_PAIRS else BATCH_OF_MANY)
        largest = min(most, max(2, pairs // BATCHES))
        power = 2 ** (largest.bit_length() - 1)
        sizes["batch_size"] = max(devices, power - power % devices)
    if not recipe.epochs:
        epochs = round(EPOCHS * (PAIRS / max(1, pairs)) ** POWER)
        sizes["epochs"] = min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
    if not sizes:
        return recipe
    chosen = dataclasses.replace(recipe, **sizes)
    object.__setattr__(chosen, "given", recipe.given)
    return chosen
