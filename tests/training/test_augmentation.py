"""What a recipe's settings of augmentation build."""

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe
from mmkeras.training.augmentation import augmentation, augmenting

SEED = tf.constant([1, 2])


def recipe(**settings):
    return Recipe.from_settings({"preset": "dual_encoder_glyphs", **settings})


def augmentation_by(**settings):
    """Of a recipe without stages, which is one stage."""
    (stage,) = recipe(**settings).training_stages
    return augmentation(recipe(**settings), stage)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8")


def test_pictures_stay_as_they_are_unless_a_recipe_says_otherwise():
    assert augmentation_by() is None and augmenting(recipe()) == {}


def test_one_view_where_there_is_no_distortion(pictures):
    shift, crop = augmentation_by(augment_shift=2, augment_fill=7), augmentation_by(augment_crop=0.5)
    assert shift.get_config() == {"pixels": 2, "fill": 7}
    assert (crop.scale, crop.flip) == ((0.5, 1.0), 0)
    assert shift(pictures, SEED).shape == crop(pictures, SEED).shape == (4, 8, 8, 3)


def test_flipping_alone_moves_nothing_else(pictures):
    flipped = augmentation_by(augment_flip=1.0)(pictures, SEED)
    np.testing.assert_array_equal(flipped, pictures[:, :, ::-1])


def test_a_distortion_makes_a_second_view(pictures):
    for kind, colour in (("shape", False), ("colour", True)):
        views = augmentation_by(augment_shift=1, augment_distortion=kind, augment_fill=9)
        assert (views.weak.pixels, views.strong.colour, views.strong.fill) == (1, colour, 9)
    found = views(pictures, SEED)
    assert set(found) == {"image", "weak_image"}
    assert not np.array_equal(found["image"], found["weak_image"])
    assert augmentation_by(augment_distortion="shape").weak is None


def test_a_stage_may_distort_where_others_do_not():
    plain = {"name": "plain", "epochs": 1}
    staged = recipe(augment_shift=1, stages=[plain, {"name": "distorted", "epochs": 1, "augment_distortion": "shape"}])
    first, second = (augmentation(staged, stage) for stage in staged.training_stages)
    assert first.pixels == second.weak.pixels == 1 and not second.strong.colour
    assert augmenting(staged) == {"augment_shift": 1, "augment_distortion": "shape"}
    left_out = recipe(augment_distortion="colour", stages=[plain, plain | {"name": "b", "augment_distortion": ""}])
    assert [stage.augment_distortion for stage in left_out.training_stages] == ["colour", ""]
    with pytest.raises(MmkerasError, match="Expected augment_distortion to be one of .* Received: 'blur'"):
        recipe(stages=[plain | {"augment_distortion": "blur"}])


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"augment_shift": 1, "augment_flip": 0.5}, "Expected augment_shift, or augment_crop and augment_flip"),
        ({"augment_shift": 1, "augment_crop": 0.5}, "Expected augment_shift, or augment_crop and augment_flip"),
        ({"augment_crop": 0.0}, "Expected augment_crop to be more than 0"),
        ({"augment_crop": 1.5}, "Expected augment_crop to be 1 at most"),
        ({"augment_flip": 2.0}, "Expected augment_flip to be 1 at most"),
        ({"augment_distortion": "blur"}, "Expected augment_distortion to be one of '', 'shape', 'colour'"),
        ({"augment_fill": 256}, "Expected augment_fill to be 255 at most"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, told):
    with pytest.raises(MmkerasError, match=told):
        recipe(**settings)
