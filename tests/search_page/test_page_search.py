"""Searching by words on the page, in a browser: typing, stale answers, more, filters, the address, what is told."""

import re
import time
from urllib.parse import parse_qs, urlsplit

from .browsing import expect
from .fake_search_server import Thing


def texts_asked(server):
    return [query.get("text") for query in server.asked]


def test_the_box_has_the_cursor_and_results_come_while_typing(open_page, photos, ids):
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    page.keyboard.type("hills in autumn", delay=15)
    expect(page.locator(".card").first).to_contain_text("hills in autumn")
    expect(page.locator("#live")).to_contain_text("Best: hills in autumn")
    assert texts_asked(photos)[-1] == "hills in autumn"
    assert len(photos.asked) < 8  # not one for each of 15 letters
    expect(page).to_have_title("hills in autumn · photos")


def test_enter_asks_at_once(open_page, photos, ids):
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    page.locator("#text").fill("dunes")
    page.keyboard.press("Enter")
    assert ids(page)[0] == "photo-6.jpg"


def test_a_late_answer_to_an_older_question_is_dropped(open_page, photos):
    photos.delays = {"sea": 1.0}
    page = open_page(photos)
    given_up = []
    page.on("requestfailed", lambda request: given_up.append(request.url))
    page.fill("#text", "sea")
    page.wait_for_selector("#bar.busy")
    page.fill("#text", "snow")
    expect(page.locator(".card").first).to_contain_text("snow")
    time.sleep(1.2)
    page.wait_for_timeout(100)
    expect(page.locator(".card").first).to_contain_text("snow")
    assert [urlsplit(url).path for url in given_up] == ["/api/search"]


def test_an_emptied_box_shows_the_empty_page(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    assert len(ids(page)) == 48
    page.fill("#text", "")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#lead")).to_be_visible()
    assert urlsplit(page.url).query == ""


def test_more_results_come_on_scrolling_and_by_the_button(open_page, photos, ids):
    page = open_page(photos, "?q=sea", viewport={"width": 1280, "height": 500})
    assert len(ids(page)) == 48
    page.mouse.wheel(0, 4000)
    expect(page.locator(".card")).to_have_count(96)
    page.locator("#more").evaluate("button => button.click()")
    expect(page.locator(".card")).to_have_count(120)
    expect(page.locator("#more")).to_be_hidden()
    found = ids(page)
    assert len(set(found)) == 120
    assert [query.get("offset", 0) for query in photos.asked] == [0, 48, 96]


def test_pages_of_two_versions_are_not_mixed(open_page, photos, ids):
    page = open_page(photos, "?q=sea", viewport={"width": 1280, "height": 500})
    assert len(ids(page)) == 48
    photos.version = 4
    page.mouse.wheel(0, 4000)
    expect(page.locator("#status")).to_contain_text("version 4")
    expect(page.locator("#status")).to_contain_text("6.4 ms")
    assert [query.get("offset", 0) for query in photos.asked][:3] == [0, 48, 0]
    assert len(set(ids(page))) == page.locator(".card").count()


def test_the_status_line_says_who_answered(open_page, photos, ids):
    page = open_page(photos, "?q=sea&is.category=sea")
    ids(page)
    said = page.locator("#status").text_content()
    assert said == "photos version 3 (stable) · 28 of 120 items · 6.4 ms"


def test_filters_are_ticked_ranged_and_written(open_page, photos, ids):
    page = open_page(photos, "?q=morning")
    ids(page)
    page.click("#filters-open")
    page.get_by_role("group", name="category").get_by_label("hills").check()
    expect(page.locator("#status")).to_contain_text("27 of 120")
    page.get_by_label("year, from").fill("2020")
    expect(page.locator("#status")).to_contain_text(re.compile("[1-9] of 120"))
    page.get_by_role("group", name="seen").get_by_label("no").check()
    page.wait_for_timeout(300)
    asked = photos.asked[-1]
    assert asked["filters"] == {"category": ["hills"], "seen": [False]}
    assert asked["where"] == '"year" >= 2020'
    shown = {str(thing.item["id"]): thing.item for thing in photos.things}
    found = [shown[name] for name in ids(page)]
    assert found and all(item["category"] == "hills" and item["year"] >= 2020 and not item["seen"] for item in found)
    address = parse_qs(urlsplit(page.url).query)
    assert address == {"q": ["morning"], "is.category": ["hills"], "is.seen": ["false"], "from.year": ["2020"]}
    expect(page.locator("#filters-open")).to_have_text("Filters (3)")
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator("#status")).to_contain_text("· 120 items")


def test_an_expression_filters_and_a_wrong_one_is_told(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    ids(page)
    page.click("#filters-open")
    page.get_by_label("Expression").fill("year < 2003 -- old ones")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("15 of 120")
    page.get_by_label("year, to").fill("2001")
    expect(page.locator("#status")).to_contain_text("10 of 120")  # the comment ends where it ends
    page.get_by_label("Expression").fill("colour = 'red'")
    page.keyboard.press("Enter")
    expect(page.locator("#alert-text")).to_contain_text("Expected an expression over the columns")
    expect(page.locator("#retry")).to_be_hidden()  # asking again would not help
    page.get_by_label("Expression").fill("year < 2001")
    page.keyboard.press("Enter")
    expect(page.locator("#alert")).to_be_hidden()


def test_nothing_passes(open_page, photos):
    page = open_page(photos, "?q=sea&from.year=3000")
    expect(page.locator("#notice")).to_have_text("Nothing passes these filters.")


def test_a_search_that_fits_nothing_says_so(open_page, photos, ids):
    page = open_page(photos, "?q=zebra")
    ids(page)
    expect(page.locator("#notice")).to_contain_text("Nothing fits well. The best score is 0.020")
    expect(page.locator("#live")).to_contain_text("Nothing fits well.")
    page.fill("#text", "sea")
    expect(page.locator("#notice")).to_be_hidden()


def test_the_address_is_the_search(open_page, photos, ids):
    page = open_page(photos)
    page.fill("#text", 'a "calm" sea & 100% ω')
    ids(page)
    page.locator("#within label", has_text="Captions").click()
    page.wait_for_url(lambda address: "in=text" in address)
    other = open_page(photos, f"?{urlsplit(page.url).query}")
    ids(other)
    assert other.input_value("#text") == 'a "calm" sea & 100% ω'
    assert photos.asked[-1] == {"text": 'a "calm" sea & 100% ω', "k": 48, "in": "text"}


def test_more_like_this_and_the_way_back(open_page, photos, ids):
    page = open_page(photos, "?q=snow")
    ids(page)
    page.locator(".card").first.click()
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#chip-name")).to_have_text("like snow on the mountains")
    expect(page.locator("#item")).to_be_hidden()
    expect(page.locator(".card .score").first).to_contain_text("1.000")
    assert ids(page)[0] == "photo-4.jpg"
    assert photos.asked[-1]["id"] == "photo-4.jpg" and "text" not in photos.asked[-1]
    page.go_back()
    expect(page.locator("#text")).to_have_value("snow")
    expect(page.locator("#chip")).to_be_hidden()
    page.go_forward()
    expect(page.locator("#chip")).to_be_visible()
    expect(page.locator("#chip-name")).to_have_text("like snow on the mountains")
    page.fill("#text", "dunes")
    expect(page.locator(".card").first).to_contain_text("dunes")
    expect(page.locator("#chip")).to_be_hidden()


def test_a_result_opens_with_all_that_is_known_and_has_an_address(open_page, photos, ids):
    page = open_page(photos, "?q=sea+evening")
    ids(page)
    page.locator(".card").first.click()
    item = page.locator("#item")
    expect(item.locator("h2")).to_have_text("the sea in the evening")
    expect(item.locator(".captions li")).to_have_text(["the sea in the evening, seen from afar"])
    expect(item.locator(".score-bar figcaption")).to_contain_text("6.3 deviations above the mean of random pairs")
    expect(item.locator("dd")).to_contain_text(
        ["photo-1.jpg", "sea", "2001", "sea, outdoors", "yes", "https://example.org"]
    )
    link = item.get_by_role("link")
    assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    other = open_page(photos, f"?{urlsplit(page.url).query}")
    expect(other.locator("#item .item-score strong")).to_have_text("0.420")
    page.go_back()
    expect(item).to_be_hidden()
    assert "item" not in page.url


def test_verdicts_are_kept(open_page, photos, ids):
    page = open_page(photos, "?q=sea")
    first = ids(page)[0]
    page.locator(".card").first.click()
    page.get_by_role("button", name="This fits the query").click()
    expect(page.locator(".thanks")).to_have_text("Kept. Thank you.")
    expect(page.get_by_role("button", name="This fits the query")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Next result").click()
    expect(page.get_by_role("button", name="This fits the query")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="This does not fit the query").click()
    expect(page.locator(".thanks")).to_have_text("Kept. Thank you.")
    assert photos.verdicts[0] == {"text": "sea", "id": first, "verdict": 1}
    assert (photos.verdicts[1]["verdict"], photos.verdicts[1]["id"] != first) == (-1, True)


def test_an_item_without_a_picture_shows_its_text(open_page, photos, ids):
    photos.things.insert(0, Thing({"id": "words", "text": "zebra in words"}, ["zebra in words"], None))
    page = open_page(photos, "?q=zebra")
    assert ids(page)[0] == "words"
    expect(page.locator(".card").first.locator(".tile.words")).to_have_text("zebra in words")
    expect(page.locator(".card").first.locator(".caption")).to_be_hidden()
    expect(page.get_by_role("button", name="zebra in words score 0.420", exact=True)).to_be_visible()


def test_an_item_that_comes_late_is_not_shown_over_another_query(open_page, photos, ids):
    find = photos.find

    def slow(name):
        time.sleep(0.6)
        return find(name)

    photos.find = slow
    page = open_page(photos)
    expect(page.locator("#lead")).to_contain_text("120 items")
    page.evaluate(
        "() => { history.pushState(null, '', '?like=photo-4.jpg'); dispatchEvent(new PopStateEvent('popstate')); }"
    )
    expect(page.locator("body")).not_to_have_class("blank")
    page.fill("#text", "dunes")
    expect(page.locator(".card").first).to_contain_text("dunes")
    page.wait_for_timeout(1500)
    expect(page.locator("#chip")).to_be_hidden()
