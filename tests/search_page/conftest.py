"""The page in the system's Chromium, before a server that pretends to search."""

from urllib.parse import urlsplit

import pytest

from tests.chromium import chromium_browser as chromium_browser

from .fake_search_server import FakeSearchServer, glyphs, landscapes


@pytest.fixture(scope="session")
def photographs():
    return landscapes()


@pytest.fixture
def photos(photographs):
    """A `FakeSearchServer` of photographs."""
    with FakeSearchServer(list(photographs)) as server:
        yield server


@pytest.fixture
def drawings():
    """A `FakeSearchServer` of glyphs."""
    with FakeSearchServer(glyphs(), "glyphs") as server:
        yield server


@pytest.fixture
def open_page(browser):
    """A function that opens the page of a server, `open_page(server, "?q=sea", color_scheme="dark")`.

    After the test no page may have told an error on its console, a refusal of the policy among them, nor asked anything
    of another origin; `page.problems` are what it told. A server that does not answer is told by the browser itself,
    and is none.
    """
    opened = []

    def open_page(server, address="", **settings):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **settings})
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.problems, page.elsewhere = [], []

        def told(message):
            if message.type == "error" and not message.text.startswith("Failed to load resource"):
                page.problems.append(message.text)

        def asked(request):
            if not request.url.startswith((server.address, "blob:", "data:")):
                page.elsewhere.append(urlsplit(request.url).netloc)

        page.on("console", told)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("request", asked)
        opened.append((context, page))
        page.goto(server.address + address)
        return page

    yield open_page
    for context, page in opened:
        context.close()
        assert page.problems == []
        assert page.elsewhere == []


@pytest.fixture
def ids():
    """A function that returns the ids on a page's cards, once it shows results of the newest query."""

    def ids(page):
        page.wait_for_selector("#results:not([aria-busy]) .card")
        return page.eval_on_selector_all(".card", "cards => cards.map(card => card.dataset.id)")

    return ids
