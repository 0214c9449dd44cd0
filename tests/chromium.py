"""The system's Chromium, in which the search page is tried."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def lacking(reason):
    """Skip for a reason; where MMKERAS_TEST_BROWSER=1 says that a browser must be there, fail for it."""
    if os.environ.get("MMKERAS_TEST_BROWSER") == "1":
        pytest.fail(f"MMKERAS_TEST_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(name="browser", scope="module")
def chromium_browser():
    """The system's Chromium, headless, for one file: playwright's event loop must be gone before others need one."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        lacking("the page's tests need playwright: pip install playwright")
    program = os.environ.get("MMKERAS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
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
