"""What is searched by what, and what is answered."""

import base64

import numpy as np
import pytest

from mmkeras.search import EmbeddingIndex, IndexEditor, ItemBatch

from .conftest import ITEMS, PNG, direction, write_indexes


def picture(degrees):
    return base64.b64encode(PNG + f" {degrees}".encode()).decode()


def test_a_text_finds_pictures(asking):
    found = asking.search(text="a thing at 32", k=3)
    assert [result["item"]["id"] for result in found["results"]] == ["p3", "p4", "p2"]
    assert [result["rank"] for result in found["results"]] == [1, 2, 3]
    assert found["results"][0]["score"] == pytest.approx(np.cos(np.radians(2)))
    first = found["results"][0]
    assert (first["picture"], first["captions"], first["match"]) == ("api/picture?id=p3", ["picture 3"], None)
    assert first["item"]["labels"] == ["large", "late"] and first["item"]["seen"] is False
    assert (found["total"], found["more"], found["version"], found["space_id"]) == (ITEMS, True, 1, "space-1")
    assert (found["model"], found["generation"]) == ("toy", 1)
    assert found["milliseconds"]["all"] >= found["milliseconds"]["embed"] > 0


def test_a_picture_finds_pictures_and_texts_where_these_are_asked_for(asking):
    assert asking.ids(picture=picture(50), k=2)[0] == "p5"
    assert asking.ids(**{"picture": picture(50), "k": 1, "in": "text"}) == ["p6"]  # whose text stands at 50 degrees


def test_an_item_finds_what_is_like_it_and_not_itself(asking):
    found = asking.search(id="p0", k=200)
    assert [result["item"]["id"] for result in found["results"]] == [f"p{row}" for row in range(1, ITEMS)]
    assert [result["rank"] for result in found["results"]] == list(range(1, ITEMS))
    assert (found["total"], found["more"]) == (ITEMS - 1, False)
    assert "p0" in asking.refusal(404, id="p0x")


@pytest.mark.parametrize(("weight", "first"), [(0.5, "p5"), (0, "p2"), (1, "p8"), (0.35, "p4")])
def test_a_text_and_a_picture_are_weighed(asking, weight, first):
    assert asking.ids(text="at 80", picture=picture(20), weight=weight, k=1) == [first]
    assert asking.ids(text="at 80", id="p2", weight=weight, k=1) == [first if weight else "p1"]
    found = asking.search(text="at 80", picture=picture(20), weight=weight, k=1)["results"][0]
    query = weight * direction(80) + (1 - weight) * direction(20)
    score = query @ direction(10 * int(found["item"]["id"][1:])) / np.linalg.norm(query)
    assert found["score"] == pytest.approx(float(score), abs=1e-5)


def test_opposites_say_nothing_together(asking):
    assert "opposites" in asking.refusal(422, text="at 200", picture=picture(20))


def test_results_come_in_pages(asking):
    pages = [asking.search(text="at 0", k=5, offset=offset) for offset in (0, 5, 10, 15)]
    assert [result["item"]["id"] for page in pages for result in page["results"]] == [f"p{row}" for row in range(ITEMS)]
    assert [result["rank"] for page in pages for result in page["results"]] == list(range(1, ITEMS + 1))
    assert [page["more"] for page in pages] == [True, True, False, False]


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({"kind": ["even"]}, range(0, ITEMS, 2)),
        ({"kind": ["it's odd"]}, range(1, ITEMS, 2)),
        ({"kind": ["even", "it's odd"], "price": [3, 4.0]}, [3, 4]),
        ({"labels": ["small"]}, range(3)),
        ({"labels": ["small", "late"]}, range(ITEMS)),
        ({"seen": [True]}, range(0, ITEMS, 2)),
        ({"seen": [False], "labels": ["small"]}, [1]),
        ({"kind": []}, range(ITEMS)),
        ({"kind": ["'); DROP TABLE items; --"]}, []),
        ({"kind": ["even"], "price": [1]}, []),
    ],
)
def test_filters(asking, filters, rows):
    found = asking.search(text="at 0", filters=filters, k=200)
    assert [result["item"]["id"] for result in found["results"]] == [f"p{row}" for row in rows]
    assert found["total"] == len(list(rows))


def test_an_expression_and_filters_hold_together_whatever_the_expression_is(asking):
    assert asking.ids(text="at 0", where="price > 5", filters={"kind": ["even"]}) == ["p6", "p8", "p10"]
    # What would close a bracket opens no other filter.
    assert asking.ids(text="at 0", where="1) OR (1", filters={"kind": ["even"], "price": [2]}) == ["p2"]
    assert asking.ids(id="p0", where="price < 3") == ["p1", "p2"]
    assert asking.search(id="p0", where="price = 5")["total"] == 1


def test_texts_apart_from_their_pictures(serving, tmp_path):
    write_indexes(tmp_path / "apart" / "1", "space-1", texts_apart=True)
    with serving([tmp_path / "apart"]) as asking:
        first = asking.search(text="at 30", k=1)["results"][0]
        assert (first["item"]["id"], first["captions"]) == ("p3", ["caption 6", "caption 7"])
        first = asking.search(**{"picture": picture(35), "in": "text", "k": 1})["results"][0]
        assert (first["item"]["id"], first["captions"]) == ("text-7", ["caption 7"])
        assert first["picture"] == "api/picture?id=p3"
        assert asking.get("/api/item?id=p3")["captions"] == ["caption 6", "caption 7"]
        assert asking.get("/api/item?id=text-7")["item"]["images"] == ["p3"]
        # What is like a picture among the texts is asked by the picture's own embedding.
        assert asking.search(**{"id": "p3", "in": "text", "k": 1})["results"][0]["item"]["id"] == "text-6"


def test_the_best_are_ranked_anew_where_the_export_wants_it(serving, tmp_path):
    write_indexes(tmp_path / "matched" / "1", "space-1", rerank=3)
    with serving([tmp_path / "matched"]) as asking:
        # Of three texts `match` prefers the last by number; without a temperature its order is the order.
        found = asking.search(**{"picture": picture(110), "in": "text", "k": 4})["results"]
        assert [result["item"]["id"] for result in found] == ["p2", "p1", "p0", "p3"]
        assert [result["match"] is None for result in found] == [False, False, False, True]
        pages = [asking.ids(**{"picture": picture(110), "in": "text", "k": 2, "offset": at}) for at in (0, 2)]
        assert pages == [["p2", "p1"], ["p0", "p3"]]
        assert asking.search(picture=picture(50), k=1)["results"][0]["match"] is None  # a picture by pictures


def test_an_item_has_its_captions_and_its_picture(asking):
    found = asking.get("/api/item?id=p7")
    assert found["item"] == EmbeddingIndex(asking.follower.finder.folders[0] / "1/assets.extra/index").items[7]
    assert (found["picture"], found["captions"]) == ("api/picture?id=p7", ["picture 7"])
    status, headers, body = asking.raw("GET", "/api/picture?id=p7")
    assert (status, headers["Content-Type"], body) == (200, "image/png", PNG + b"p7")
    status, headers, body = asking.raw("GET", "/api/picture?id=p7", headers={"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


def test_ids_of_any_kind_are_found(serving, tmp_path, models):
    names = ["a b/../c?&#%.jpg", "\u03c9\U0001f600", "'; --"]
    embeddings = np.stack([direction(angle) for angle in (200, 210, 220)])
    items = [{"id": name, "text": "", "picture": f"{row}.png"} for row, name in enumerate(names)]
    pictures = {f"{row}.png": PNG + name.encode() for row, name in enumerate(names)}
    editor = IndexEditor(models / "1/assets.extra/index")
    editor.add([ItemBatch(items, {"image": embeddings, "text": embeddings}, pictures)])
    with serving() as asking:
        found = asking.search(text="at 200", k=3)["results"]
        assert [result["item"]["id"] for result in found] == names
        for result in found:
            status, _, body = asking.raw("GET", "/" + result["picture"])
            assert (status, body) == (200, PNG + result["item"]["id"].encode())
        assert found[0]["captions"] == []


def test_what_is_served(asking):
    told = asking.get("/api/info")
    columns = {column["name"]: column for column in told["columns"]}
    assert list(columns) == ["seen", "kind", "price", "labels"]
    assert (columns["kind"]["kind"], sorted(columns["kind"]["values"])) == ("text", ["even", "it's odd"])
    assert columns["seen"]["kind"] == "flag" and columns["price"] == {"name": "price", "kind": "number", "values": []}
    assert (columns["labels"]["kind"], columns["labels"]["values"]) == ("list", ["large", "late", "small"])
    assert (told["model"], told["version"], told["label"], told["items"]) == ("toy", 1, None, ITEMS)
    assert told["scores"] == {"random_mean": 0.1, "random_deviation": 0.2, "threshold": 0.9}
    assert told["tasks"] == {"text": True, "picture": True} and told["pictures"] and told["feedback"]
    assert told["server"] == asking.follower.server and told["modalities"] == ["image", "text"]


def test_numbers_that_json_has_no_word_for(serving, models):
    index = models / "1/assets.extra/index"
    new = [{"id": "odd", "text": "odd", "weight": float("nan")}]
    IndexEditor(index).add([ItemBatch(new, {"image": direction(300)[np.newaxis], "text": direction(300)[np.newaxis]})])
    with serving() as asking:
        assert asking.search(text="at 300", k=1)["results"][0]["item"]["weight"] is None
