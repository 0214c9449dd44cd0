"""What is in a data set, and what is wrong with it, before somebody trains on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .data_check import check_data as check_data
    from .data_findings import DataFindings as DataFindings
    from .problem import Problem as Problem
    from .summary import summary_lines as summary_lines
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
