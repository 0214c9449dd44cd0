"""`Spread`: how numbers are spread."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Spread:
    """Numbers, and what sums them up.

    Args:
        values: array (N,) of numbers; with none of them every figure is 0.
    """

    values: NDArray[np.number]

    @property
    def least(self) -> float:
        """The smallest."""
        return self.quantile(0)

    @property
    def median(self) -> float:
        """The middle one."""
        return self.quantile(0.5)

    @property
    def most(self) -> float:
        """The largest."""
        return self.quantile(1)

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.values.mean()) if len(self.values) else 0.0

    def quantile(self, share: float) -> float:
        """Return the smallest of the numbers that so large a share of them, 0 to 1, does not exceed."""
        return float(np.quantile(self.values, share, method="inverted_cdf")) if len(self.values) else 0.0

    def to_dict(self) -> dict[str, float]:
        """Return what sums them up: `least`, `median`, `mean`, `fits_99` (the 99 % quantile) and `most`."""
        return {
            "least": self.least,
            "median": self.median,
            "mean": round(self.mean, 4),
            "fits_99": self.quantile(0.99),
            "most": self.most,
        }
