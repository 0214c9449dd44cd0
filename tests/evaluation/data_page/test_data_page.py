"""The page of a data check: complete in itself, and of what was found."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import read
from mmkeras.data.checking import check_data
from mmkeras.data.checking.spread import Spread
from mmkeras.evaluation.data_page import picture_sheet, write_data_page
from mmkeras.evaluation.data_page.figures import histogram

from ...page import Page


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    lines = []
    for number in range(8):
        Image.new("RGB", (20 + number, 10), (30 * number, 0, 0)).save(tmp_path / f"{number}.png")
        caption = "<b>bold</b> & more" if number == 0 else f"thing number {number}"
        split = "dev" if number > 5 else "train"
        lines.append({"image": f"{number}.png", "split": split, "captions": [caption, "a", "b"], "label": "$x$ 犬\x1b"})
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return read(tmp_path / "c.jsonl", targets="category", skip_unreadable=1.0)


def test_the_page_is_complete_in_itself_and_names_what_is_wrong(data, tmp_path):
    findings = check_data(data)
    write_data_page(tmp_path / "page.html", findings, picture_sheet(data, 50_000_000))
    source = Path(tmp_path / "page.html").read_text()
    page = Page(source)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "script" not in page.tags
    assert "1 picture is empty" in page.text and "line 1: 0.png: expected a JPEG" in page.text
    assert "<b>bold" not in source
    assert "$x$ 犬\ufffd" in re.sub(r"<[^>]*>", "", source)  # drawn as it is, but for what a terminal would obey
    assert page.alts == [f"{number}.png" for number in range(1, 8)]
    assert "train 5 of 6" in page.text and "dev 2 of 2" in page.text
    assert "cannot be read 1 of 1" in page.text
    assert len(re.findall("<figure>", source)) == 4  # sides, aspects, words and classes


def test_a_sheet_takes_equal_shares_evenly_and_passes_over_what_cannot_be_read(data):
    train, dev = picture_sheet(data, 50_000_000, count=4)
    assert [item["name"] for item in dev["pictures"]] == ["6.png", "7.png"]
    assert len(train["pictures"]) == 2 and "0.png" not in [item["name"] for item in train["pictures"]]
    assert train["pictures"][0]["captions"] == ["thing number 2", "a"] and train["pictures"][0]["more"] == 1
    assert train["pictures"][0]["where"] == "line 3"
    everything = picture_sheet(data, 50_000_000, count=48)
    assert [len(part["pictures"]) for part in everything] == [5, 2]
    assert picture_sheet(data, max_pixels=10) == []  # all of them are larger


def test_a_tail_stands_in_the_last_bar():
    values = np.array([*range(1, 11)] * 100 + [5000])
    svg, is_clipped = histogram(Spread(values), "words", "captions")
    assert is_clipped and "5000" not in svg
    assert not histogram(Spread(values[:-1]), "words", "captions")[1]


@pytest.mark.parametrize("values", [np.array([7]), np.array([1.0, 1.0]), np.array([0, 100_000])])
def test_any_numbers_can_be_drawn(values):
    assert histogram(Spread(values), "x", "things")[0].startswith("<svg")
