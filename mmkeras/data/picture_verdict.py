"""`PictureVerdict`: what looking at a picture file once said."""

from __future__ import annotations

from typing import NamedTuple


class PictureVerdict(NamedTuple):
    """Whether a picture can be read, and what it is.

    Args:
        problem: what is wrong with it; `""` where it reads.
        width, height: in pixels, 0 where they are not known.
        format: such as `"JPEG"`; `""` where it is not known.
    """

    problem: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
