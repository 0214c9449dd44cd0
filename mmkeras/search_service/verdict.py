"""`Verdict`: what somebody says of a result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.feedback_file import FeedbackFile
from mmkeras.search_service.search_request import checked_text
from mmkeras.search_service.service_limits import ServiceLimits
from mmkeras.search_service.version_follower import VersionFollower

_FIELDS = ("text", "query_id", "id", "verdict")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What somebody says of a result.

    Args:
        text: what was searched for; empty where it was an item.
        query_id: the item that was searched by, in place of a text: its own text is what was wanted.
        id: of the item that was found.
        verdict: 1 where it is right, -1 where it is wrong.
    """

    text: str
    query_id: str
    id: str
    verdict: Literal[1, -1]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any], limits: ServiceLimits) -> Verdict:
        """Return the verdict of a JSON object.

        Raises:
            ApiError: 400, a field of another name, type or value; 413, a text that is too long.
        """
        if unknown := [name for name in fields if name not in _FIELDS]:
            raise ApiError(400, f"Expected fields among {', '.join(_FIELDS)}. Received: {unknown[0][:80]!r}")
        text, query, item = (fields.get(name) or "" for name in ("text", "query_id", "id"))
        verdict = fields.get("verdict")
        if isinstance(verdict, bool) or verdict not in (1, -1):
            raise ApiError(400, f"Expected verdict to be 1 or -1. Received: verdict={verdict!r:.80}")
        if not isinstance(item, str) or not isinstance(query, str) or not item:
            raise ApiError(400, "Expected id, and query_id in place of a text, to be texts. Received: something else")
        if bool(checked_text(text, limits).strip()) == bool(query):
            raise ApiError(400, f"Expected text or query_id. Received: {'both' if query else 'none'} of them")
        return cls(text, query, item, verdict)

    def write(self, follower: VersionFollower, file: FeedbackFile) -> None:
        """Append the verdict to a file.

        Args:
            follower: `VersionFollower`, whose index has the items.
            file: `FeedbackFile`.

        Raises:
            ApiError: 404, an item that is not there, or one that was searched by and has no text; 503, no index.
            MmkerasError: the file cannot be written.
        """
        now = follower.current()
        rows = now.items.rows_of(filter(None, (self.id, self.query_id)))
        if missing := [name for name in (self.id, self.query_id) if name and name not in rows]:
            raise ApiError(404, f"There is no item {missing[0][:200]!r}")
        text = self.text or now.items.item(rows[self.query_id]).get("text")
        if not isinstance(text, str) or not text.strip():
            raise ApiError(404, f"The item {self.query_id[:200]!r} has no text")
        told = {"model": follower.model, "version": now.version, "space_id": now.space_id}
        if self.query_id:
            told["query_id"] = self.query_id
        file.append(text, self.id, self.verdict, **told)
