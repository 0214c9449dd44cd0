"""The page that `mmkeras query --html` writes: one file, whatever the items hold."""

import re

from mmkeras.search_page.answer_page import AnswerCard, answer_page

from ..page import Page
from .drawn_pictures import glyph, landscape

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script> ${title} $x'


def page_of(*cards, **settings):
    source = answer_page(settings.pop("query", "a query"), cards, **settings)
    return source, Page(source)


def test_drawings_are_shown_pixel_by_pixel_and_photographs_are_not():
    drawing = AnswerCard({"id": 1, "text": "omega", "picture": "1.png"}, "0.9", glyph("ω")[0])
    photograph = AnswerCard({"id": 2, "text": "sea", "picture": "2.jpg"}, "0.8", landscape(0)[0])
    source, page = page_of(drawing, photograph)
    tiles = re.findall(r'<span class="(tile[^"]*)"([^>]*)><img src="data:image/(\w+);', source)
    assert tiles == [("tile drawing", ' style="--side:32px"', "png"), ("tile", "", "jpeg")]
    assert page.alts == ["omega", "sea"]


def test_an_item_without_a_picture_is_its_text():
    source, page = page_of(AnswerCard({"id": "a", "text": "only words"}, "0.5"))
    assert "img" not in page.tags
    assert 'class="tile words"' in source


def test_model_and_version_stand_below_the_query():
    _, page = page_of(query="a dog", about="photos version 3 · 1,000 items")
    assert page.text.endswith("a dog photos version 3 · 1,000 items")


def test_hostile_items_stay_text():
    item = {"id": HOSTILE, "text": HOSTILE, "picture": f"{HOSTILE}.png", HOSTILE: HOSTILE, "list": [HOSTILE]}
    source, page = page_of(AnswerCard(item, HOSTILE, b"no picture"), query=HOSTILE, about=HOSTILE)
    assert "script" not in page.tags
    assert page.alts == [HOSTILE]
    (image,) = re.findall("<img[^>]*>", source)
    assert image.count('"') == 4  # src and alt, and nothing that broke out of them
    assert page.text.count(HOSTILE) >= 6


def test_addresses_of_the_web_are_links_and_others_are_not():
    item = {"id": 1, "text": "x", "source": "https://example.org/?a=1&b=2", "bad": "javascript:alert(1)", "n": [1, 2]}
    _, page = page_of(AnswerCard(item, "0.1"))
    assert page.links == ["https://example.org/?a=1&b=2"]
    assert "javascript:alert(1)" in page.text
    assert "1, 2" in page.text


def test_the_page_asks_for_nothing():
    source, page = page_of(AnswerCard({"id": 1, "text": "sea", "picture": "a.jpg"}, "0.8", landscape(0)[0]))
    assert all(link.startswith("data:") for link in page.links)
    assert "default-src 'none'" in source
    assert "url(" not in source and "@import" not in source
