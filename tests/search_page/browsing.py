"""Playwright's `expect`, imported when a test uses it: where playwright is missing, the fixture `browser` says so."""


def expect(subject):
    """Wait for what a locator or a page is said to be, as playwright does."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)  # ms; a machine that tests has more to do
    return expect(subject)
