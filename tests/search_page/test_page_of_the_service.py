"""The page before the search service itself: what is asked and answered on both sides of the HTTP API is the same."""

import json

import pytest

from mmkeras.search_service import IndexFinder, SearchServer, VersionFollower

from ..search_service.conftest import PlaneModel, write_indexes
from ..serving.fake_servers import FakeGrpcServer
from .browsing import expect
from .drawn_pictures import glyph


@pytest.fixture
def service(tmp_path):
    """A service of twelve items that keeps verdicts, with an `address`."""
    scores = {"random_mean": 0.1, "random_deviation": 0.2, "threshold": 0.9}
    write_indexes(tmp_path / "toy" / "1", "space-1", scores=scores)
    with FakeGrpcServer(PlaneModel()) as models:
        follower = VersionFollower(models.address, "toy", IndexFinder([tmp_path / "toy"]), interval=0.1, timeout=10)
        with SearchServer(follower, port=0, feedback=tmp_path / "feedback.jsonl") as server:
            server.address = server.url
            yield server


def test_the_page_searches_by_the_service(open_page, service, ids, tmp_path):
    page = open_page(service)
    expect(page.locator("#lead")).to_contain_text("12 items")
    page.fill("#text", "dog 31")
    assert ids(page)[:3] == ["p3", "p4", "p2"]
    expect(page.locator("#status")).to_contain_text("toy version 1 · 12 items · ")
    page.click("#filters-open")
    page.get_by_role("group", name="kind").get_by_label("even").check()
    expect(page.locator("#status")).to_contain_text("6 of 12")
    page.get_by_role("group", name="labels").get_by_label("late").check()
    page.get_by_label("price, to").fill("8")
    expect(page.locator("#status")).to_contain_text("3 of 12")
    assert ids(page) == ["p4", "p6", "p8"]
    page.locator(".card").nth(1).click()
    page.get_by_role("button", name="This fits the query").click()
    expect(page.locator(".thanks")).to_have_text("Kept. Thank you.")
    (line,) = (tmp_path / "feedback.jsonl").read_text().splitlines()
    assert "dog 31" in line and "p6" in line
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#chip-name")).to_have_text("like picture 6")
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(".card")).to_have_count(11)  # the item itself is not like itself


def test_a_picture_reaches_the_model_as_it_is(open_page, service, ids):
    page = open_page(service)
    content = glyph("ω")[0] + b" 72"
    page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": content})
    assert ids(page)[:2] == ["p7", "p8"]


def test_an_item_of_the_address_is_told_by_the_service(open_page, service):
    page = open_page(service, "?like=p5&item=p7")
    expect(page.locator("#item h2")).to_have_text("picture 7")
    expect(page.locator("#chip-name")).to_have_text("like picture 5")


def test_a_refused_expression_is_told(open_page, service, ids):
    page = open_page(service, "?q=dog+1&where=colour+%3D+1")
    expect(page.locator("#alert-text")).to_contain_text("Expected an expression over")
    expect(page.locator("#retry")).to_be_hidden()


def test_curl_of_the_page_asks_the_service(open_page, service, ids, tmp_path):
    import shutil
    import subprocess

    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    page = open_page(service, "?q=it's+31&is.kind=it's+odd&to.price=7")
    found = ids(page)
    page.click("#copy")
    command = page.locator("#snippets code").first.text_content()
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert [result["item"]["id"] for result in json.loads(done.stdout)["results"]] == found == ["p3", "p5", "p1", "p7"]
