"""`PublishedProjection`: the projection that came with a published pair of encoders."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("mmkeras")
class PublishedProjection(keras.layers.Dense):
    """The projection of a published pair of encoders: what stands before it makes the features.

    Args:
        units: D.
        **kwargs: see `keras.layers.Dense`.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
