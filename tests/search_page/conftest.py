"""The page in the system's Chromium, before a server that pretends to search."""

import os
import shutil
from urllib.parse import urlsplit

import pytest

from .fake_search_server import FakeSearchServer, glyphs, landscapes

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def lacking(reason):
    """Skip for a reason; where MMKERAS_TEST_BROWSER=1 says that a browser must be there, fail for it."""
    if os.environ.get("MMKERAS_TEST_BROWSER") == "1":
        pytest.fail(f"MMKERAS_TEST_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, headless, for one file: playwright's event loop must be gone before others need one."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        lacking("the page's tests need playwright: pip install playwright")
    program = os.environ.get("MMKERAS_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        lacking("the page's tests need Chromium on the PATH, or its path as MMKERAS_CHROMIUM")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if root else [])
        except Error as error:
            lacking(f"{program} does not start: {str(error).splitlines()[0]}")
        yield started
        started.close()


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
        page.set_default_timeout(20_000)
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
