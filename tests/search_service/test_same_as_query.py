"""The service finds what `mmkeras query` and `mmkeras index search` find, in the same order, with the same scores."""

import base64
import json

import pytest

from mmkeras.cli import main
from mmkeras.query import ask, find_index

from .conftest import PNG, write_indexes


def told(results):
    return [(result["rank"], result["item"]["id"], result["score"], result["match"]) for result in results]


def asked(query, folder, server, **how):
    answer = ask(str(query), find_index(folder, str(query)), server.address, "toy", **how)
    return [(result.rank, result.item["id"], result.score, result.match) for result in answer.results]


@pytest.mark.parametrize(
    "space",
    [{}, {"rerank": 4}, {"rerank": 16, "rerank_temperature": 0.05}],
    ids=["by embedding", "by match", "by both"],
)
@pytest.mark.parametrize("texts_apart", [False, True])
@pytest.mark.parametrize("k", [1, 3, 12])
def test_texts_and_pictures(serving, model_server, tmp_path, space, texts_apart, k):
    folder = write_indexes(tmp_path / "asked" / "1", "space-1", texts_apart, **space)
    (tmp_path / "query.png").write_bytes(PNG + b" 53")
    encoded = base64.b64encode(PNG + b" 53").decode()
    with serving([tmp_path / "asked"]) as asking:
        by_text = told(asking.search(text="at 38", k=k)["results"])
        assert by_text == asked("at 38", folder, model_server, k=k)
        by_picture = told(asking.search(**{"picture": encoded, "in": "text", "k": k})["results"])
        assert by_picture == asked(tmp_path / "query.png", folder, model_server, k=k)
        assert [match is not None for *_, match in by_picture] == [
            row < space.get("rerank", 0) for row in range(len(by_picture))
        ]
        where = "price > 4" if not texts_apart else "id LIKE 'p%'"
        filtered = told(asking.search(text="at 38", k=k, where=where)["results"])
        assert filtered == asked("at 38", folder, model_server, k=k, where=where)


def test_items(serving, models, capsys):
    index = str(models / "1/assets.extra/index")
    for modality in ("image", "text"):
        assert main(["index", "search", index, "--id", "p4", "-k", "5", "--in", modality, "--json"]) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        with serving() as asking:
            found = asking.search(**{"id": "p4", "k": 5, "in": modality})["results"]
        assert [(r["rank"], r["id"], r["score"]) for r in results] == [(n, i, s) for n, i, s, _ in told(found)]
