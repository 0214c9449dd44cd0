"""Settings that follow from how much data there is, where a recipe leaves them to it."""

from __future__ import annotations

import dataclasses

from mmkeras.training.recipe import Recipe

# Measured by scripts/studies/photos.py, for 500 to 30,000 pairs.
BATCH_SIZES = ((2_000, 128), (20_000, 256))  # below so many pairs; above, the largest
LARGEST_BATCH = 512
STEPS = 500  # of training that a small set needs
MOST_EPOCHS, LEAST_EPOCHS = 40, 12


def sized(recipe: Recipe, pairs: int) -> Recipe:
    """Return a recipe with numbers in place of its zeros.

    Args:
        recipe: `Recipe`; a `batch_size` or `epochs` of 0 follows from the data.
        pairs: number of pairs that are trained on.

    Returns:
        `Recipe`; itself where it leaves nothing open.
    """
    sizes = {}
    if not recipe.batch_size:
        fitting = next((size for below, size in BATCH_SIZES if pairs < below), LARGEST_BATCH)
        sizes["batch_size"] = max(2, min(fitting, pairs))
    if not recipe.epochs:
        steps = max(1, pairs // (recipe.batch_size or sizes["batch_size"]))
        sizes["epochs"] = max(LEAST_EPOCHS, min(MOST_EPOCHS, -(-STEPS // steps)))
    if not sizes:
        return recipe
    chosen = dataclasses.replace(recipe, **sizes)
    object.__setattr__(chosen, "given", recipe.given)
    return chosen
