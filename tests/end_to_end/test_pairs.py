"""From a recipe of pairs to an answer, one command after another."""

import json
import re

import pytest

from mmkeras.search import EmbeddingIndex

from .commands import SIGNATURE_OUTPUTS

pytestmark = pytest.mark.slow


def test_from_a_recipe_to_an_answer(mmkeras, tmp_path):
    out = mmkeras("train", "glyphs_tiny", "limit=150", "batch_size=32", "epochs=2", "--out", "runs/tiny")
    assert out.endswith("Next:      mmkeras evaluate runs/tiny\nIn Python: mmkeras.load_model('runs/tiny')\n")

    out = mmkeras("evaluate", "runs/tiny")
    assert "glyphs/dev" in out and "Text to image" in out
    metrics = json.loads((tmp_path / "runs" / "tiny" / "metrics.json").read_text())
    assert metrics["data"] == "glyphs/dev" and 0 <= metrics["image_to_text_recall@1"] <= 1
    assert "<svg" in (tmp_path / "runs" / "tiny" / "report.html").read_text()

    for version in ("1", "2"):
        out = mmkeras("export", "runs/tiny", "--to", "savedmodels/tiny")
        assert f"Exported: savedmodels/tiny/{version}" in out
    assert mmkeras("parity", "savedmodels/tiny").count("equal") == SIGNATURE_OUTPUTS

    with mmkeras.served("savedmodels/tiny") as address:
        index = EmbeddingIndex(tmp_path / "savedmodels" / "tiny" / "2" / "assets.extra" / "index")
        (tmp_path / "glyph.png").write_bytes(index.picture(index.items[3]))

        assert mmkeras("parity", "savedmodels/tiny", *address).count("equal") == SIGNATURE_OUTPUTS

        table = mmkeras("query", "exclamation mark", *address)
        assert "exclamation mark" in table and "U+" in table
        answer = json.loads(mmkeras("query", "exclamation mark", "--json", "-k", "3", *address))
        assert (answer["query"], answer["kind"]) == ("exclamation mark", "text")
        assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
        scores = [result["score"] for result in answer["results"]]
        assert scores == sorted(scores, reverse=True) and all(-1 <= score <= 1.0001 for score in scores)

        answer = json.loads(mmkeras("query", "glyph.png", "--json", "-k", len(index), *address))
        assert answer["kind"] == "image" and len(answer["results"]) == len(index)
        ids = [result["id"] for result in answer["results"]]
        assert sorted(ids) == sorted(item["id"] for item in index.items)

        mmkeras("query", "glyph.png", "--html", "answer.html", *address)
        page = (tmp_path / "answer.html").read_text()
        assert page.count("data:image/png;base64,") == 6 and page.count('<li class="card">') == 5
        assert not re.search(r'(src|href)="http', page)

        err = mmkeras("query", "missing.png", *address, code=2)
        assert err == "mmkeras: error: There is no picture missing.png\n"
