"""What the page lets nobody do, and the snippets that it writes for a terminal."""

import ast
import base64
import json
import shutil
import subprocess

import pytest

from .browsing import expect
from .fake_search_server import Thing

HOSTILE = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>'\"`${1}</span>"
HARD_TEXTS = [
    'it\'s a "sea"',
    "$HOME `id` $(id) \\ \\n !! & | ; > /tmp/x",
    "ω 中文 🙂 e\u0301",
    "' OR 1=1 --",
    "@photo.jpg",
    "-d x",
    "\\u0041 \\'",
]


def test_hostile_items_stay_text(open_page, photos, ids):
    item = {
        "id": HOSTILE,
        "text": HOSTILE,
        HOSTILE: HOSTILE,
        "link": "javascript:document.title='ran'",
        "tags": [HOSTILE],
    }
    pictures = [thing.picture for thing in photos.things[:2]]
    other = {"id": 2, "text": "sea", "picture": "2.jpg", "category": HOSTILE}
    photos.things[:] = [Thing(item, [HOSTILE, f"2 {HOSTILE}"], pictures[0]), Thing(other, ["sea"], pictures[1])]
    page = open_page(photos, "?q=ran")
    assert ids(page)[0] == HOSTILE
    before = page.locator("script").count()
    page.click("#filters-open")
    page.locator(".card").first.click()
    expect(page.locator("#item h2")).to_have_text(HOSTILE)
    expect(page.locator("#item dd")).to_contain_text(["javascript:document.title='ran'"])
    assert page.locator("#item a").count() == 0
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#chip-name")).to_contain_text("<img src=x")
    page.fill("#text", HOSTILE)
    ids(page)
    assert page.locator("script").count() == before
    assert page.locator("img[src='x']").count() == 0
    assert not page.title().startswith("ran")


def test_a_picture_of_another_origin_is_not_asked_for(open_page, photos, ids):
    search = photos.search

    def elsewhere(query):
        answer = search(query)
        answer["results"][0]["picture"] = "http://localhost:9/stolen.png"
        answer["results"][1]["picture"] = "javascript:alert(1)"
        return answer

    photos.search = elsewhere
    page = open_page(photos, "?q=sea")
    ids(page)
    expect(page.locator(".tile.words")).to_have_count(2)


def test_the_policy_is_active_and_the_page_keeps_it(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    assert page.problems == []
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'ran = 1'; document.body.append(s); }"
    )
    page.evaluate("() => { const i = new Image(); i.src = 'http://localhost:9/x.png'; document.body.append(i); }")
    refused = page.evaluate("fetch('http://localhost:9/').then(() => 'sent', () => 'refused')")
    assert (refused, page.evaluate("window.ran ?? null")) == ("refused", None)
    page.wait_for_timeout(200)
    assert len(page.problems) >= 3 and all("Content Security Policy" in problem for problem in page.problems)
    page.problems.clear()
    page.elsewhere.clear()


def snippets_of(page):
    page.click("#copy")
    codes = page.locator("#snippets code").all_text_contents()
    return dict(zip(page.locator("#snippets h3").all_text_contents(), codes, strict=True))


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_the_snippets_ask_for_the_same(open_page, photos, ids, tmp_path, text):
    page = open_page(photos)
    page.fill("#text", text)
    ids(page)
    codes = snippets_of(page)
    if shutil.which("curl"):
        done = subprocess.run(["bash", "-c", codes["curl"]], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert [result["item"]["id"] for result in json.loads(done.stdout)["results"]] == ids(page)[:24]
        assert photos.asked[-1] == {"text": text, "k": 24, "in": "image"}
    asked = arguments_of("grpcurl", codes["grpcurl"], tmp_path)
    assert asked[:2] == ["-plaintext", "-d"]
    assert asked[3:] == ["127.0.0.1:8500", "tensorflow.serving.PredictionService/Predict"]
    request = json.loads(asked[2])
    assert request["model_spec"] == {"name": "photos", "version_label": "stable", "signature_name": "encode_text"}
    assert base64.b64decode(request["inputs"]["text"]["string_val"][0]).decode() == text
    assert text in {node.value for node in ast.walk(ast.parse(codes["Python"])) if isinstance(node, ast.Constant)}


def arguments_of(program, command, folder):
    """The arguments that a program would be given by a command of bash."""
    fake = folder / "bin" / program
    fake.parent.mkdir(exist_ok=True)
    fake.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    fake.chmod(0o755)
    path = f"{fake.parent}:/usr/bin:/bin"
    done = subprocess.run(["bash", "-c", command], env={"PATH": path}, capture_output=True, cwd=folder, check=True)
    return [argument.decode() for argument in done.stdout.split(b"\0")[:-1]]


def test_snippets_of_a_picture_with_words_and_filters(open_page, photos, ids, tmp_path):
    page = open_page(photos, "?q=it's+sea&is.tags=sea&is.seen=true&from.year=2003&where=id+<>+'x'")
    page.set_input_files(
        "#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8" + photos.things[0].picture[2:]}
    )
    expect(page.locator("#chip")).to_be_visible()
    ids(page)
    codes = snippets_of(page)
    (tmp_path / "photo.jpg").write_bytes(photos.things[0].picture)
    asked = arguments_of("curl", codes["curl"], tmp_path)
    assert asked[:4] == ["-s", f"{photos.address}api/search", "-F", "picture=@photo.jpg"]
    fields = dict(field.split("=", 1) for field in asked[5::2])
    assert set(asked[4::2]) == {"--form-string"}
    assert (fields["text"], fields["weight"], fields["k"]) == ("it's sea", "0.5", "24")
    assert json.loads(fields["filters"]) == {"tags": ["sea"], "seen": [True]}
    assert fields["where"] == "(\nid <> 'x'\n) AND (\n\"year\" >= 2003\n)"
    where = next(
        keyword.value.value
        for node in ast.walk(ast.parse(codes["Python"]))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "where"
    )
    assert "EXISTS (SELECT 1 FROM json_each(\"tags\") WHERE value IN ('sea'))" in where and '"seen" IN (1)' in where
    page.keyboard.press("Escape")
    page.fill("#text", "")
    page.wait_for_timeout(300)
    request = json.loads(arguments_of("grpcurl", snippets_of(page)["grpcurl"], tmp_path)[2])
    assert base64.b64decode(request["inputs"]["image_bytes"]["string_val"][0]) == photos.things[0].picture


def test_snippets_are_copied(open_page, photos, ids):
    page = open_page(photos, "?q=sea", permissions=["clipboard-read", "clipboard-write"])
    ids(page)
    code = snippets_of(page)["Python"]
    page.get_by_role("button", name="Copy Python").click()
    expect(page.get_by_role("button", name="Copy Python")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code


def test_a_search_for_like_items_is_asked_of_the_service_alone(open_page, photos, ids):
    page = open_page(photos, "?like=photo-4.jpg")
    ids(page)
    assert list(snippets_of(page)) == ["curl"]
