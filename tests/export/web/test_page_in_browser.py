"""A page without a server, in a browser: it finds what `DeviceSearch` finds, asks nobody else, and works offline."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.export.web import check_runtime, export_web, page_files
from mmkeras.export.web import runtime as runtime_module
from mmkeras.on_device import DeviceSearch

TEXTS = ("digit one", "greek small letter omega", "日本語 🐕", "x" * 3000)
MOST_BYTES = 6e6  # of a first visit, but for pictures
SEARCH = "async (query) => (await import('/static/source.js')).source.search(query)"


@pytest.fixture
def visit(browser, host):
    """A function that opens a folder's page: (page, address, what was sent, stop, what went wrong)."""
    contexts = []

    # By selectors: the policy allows no expression in words.
    def open_page(folder, ready="#status:text('in this browser')", **how):
        address, log, stop = host(folder, **how)
        context = browser.new_context()
        contexts.append(context)
        page, wrong = context.new_page(), []
        page.set_default_timeout(60_000)  # ms; a machine that tests has more to do
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda request: None if request.url.startswith((address, "blob:")) else wrong.append(request.url)
        )
        page.goto(address)
        page.wait_for_selector(ready)
        return page, address, log, stop, wrong

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def python_search(tiny_device):
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install 'mmkeras[on-device]'")
    return DeviceSearch(tiny_device / "text_encoder_dynamic_ids.tflite", tiny_device / "index")


def other_page(folder):
    """The search page with letters in red."""
    other = Path(shutil.copytree(page_files.PARTS, folder / "search_page"))
    sheet = other / "static" / "page.css"
    sheet.write_text(sheet.read_text() + "body { color: rgb(255, 0, 0); }")
    return other


def same(found, expected):
    """Whether results are those of Python; items of one score to the fifth digit may stand in any order."""
    np.testing.assert_allclose([one["score"] for one in found], [one.score for one in expected], atol=2e-5)
    for one, other in zip(found, expected, strict=True):
        ties = {each.item["id"] for each in expected if abs(each.score - other.score) < 4e-5}
        assert one["item"]["id"] in ties


@pytest.mark.parametrize("packed", [False, True], ids=["plain host", "packed host"])
def test_a_page_finds_what_python_finds(visit, tiny_page, python_search, packed):
    page, _, log, _, wrong = visit(tiny_page[0], packed=packed)
    for text in TEXTS:
        answer = page.evaluate(SEARCH, {"text": text, "k": 20})
        expected = python_search(text, k=21)
        assert [one["rank"] for one in answer["results"]] == list(range(1, 21))
        assert answer["total"] == len(python_search.index) and answer["more"]
        same(answer["results"], expected[:20])
    assert answer["space_id"] == python_search.index.space_id and answer["milliseconds"]["all"] > 0
    assert wrong == []
    assert 0 < sum(size for path, size in log if not path.endswith(".bin")) < MOST_BYTES


def test_a_page_by_its_controls_shows_pictures(visit, tiny_page, python_search):
    page, *_, wrong = visit(tiny_page[0])
    page.fill("#text", "digit one")
    page.wait_for_selector(".card img")
    found = page.eval_on_selector_all(".card", "cards => cards.map(card => card.dataset.id)")
    assert found[:3] == [one.item["id"] for one in python_search("digit one", k=3)]
    page.click(".card >> nth=0")
    page.wait_for_selector("dialog[open] img")
    assert page.evaluate("[...document.querySelectorAll('.card img')].some((image) => image.naturalWidth > 1)")
    assert wrong == []


def test_filters_and_what_is_like_an_item(visit, tiny_page, python_search):
    page, *_, wrong = visit(tiny_page[0])
    info = page.evaluate("async () => (await import('/static/source.js')).source.info()")
    assert info["columns"] == [{"name": "seen", "kind": "flag", "values": info["columns"][0]["values"]}]
    assert info["items"] == len(python_search.index) and info["tasks"] == {"text": True, "picture": False}
    assert info["scores"]["random_deviation"] > 0 and info["scores"]["threshold"] is not None
    answer = page.evaluate(SEARCH, {"text": "digit one", "filters": {"seen": [False]}, "k": 200, "offset": 2})
    expected = python_search("digit one", k=1000, where="NOT seen")
    assert answer["total"] == len(expected) and answer["results"][0]["rank"] == 3
    same(answer["results"], expected[2:202])
    index = python_search.index
    own = index.item(3)
    answer = page.evaluate(SEARCH, {"id": own["id"], "k": 5})
    near = [one for one in index.search(index.embeddings("image")[3:4], "image", 6)[0] if one.item["id"] != own["id"]]
    same(answer["results"], near[:5])
    item = page.evaluate("async (id) => (await import('/static/source.js')).source.item(id)", own["id"])
    assert item["item"]["text"] == own["text"] and item["captions"] == [own["text"]]
    assert wrong == []


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"text": "a", "where": "seen"}, "an expression needs a server"),
        ({"text": ""}, "Expected a text or an item's id"),
        ({"text": "a", "id": "b"}, "Expected a text or an item's id"),
        ({"id": "nowhere"}, "Received: id=nowhere"),
        ({"text": "a", "in": "text"}, "Received: in=text"),
    ],
)
def test_what_a_page_cannot_do_is_told(visit, tiny_page, query, told):
    page, *_ = visit(tiny_page[0])
    script = "async (query) => (await import('/static/source.js')).source.search(query).catch((error) => error.message)"
    assert told in page.evaluate(script, query)


def test_a_page_works_without_a_network_after_the_first_visit(visit, tiny_page):
    page, address, log, stop, _ = visit(tiny_page[0])
    first = page.evaluate(SEARCH, {"text": "digit one"})
    page.evaluate(
        "async () => { await navigator.serviceWorker.ready; await (await import('/static/source.js')).source.info(); }"
    )
    page.evaluate(SEARCH, {"text": "digit one", "filters": {"seen": [False]}})
    stop()
    page.goto(f"{address}/?q=digit")
    page.wait_for_selector("#status:text('in this browser')")
    again = page.evaluate(SEARCH, {"text": "digit one"})
    assert [one["item"] for one in again["results"]] == [one["item"] for one in first["results"]]
    assert [one["score"] for one in again["results"]] == [one["score"] for one in first["results"]]


def test_a_second_visit_loads_nothing_again(visit, tiny_page):
    page, address, log, *_ = visit(tiny_page[0])
    page.evaluate(SEARCH, {"text": "digit one"})
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    log.clear()
    page.goto(address)
    page.evaluate(SEARCH, {"text": "digit one"})
    assert [path for path, _ in log if path != "/worker.js"] == []


def test_a_new_version_takes_over_when_the_old_one_is_closed(
    visit, tiny_page, tiny_run, tiny_model, runtime, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    shutil.copytree(tiny_page[0], site)
    page, address, *_ = visit(site)
    page.evaluate(SEARCH, {"text": "digit one"})
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    shutil.rmtree(site)
    monkeypatch.setattr(page_files, "PARTS", other_page(tmp_path))
    export_web(tiny_run, site, runtime=runtime, model=tiny_model)
    page.evaluate("async () => (await navigator.serviceWorker.ready).update()")
    waiting = "async () => (await navigator.serviceWorker.ready).waiting?.state"
    for _ in range(100):
        if page.evaluate(waiting) == "installed":
            break
        page.wait_for_timeout(100)
    color = "getComputedStyle(document.body).color"
    page.goto(address)
    assert page.evaluate(color) != "rgb(255, 0, 0)" and page.evaluate(SEARCH, {"text": "digit one"})["results"]
    context = page.context
    page.close()
    page = context.new_page()
    page.goto(address)
    assert page.evaluate(color) == "rgb(255, 0, 0)"
    assert page.evaluate(SEARCH, {"text": "digit one"})["results"]
    assert len(page.evaluate("caches.keys()")) == 1


def test_a_folder_holds_what_it_needs_and_its_licence(tiny_page):
    folder, described = tiny_page
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {"index.html", "worker.js", "manifest.json", "static/source.js", "litert/LICENSE", "litert/NOTICE"} <= names
    assert "static/server_source.js" not in names
    assert "Apache License" in (folder / "litert" / "LICENSE").read_text()
    unpacked = {name for name in names if not name.endswith((".gz", ".bin"))}
    assert {f"{name}.gz" for name in unpacked} == {name for name in names if name.endswith(".gz")}
    html = (folder / "index.html").read_text()
    assert "script-src 'self' 'wasm-unsafe-eval'" in html and "unsafe-inline" not in html and 'rel="manifest"' in html
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (folder / manifest["icons"][0]["src"]).is_file() and manifest["display"] == "standalone"
    assert described["cosine"]["least"] > 0.99 and 0 < described["first_visit"] < MOST_BYTES


def test_what_is_kept_is_named_by_all_that_is_in_the_folder(
    tiny_page, tiny_run, tiny_model, runtime, tmp_path, monkeypatch
):
    folder, _ = tiny_page
    export_web(tiny_run, tmp_path / "again", runtime=runtime, model=tiny_model)
    monkeypatch.setattr(page_files, "PARTS", other_page(tmp_path))
    export_web(tiny_run, tmp_path / "other", runtime=runtime, model=tiny_model)
    workers = [(each / "worker.js").read_text() for each in (folder, tmp_path / "again", tmp_path / "other")]
    assert workers[0] == workers[1] != workers[2]
    data = [next(each.glob("data-*")).name for each in (folder, tmp_path / "other")]
    assert data[0] == data[1]


def test_a_runtime_that_is_missing_or_another_one_is_told(runtime, tmp_path, monkeypatch):
    shutil.copytree(runtime, tmp_path / "npm")
    file = tmp_path / "npm" / "litertjs-wasm-utils-2.5.3.tgz"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(MmkerasError, match="litertjs-wasm-utils-2.5.3.tgz is another file than npm pack"):
        check_runtime(tmp_path / "npm")
    with pytest.raises(MmkerasError, match="cannot be read .*Expected what npm pack @litertjs/core@2.5.3"):
        check_runtime(tmp_path)
    monkeypatch.setattr(runtime_module.shutil, "which", lambda _: None)
    with pytest.raises(MmkerasError, match="Expected npm, which fetches LiteRT.js, or --runtime DIR"):
        check_runtime()
    check_runtime(runtime)
