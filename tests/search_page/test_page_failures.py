"""A server that is away or refuses, and a browser that is offline: told in a line, and mended by itself."""

import pytest

from .browsing import expect


def test_a_server_that_goes_away_and_comes_back(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    before = ids(page)
    photos.stop()
    page.fill("#text", "snow")
    expect(page.locator("#alert")).to_be_visible()
    expect(page.locator("#alert-text")).to_have_text("The server does not answer. The page goes on trying.")
    assert ids(page) == before  # what was found stays, and is faded
    assert page.locator("body").evaluate("body => body.classList.contains('stale')")
    photos.start()
    expect(page.locator("#alert")).to_be_hidden()
    expect(page.locator(".card").first).to_contain_text("snow")


def test_a_page_that_is_opened_too_early(open_page, photos, ids):
    photos.failure = (503, "The model is loading.")
    page = open_page(photos, "?q=snow")
    expect(page.locator("#alert-text")).to_have_text("The model is loading. The page goes on trying.")
    photos.failure = None
    assert ids(page)[0] == "photo-4.jpg"
    expect(page.locator("#alert")).to_be_hidden()


def test_what_is_typed_too_early_is_asked_later(open_page, photos, ids):
    photos.failure = (503, "The model is loading.")
    page = open_page(photos)
    expect(page.locator("#alert")).to_be_visible()
    page.fill("#text", "snow")
    photos.failure = None
    assert ids(page)[0] == "photo-4.jpg"
    expect(page.locator("#text")).to_have_value("snow")


def test_offline_and_online_again(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    page.context.set_offline(True)
    page.fill("#text", "snow")
    expect(page.locator("#alert-text")).to_have_text("The server does not answer. This computer is offline.")
    page.context.set_offline(False)
    expect(page.locator("#alert")).to_be_hidden()
    expect(page.locator(".card").first).to_contain_text("snow")


def test_trying_again_at_once(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    photos.failure = (503, "Away.")
    page.fill("#text", "snow")
    expect(page.locator("#alert")).to_be_visible()
    page.wait_for_timeout(7800)  # the pauses between tries grow: the next is of eight seconds
    photos.failure = None
    asked = len(photos.asked)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card").first).to_contain_text("snow", timeout=5000)
    assert len(photos.asked) == asked + 1


@pytest.mark.parametrize("status", [400, 413, 415, 422, 500])
def test_a_refusal_is_told_and_not_repeated(open_page, photos, ids, status):
    page = open_page(photos, "?q=sea")
    ids(page)
    photos.failure = (status, "Expected less. Received: too much")
    page.fill("#text", "snow")
    expect(page.locator("#alert-text")).to_have_text("Expected less. Received: too much.")
    expect(page.locator("#retry")).to_be_hidden()
    photos.failure = None
    asked = len(photos.asked)
    page.wait_for_timeout(1200)
    assert len(photos.asked) == asked
    page.fill("#text", "dunes")
    expect(page.locator("#alert")).to_be_hidden()
    expect(page.locator(".card").first).to_contain_text("dunes")


def test_too_many_questions_wait(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    photos.failure = (429, "Expected at most 8 searches at a time. Received: one more")
    page.fill("#text", "snow")
    expect(page.locator("#alert-text")).to_contain_text("The page goes on trying.")
    photos.failure = None
    expect(page.locator(".card").first).to_contain_text("snow")


def test_a_verdict_that_is_not_kept_is_told(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    page.locator(".card").first.click()
    photos.failure = (503, "The disk is full.")
    page.get_by_role("button", name="This fits the query").click()
    expect(page.locator(".thanks")).to_have_text("Not kept. The disk is full.")
    expect(page.get_by_role("button", name="This fits the query")).to_have_attribute("aria-pressed", "false")


def test_an_unknown_item_in_the_address(open_page, photos, ids):
    page = open_page(photos, "?q=sea&item=gone.jpg")
    ids(page)
    expect(page.locator("#alert-text")).to_contain_text("Expected an address of this API")
    expect(page.locator("#item")).to_be_hidden()
