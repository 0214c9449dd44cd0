"""`Row`: one record as its layout has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(slots=True)
class Row:
    """One record as its layout has it, unchecked.

    Args:
        where: for messages, `line 3` or `images[12]`.
        fields: dict of what is there of `image` (name of a picture), `captions` (a list of texts, or one), `split`,
            `label`, `labels` and `id`; `None` where the record cannot be read at all.
        received: the record as it stands in the file, for messages.
        number: position in the file, which tells records apart; `None` takes the place among all rows, from 1.
        metadata: what else stands in the record, by the names of its columns; empty unless the layout reads a corpus.
    """

    where: str
    fields: Mapping[str, Any] | None
    received: str = ""
    number: int | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
