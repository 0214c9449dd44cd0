"""`PictureLoader`: what data sets hand their pictures to."""

from collections.abc import Iterable
from typing import Any, Protocol

from numpy.typing import NDArray


class PictureLoader(Protocol):
    """What makes one array of pictures, of pixels as `ImagePreprocessor` does, or of features as `FrozenFeatures`."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of what one picture becomes."""

    @property
    def pixels(self) -> "PictureLoader":
        """What makes the pixels to be looked at: itself, or what comes before a backbone."""

    def load(self, pictures: Iterable[Any], /) -> NDArray[Any]:
        """Return what a list of pictures becomes, (N, *output_shape)."""
