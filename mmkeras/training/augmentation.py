"""What a recipe does to the pictures of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    from mmkeras.tensors import Array, Tensor, TensorLike
    from mmkeras.training.recipe import Recipe
    from mmkeras.training.stage import Stage

# The settings that change pictures, each with the value at which it does not.
SETTINGS = {"augment_shift": 0, "augment_crop": 1.0, "augment_flip": 0.0, "augment_distortion": ""}


def check_augmentation(recipe: Recipe) -> None:
    """Check that a recipe's settings of augmentation go together.

    Raises:
        MmkerasError: shifted and cropped pictures at once.
    """
    if recipe.augment_shift and (recipe.augment_crop < 1 or recipe.augment_flip):
        raise MmkerasError(
            "Expected augment_shift, or augment_crop and augment_flip. Received: "
            f"augment_shift={recipe.augment_shift}, augment_crop={recipe.augment_crop}, "
            f"augment_flip={recipe.augment_flip}"
        )


def augmenting(recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a recipe that change pictures in any stage, a dict; empty where they are left alone."""
    values = {name: getattr(recipe, name) for name in SETTINGS}
    values["augment_distortion"] = max(stage.augment_distortion for stage in recipe.training_stages)  # "" is the least
    return {name: value for name, value in values.items() if value != SETTINGS[name]}


def augmentation(recipe: Recipe, stage: Stage) -> Callable[[Array, TensorLike], Tensor | dict[str, Tensor]] | None:
    """Return what `training_batches` takes as `augment` for a stage of a recipe: a function, or `None`.

    With `augment_distortion` it makes two views: the weak one is shifted or cropped, the strong one distorted too.
    """
    # Here, for they load TensorFlow, which listing recipes does not.
    from mmkeras.preprocessing.augment import RandomShift
    from mmkeras.preprocessing.picture_views import PictureViews
    from mmkeras.preprocessing.random_crop import RandomCrop
    from mmkeras.preprocessing.random_distortion import RandomDistortion

    weak = None
    if recipe.augment_shift:
        weak = RandomShift(recipe.augment_shift, recipe.augment_fill)
    elif recipe.augment_crop < 1:
        weak = RandomCrop((recipe.augment_crop, 1.0), flip=recipe.augment_flip)
    elif recipe.augment_flip:
        weak = RandomCrop((1.0, 1.0), ratio=(1.0, 1.0), flip=recipe.augment_flip)
    if not stage.augment_distortion:
        return weak
    return PictureViews(weak, RandomDistortion(colour=stage.augment_distortion == "colour", fill=recipe.augment_fill))
