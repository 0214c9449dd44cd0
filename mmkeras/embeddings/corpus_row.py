"""`CorpusRow`: one picture or text that is to be embedded, without its bytes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(slots=True)
class CorpusRow:
    """One picture or text of a source, as small as it travels to who embeds it.

    Args:
        id: what tells it apart: the picture's name; of a text the record's own id, or `text-<row>`.
        picture: the picture's name within its source; `None` of a text.
        place: where the picture lies, see `OpenPlaces`; `None` of a text, and of a picture that is not there.
        size: bytes of the picture, `None` where nobody knows them.
        error: why it cannot be embedded, where that is known already.
        text: the first caption, or the text itself.
        metadata: what the source says beside it, by column.
    """

    id: str
    picture: str | None = None
    place: list[Any] | None = None
    size: int | None = None
    error: str | None = None
    text: str | None = None
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as a line of JSON."""
        values = [self.id, self.picture, self.place, self.size, self.error, self.text, self.metadata]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def of_json(cls, line: str | bytes) -> CorpusRow:
        """Return what `to_json` wrote."""
        return cls(*json.loads(line))

    def identity(self) -> str:
        """Return what must be equal for the row to be the same, wherever its source is mounted."""
        said = [self.id, self.size, self.text, self.error is None, self.metadata]
        return json.dumps(said, separators=(",", ":"), sort_keys=True)
