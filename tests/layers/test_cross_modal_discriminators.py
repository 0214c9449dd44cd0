import numpy as np

from mmkeras.layers import CrossModalDiscriminators


def test_two_look_at_features_and_two_at_representations_beside_them():
    discriminators = CrossModalDiscriminators(5, 3, representation_dim=6, hidden=4)
    representation = np.ones((2, 6), "float32")
    for modality, width in (("image", 5), ("text", 3)):
        feature = np.ones((2, width), "float32")
        assert discriminators.intra(modality, feature).shape == (2,)
        assert discriminators.inter(modality, representation, feature).shape == (2,)
        line = getattr(discriminators, f"{modality}_intra")
        assert line.count_params() == width + 1
        pair = getattr(discriminators, f"{modality}_inter")
        assert pair.block.projection.kernel.shape == (6 + width, 4)
    assert len(discriminators.trainable_variables) == 2 * 2 + 2 * 6
    again = CrossModalDiscriminators.from_config(discriminators.get_config())
    assert again.get_config() == discriminators.get_config()
