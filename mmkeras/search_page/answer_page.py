"""`answer_page`: what a query found as one self-contained HTML file, in the look of the page to search with."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DRAWING = 64  # px; a picture with no longer side is a drawing, whose pixels are shown as they are
TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".bmp": "bmp", ".gif": "gif", ".webp": "webp"}  # others are PNG


@dataclasses.dataclass(frozen=True)
class AnswerCard:
    """One result on the page.

    Args:
        item: dict with an `id`, a `text`, the `picture`'s name, and whatever else is known; addresses of the web
            become links.
        score: what is printed of its scores.
        picture: the picture's file, None where there is none.
    """

    item: Mapping[str, Any]
    score: str
    picture: bytes | None = None


def answer_page(
    query: str, cards: Iterable[AnswerCard], about: str = "", query_picture: tuple[str, bytes] | None = None
) -> str:
    """Return the page of an answer: a heading, a line about the model and a card for each result.

    The page holds its pictures and its style, asks for nothing and runs nothing.

    Args:
        query: the heading, and the page's title.
        cards: `AnswerCard` objects, the best first.
        about: a line below the heading, such as the model and its version.
        query_picture: (name, bytes) of a picture that was asked with, shown in place of the heading's text.

    Returns:
        string of HTML.
    """
    asked = html.escape(query)
    if query_picture is not None:
        asked = _tile(query_picture[1], query_picture[0], query)
    return _filled(
        "answer.html",
        title=html.escape(query),
        style=(HERE / "static" / "parts.css").read_text(encoding="utf-8"),
        asked=asked,
        status=html.escape(about),
        cards="".join(map(_card, cards)),
    )


def _card(card):
    item = card.item
    facts = {name: value for name, value in item.items() if name not in ("id", "text", "picture")}
    name = str(item["text"])
    return _filled(
        "answer_card.html",
        tile=_tile(card.picture, str(item["picture"]), name) if card.picture else _words(name),
        name=html.escape(name),
        score=html.escape(card.score),
        id=html.escape(str(item["id"])),
        facts="".join(f"<dt>{html.escape(name)}</dt><dd>{_said(value)}</dd>" for name, value in facts.items()),
    )


def _tile(content, name, alt):
    kind = TYPES.get(Path(name).suffix.lower(), "png")
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    longest = _longest_side(content)
    look, style = ("tile drawing", f' style="--side:{longest}px"') if 0 < longest <= DRAWING else ("tile", "")
    return f'<span class="{look}"{style}><img src="{address}" alt="{html.escape(alt)}"></span>'


def _words(text):
    return f'<span class="tile words"><span aria-hidden="true">{html.escape(text)}</span></span>'


def _longest_side(content):
    """The longer side of a picture, px; 0 where Pillow does not read it, though a browser may."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return max(picture.size)
    except (OSError, ValueError, Image.DecompressionBombError):
        return 0


def _said(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    escaped = html.escape(text)
    if re.fullmatch(r"https?://\S+", text, re.IGNORECASE):
        return f'<a href="{escaped}" rel="noopener noreferrer">{escaped}</a>'
    return escaped


def _filled(template, **parts):
    return string.Template((HERE / "templates" / template).read_text(encoding="utf-8")).substitute(parts)
