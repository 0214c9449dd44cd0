"""A fusion encoder looks at the cells of a feature map as it looks at patches."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import backbone_image_encoder, build_text_encoder, pretrained_image_encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers import CellTokens
from mmkeras.models import SoftMask

from ..encoders.published_folders import write_mobilenet_v2, write_siglip
from .small_soft_mask import LOSSES, TOKEN_IDS

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 64, 96, 3), "uint8")
BATCH = {"image": IMAGES, "token_ids": TOKEN_IDS, "image_id": np.array([1, 2, 3, 1, 4, 5], "int64")}


def soft_mask(image):
    text = build_text_encoder("bert", vocabulary_size=20, sequence_length=4, width=8, depth=1, heads=2, embedding_dim=6)
    fusion = {"depth": 2, "heads": 2, "attention_block": 0, "initializer_range": None}
    model = SoftMask(image, text, fusion=fusion, teacher={"queue_size": 12, "alpha_ramp_steps": 4}, seed=1)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def backbone(tmp_path):
    return backbone_image_encoder(64, 96, weights=None, trainable=True, hidden=[], embedding_dim=6, class_token=True)


def pretrained(tmp_path):
    folder = str(write_mobilenet_v2(tmp_path / "mobilenet_v2"))
    return pretrained_image_encoder(64, 96, checkpoint=folder, embedding_dim=6, class_token=True)


@pytest.mark.parametrize("build", [backbone, pretrained])
def test_soft_mask_trains_on_a_feature_map(build, tmp_path):
    encoder = build(tmp_path)
    assert encoder.token_grid == (2, 3) and encoder.output["tokens"].shape == (None, 7, 1280)
    tokens = encoder(IMAGES)["tokens"].numpy()
    np.testing.assert_allclose(tokens[:, 0], tokens[:, 1:].mean(axis=1), atol=1e-4)
    model = soft_mask(encoder)
    losses = model.train_on_batch(BATCH, return_dict=True)
    assert set(losses) >= LOSSES and all(np.isfinite(value) for value in losses.values())
    assert model.match(IMAGES, TOKEN_IDS).shape == (6,)


def test_patches_without_a_class_token_may_have_one(tmp_path):
    folder = str(write_siglip(tmp_path / "siglip"))
    encoder = pretrained_image_encoder(16, 16, checkpoint=folder, embedding_dim=6, class_token=True)
    assert encoder.token_grid == (2, 2) and encoder.output["tokens"].shape == (None, 5, 16)
    plain = pretrained_image_encoder(16, 16, checkpoint=folder, embedding_dim=6)
    assert plain.token_grid is None and plain.output["tokens"].shape == (None, 4, 16)
    with pytest.raises(MmkerasError, match="Expected class_token=False: it is for one tower"):
        pretrained_image_encoder(16, 16, checkpoint=[folder, folder], embedding_dim=6, class_token=True)


@pytest.mark.parametrize(
    "grid, cells, told", [((0, 2), 4, "rows and columns of 1"), ((2, 3), 4, "grid of .2, 3.. Rec")]
)
def test_a_grid_that_does_not_fit_is_told(grid, cells, told):
    with pytest.raises(MmkerasError, match=told):
        CellTokens(grid)(np.zeros((1, cells, 5), "float32"))
