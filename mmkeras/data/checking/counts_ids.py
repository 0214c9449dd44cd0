"""`CountsIds`: what captions are counted with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class CountsIds(Protocol):
    """What knows into how many ids a text is cut: `TextPreprocessor`."""

    @property
    def sequence_length(self) -> int:
        """How many of them a model reads."""

    def count_ids(self, texts: Sequence[str], /) -> NDArray[np.int64]:
        """Return the number of ids of each text."""

    def normalized(self, texts: Sequence[str], /) -> list[str]:
        """Return the texts as the model reads them."""
