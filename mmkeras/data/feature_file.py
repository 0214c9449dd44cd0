"""`FeatureFile`: features of pictures that somebody else has computed, by the pictures' names."""

import zipfile
from pathlib import Path

import numpy as np

from mmkeras.archives import open_arrays
from mmkeras.errors import MmkerasError


class FeatureFile:
    """An `.npz` file with `names`, strings (N,), and `features`, numbers (N, F), one row a picture.

    Args:
        file: its path.

    Attributes:
        size: F.

    Raises:
        MmkerasError: no such file, or one that does not hold the two, with a row for each name and no name twice.

    Example:
        >>> FeatureFile("flickr8k/mobilenet_v2_features.npz").load(["1000268201_693b08cb0e.jpg"]).shape
        (1, 1280)
    """

    def __init__(self, file):
        self.file = Path(file)
        try:
            with open_arrays(self.file) as archive:
                names, self._features = archive["names"], archive["features"]
        except FileNotFoundError as error:
            raise MmkerasError(f"There is no feature file {self.file}") from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise MmkerasError(
                f"{self.file}: expected an .npz file of names and features. Received: {error}"
            ) from error
        shape = self._features.shape
        if self._features.dtype.kind not in "fiu" or len(shape) != 2 or names.shape != shape[:1]:
            raise MmkerasError(
                f"{self.file}: expected names (N,) and features (N, F), numbers. "
                f"Received: names {names.shape}, features {shape} of {self._features.dtype}"
            )
        self._row_of = {name: row for row, name in enumerate(names.astype(str).tolist())}
        if len(self._row_of) < len(names):
            raise MmkerasError(
                f"{self.file}: expected each name once. Received: {len(names) - len(self._row_of)} again"
            )
        self.size = shape[1]

    def find(self, name):
        """Return the row of a picture.

        Raises:
            MmkerasError: it has none, or a feature that is not finite.
        """
        if name not in self._row_of:
            raise MmkerasError(f"{name} is missing in {self.file}")
        if not np.isfinite(self._features[self._row_of[name]]).all():
            raise MmkerasError(f"{name} has features in {self.file} that are not finite")
        return self._row_of[name]

    def load(self, names):
        """Return the features of pictures, float32 (len(names), F).

        Raises:
            MmkerasError: as `find`.
        """
        return self._features[[self.find(name) for name in names]].astype(np.float32)

    def check_size(self, takes):
        """Check that a model takes such features.

        Args:
            takes: shape of what it takes of a picture, or `None`.

        Raises:
            MmkerasError: it takes another.
        """
        if takes not in (None, (self.size,)):
            raise MmkerasError(
                f"{self.file} holds {self.size} features a picture, for a model on such features or on a frozen "
                f"backbone that makes them. Received: a model that takes {' x '.join(map(str, takes))} a picture"
            )
