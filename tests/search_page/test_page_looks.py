"""How the page looks and is used without a mouse: keys, names for screen readers, dark, phone, drawings, motion."""

import pytest

from .browsing import expect


def expect_focus(page, name):
    """Wait until what has a name, a result by its item's id or another element by its own, has the focus."""
    expect(page.locator(f'[data-id="{name}"]:focus, [id="{name}"]:focus')).to_have_count(1)


def test_keys_move_in_the_grid(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    found = ids(page)
    across = page.evaluate("getComputedStyle(document.querySelector('#results')).gridTemplateColumns.split(' ').length")
    assert across == 5
    page.keyboard.press("ArrowDown")
    expect_focus(page, found[0])
    for key, place in [
        ("ArrowRight", 1),
        ("ArrowDown", 6),
        ("ArrowLeft", 5),
        ("End", 47),
        ("Home", 0),
        ("ArrowLeft", 0),
    ]:
        page.keyboard.press(key)
        expect_focus(page, found[place])
    page.keyboard.press("ArrowUp")
    expect_focus(page, "text")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#item")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#item .place")).to_contain_text("2 of ")
    page.keyboard.press("Escape")
    expect(page.locator("#item")).to_be_hidden()
    expect_focus(page, found[1])
    page.keyboard.press("Escape")
    expect_focus(page, "text")


def test_a_slash_goes_to_the_box_and_is_a_letter_within_it(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("/")
    expect_focus(page, "text")
    page.keyboard.type("a/b")
    expect(page.locator("#text")).to_have_value("a/b")


def test_tab_passes_the_grid_in_one_step(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    assert page.locator(".card[tabindex='0']").count() == 1
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect_focus(page, "more")


def test_names_for_those_who_hear(open_page, photos, ids):
    page = open_page(photos, "?q=sea+evening")
    ids(page)
    tree = page.locator("body").aria_snapshot()
    for line in (
        "- banner:",
        '- search "Pictures and texts":',
        '- searchbox "Describe what you are looking for"',
        '- main "Results":',
        '- button "the sea in the evening score 0.420"',
        '- radio "Captions"',
        "- status:",
    ):
        assert line in tree, tree
    expect(page.get_by_role("img", name="the sea in the evening").first).to_be_visible()
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, dialog[open], img')].filter((node) => node.checkVisibility()"
        " && !(node.ariaLabel || node.title || node.textContent.trim() || node.alt || node.labels?.length)).length"
    )
    assert unnamed == 0


def luminance(colour):
    """The relative luminance of `rgb(...)`, as WCAG has it."""
    channels = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast_in_light_and_dark(open_page, photos, ids, scheme):
    page = open_page(photos, "?q=zebra", color_scheme=scheme)
    ids(page)
    colour = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]"

    def style(selector, name):
        return page.evaluate(f"([selector, name]) => ({colour})(selector, name)", [selector, name])

    ground = luminance(style("body", "backgroundColor"))
    assert (ground < 0.05) == (scheme == "dark")
    pairs = [
        (".caption", ground),
        (".score", ground),
        (".status", ground),
        ("#notice", luminance(style("#notice", "backgroundColor"))),
    ]
    for selector, behind in pairs:
        ink = luminance(style(selector, "color"))
        assert (max(ink, behind) + 0.05) / (min(ink, behind) + 0.05) >= 4.5, selector


def test_nothing_sticks_out_on_a_phone(open_page, photos, ids):
    page = open_page(photos, "?q=sea", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    ids(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#results')).gridTemplateColumns.split(' ').length") == 2
    )
    expect(page.locator("label.camera")).to_be_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    page.locator("#filters-open").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#filters-open").tap()
    page.locator(".card").first.tap()
    box = page.locator("#item").bounding_box()
    assert (box["x"], box["width"], box["height"]) == (0, 390, 844)
    page.go_back()  # as the phone's own button does
    expect(page.locator("#item")).to_be_hidden()
    assert "q=sea" in page.url


def test_a_drawing_is_shown_in_whole_pixels_and_a_photograph_fills_its_tile(open_page, drawings, photos, ids):
    page = open_page(drawings, "?q=omega")
    ids(page)
    image = page.locator(".card img").first
    expect(page.locator(".card .tile.drawing").first).to_be_visible()
    width = image.bounding_box()["width"]
    assert width >= 160 and width % 32 == 0
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    page = open_page(photos, "?q=sea")
    ids(page)
    image, tile = page.locator(".card img").first, page.locator(".card .tile").first
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => getComputedStyle(image).objectFit") == "cover"
    assert image.bounding_box() == tile.bounding_box()
    expect(page.locator(".tile.drawing")).to_have_count(0)


def test_motion_can_be_switched_off(open_page, photos, ids):
    page = open_page(photos, "?q=sea", reduced_motion="reduce")
    ids(page)
    assert page.evaluate("getComputedStyle(document.querySelector('.card .tile')).transitionDuration") == "0s"
