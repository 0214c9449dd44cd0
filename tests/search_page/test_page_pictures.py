"""Searching by pictures on the page: chosen, dropped and pasted, made small, upright, and together with words."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from .browsing import expect
from .drawn_pictures import encoded

RED, BLUE = (220, 20, 20), (20, 20, 220)


@pytest.fixture
def asked_picture(photos):
    """A function that returns the newest picture that the server was asked with, decoded, and its bytes."""

    def asked_picture():
        content = photos.asked[-1]["picture"]
        return Image.open(io.BytesIO(content)), content

    return asked_picture


def file_of(content, kind="image/jpeg", name="photo.jpg"):
    return {"name": name, "mimeType": kind, "buffer": content}


def shown_chip(page, name="photo.jpg"):
    expect(page.locator("#chip-name")).to_have_text(name)
    page.locator("#chip-picture").evaluate("image => image.decode()")  # rejects what cannot be shown


def test_a_small_picture_travels_as_it_is(open_page, photos, ids, asked_picture):
    page = open_page(photos)
    content = photos.things[40].picture
    page.set_input_files("#file", file_of(content))
    shown_chip(page)
    assert ids(page)[0] == photos.things[40].item["id"]
    assert asked_picture()[1] == content
    page.get_by_role("button", name="Remove the picture from the query").click()
    expect(page.locator("#chip")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(0)


def test_a_large_photograph_is_made_small_and_upright(open_page, photos, ids, asked_picture):
    sides = Image.new("RGB", (3000, 2000), RED)
    sides.paste(BLUE, (1500, 0, 3000, 2000))
    turned = Image.Exif()
    turned[0x0112] = 6  # shown a quarter turned: what is left comes to the top
    page = open_page(photos)
    page.set_input_files("#file", file_of(encoded(sides, "JPEG", exif=turned)))
    ids(page)
    picture, content = asked_picture()
    assert (picture.size, picture.format) == ((427, 640), "JPEG")
    top, bottom = (np.asarray(picture.convert("RGB"))[row].mean(0) for row in (10, -10))
    assert np.abs(top - RED).max() < 12 and np.abs(bottom - BLUE).max() < 12
    assert len(content) < 40_000


def test_a_large_drawing_stays_a_png(open_page, photos, ids, asked_picture):
    page = open_page(photos)
    page.set_input_files(
        "#file", file_of(encoded(Image.new("RGBA", (900, 900), (0, 0, 0, 0)), "PNG"), "image/png", "a.png")
    )
    ids(page)
    picture, _ = asked_picture()
    assert (picture.size, picture.format, picture.getpixel((5, 5))[3]) == ((640, 640), "PNG", 0)


def test_what_is_no_picture_is_told(open_page, photos):
    page = open_page(photos)
    page.set_input_files("#file", file_of(b"%PDF-1.7", "application/pdf", "a.pdf"))
    expect(page.locator("#alert-text")).to_have_text(
        "Expected a picture that this browser can show, such as a JPEG, PNG or WebP. Received: application/pdf."
    )
    assert photos.asked == []


def test_a_dropped_picture(open_page, photos, ids, tmp_path):
    file = tmp_path / "dropped.jpg"
    file.write_bytes(photos.things[12].picture)
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    session = page.context.new_cdp_session(page)
    dragged = {"x": 500, "y": 600, "data": {"items": [], "files": [str(file)], "dragOperationsMask": 1}}
    session.send("Input.dispatchDragEvent", {"type": "dragEnter", **dragged})
    session.send("Input.dispatchDragEvent", {"type": "dragOver", **dragged})
    expect(page.locator("#drop")).to_be_visible()
    session.send("Input.dispatchDragEvent", {"type": "drop", **dragged})
    shown_chip(page, "dropped.jpg")
    expect(page.locator("#drop")).to_be_hidden()
    assert ids(page)[0] == photos.things[12].item["id"]
    assert page.url == photos.address  # the browser did not open the file


def test_a_dropped_link_opens_nothing(open_page, photos):
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    page.evaluate("""() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.setData("text/uri-list", "http://127.0.0.1:9/elsewhere.jpg");
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }""")
    expect(page.locator("#alert-text")).to_contain_text("A link was dropped. This page opens none")
    assert photos.asked == []


def test_a_pasted_picture(open_page, photos, ids):
    page = open_page(photos, permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator("#lead")).to_contain_text("120 items")
    # A clipboard holds PNG.
    png = encoded(Image.open(io.BytesIO(photos.things[14].picture)), "PNG")
    page.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const type = "image/png";
            await navigator.clipboard.write([new ClipboardItem({ [type]: new Blob([bytes], { type }) })]);
        }""",
        base64.b64encode(png).decode(),
    )
    page.keyboard.press("Control+V")
    shown_chip(page, "image.png")
    assert ids(page)[0] == photos.things[14].item["id"]


def test_words_and_a_picture_together(open_page, photos, ids):
    page = open_page(photos, "?q=dunes")
    page.set_input_files("#file", file_of(photos.things[5].picture))
    shown_chip(page)
    ids(page)
    weight = page.locator("#weight")
    expect(weight).to_be_visible()
    expect(weight).to_have_value("50")
    assert (photos.asked[-1]["text"], photos.asked[-1]["weight"]) == ("dunes", 0.5)
    weight.fill("95")
    expect(page.locator(".card").first).to_contain_text("mountains at night")
    weight.fill("5")
    expect(page.locator(".card").first).to_contain_text("dunes")
    assert photos.asked[-1]["weight"] == 0.95
    page.fill("#text", "")
    expect(weight).to_be_hidden()
    page.wait_for_timeout(300)
    assert "weight" not in photos.asked[-1]


def test_the_way_back_leads_to_the_picture(open_page, photos, ids, asked_picture):
    page = open_page(photos)
    page.set_input_files("#file", file_of(photos.things[40].picture))
    shown_chip(page)
    ids(page)
    page.locator(".card").nth(3).click()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#chip-name")).to_contain_text("like ")
    ids(page)
    page.go_back()
    shown_chip(page)
    assert ids(page)[0] == photos.things[40].item["id"]
    assert asked_picture()[1] == photos.things[40].picture


def test_a_picture_is_too_large_for_the_server(open_page, photos):
    noise = np.random.default_rng(0).integers(0, 256, (340, 340, 3), np.uint8)
    content = encoded(Image.fromarray(noise), "PNG")
    info = photos.info()
    photos.info = lambda: {**info, "max_upload_bytes": 200_000}
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    page.set_input_files("#file", file_of(content, "image/png", "noise.png"))
    told = f"Expected a picture of at most 0.2 MB. Received: {len(content) / 1e6:.1f} MB."
    expect(page.locator("#alert-text")).to_have_text(told)
    assert photos.asked == []


def test_scores_of_pictures_are_not_compared_with_those_of_pairs(open_page, photos, ids):
    page = open_page(photos)
    page.set_input_files("#file", file_of(photos.things[5].picture))
    ids(page)
    page.locator(".card").first.click()
    expect(page.locator("#item .item-score strong")).to_be_visible()
    expect(page.locator("#item .score-bar")).to_have_count(0)
    expect(page.get_by_role("button", name="This fits the query")).to_have_count(0)  # nothing to keep it with


def test_a_model_without_pictures_has_no_buttons_for_them(open_page, photos):
    info = photos.info()
    photos.info = lambda: {**info, "tasks": {"text": True, "picture": False}}
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    expect(page.locator("#file")).to_be_hidden()
