"""Asking a served model: embed a text or a picture over gRPC and search the index that belongs to it."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import math
import os
from pathlib import Path

from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.search.exported import exported_index
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import Modality
from mmkeras.search.search_result import SearchResult
from mmkeras.serving.client import Client
from mmkeras.serving.errors import ServingError
from mmkeras.serving.reaching import reaching

CERTAIN = 1 - 2**-24  # the float32 before 1
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# Of pictures that are not read; a query that ends so means a file, and no text.
OTHER_SUFFIXES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".jfif", ".ico")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a query found.

    Args:
        query: the text, or the picture's path.
        kind: `"text"` or `"image"`.
        results: list of `SearchResult`, best first.
        index: the `EmbeddingIndex` they come from.
    """

    query: str
    kind: Modality
    results: list[SearchResult]
    index: EmbeddingIndex

    def to_json(self) -> str:
        """Return the answer as a JSON string, for programs."""
        results = [
            {**r.item, "rank": r.rank, "score": r.score, **({} if r.match is None else {"match": r.match})}
            for r in self.results
        ]
        return json.dumps({"query": self.query, "kind": self.kind, "results": results}, ensure_ascii=False, indent=2)

    def write_html(self, file: str | os.PathLike[str]) -> None:
        """Write the answer as one self-contained page with the pictures of the items."""
        cards = "".join(self._card(result) for result in self.results)
        query = html.escape(self.query)
        if self.kind == "image":
            query = f'<img class="query" src="{_data_uri(Path(self.query).read_bytes(), self.query)}" alt="{query}">'
        with replacing_file(file) as beside:
            beside.write_text(PAGE.format(title=html.escape(self.query), query=query, cards=cards), encoding="utf-8")

    def _card(self, result):
        picture = self.index.picture(result.item)
        name = html.escape(result.item["text"])
        shown = f'<img src="{_data_uri(picture, result.item["picture"])}" alt="{name}">' if picture else ""
        unseen = "" if result.item.get("seen", True) else " · not in training"
        item = html.escape(str(result.item["id"]))
        match = "" if result.match is None else f" · match {result.match:.3f}"
        return f"<li>{shown}<b>{name}</b><span>{item} · {result.score:.3f}{match}{unseen}</span></li>"


def is_picture(query: str) -> bool:
    """Say whether a query is the path of a picture, rather than a text."""
    return os.path.isfile(query)  # unlike pathlib's, false and not an error for a text too long for a file's name


def find_index(version: str | os.PathLike[str], query: str) -> EmbeddingIndex:
    """Return the `EmbeddingIndex` of an exported version in which a query finds what it can find.

    Args:
        version: folder of the version, `savedmodels/NAME/1`.
        query: a text, which finds pictures, or the path of a picture, which finds texts. An export of data with other
            than one text a picture keeps its texts in an index of their own; one of many items keeps its index beside
            the versions.

    Raises:
        MmkerasError: the version has no index.
    """
    return EmbeddingIndex(exported_index(version, texts=is_picture(query)))


def ask(
    query: str,
    index: EmbeddingIndex,
    server: str,
    model: str,
    k: int = 5,
    timeout: float = 30.0,
    rerank: int | None = None,
    version: int | None = None,
    label: str | None = None,
    where: str | None = None,
) -> Answer:
    """Ask a server for the embedding of a query and search the index with it.

    A text finds pictures; a picture finds texts. With re-ranking the best are put in the order of what embeddings and
    the model's signature `match`, asked of each of them with the query, say together: the log-odds of `match` plus the
    cosine over the temperature in the export's `space.json`, as an evaluation does. Without that temperature the order
    is that of `match`. The others stay behind them.

    Args:
        query: a text, or the path of a picture.
        index: `EmbeddingIndex`, as `find_index` finds it; its space must be the server's.
        server: `HOST:PORT` of gRPC.
        model: name of the served model.
        k: results.
        timeout: seconds for each call.
        rerank: how many of the best by embedding to re-rank, 0 for none; left out it is what the export says in
            `space.json`: 16 where the model has a matching head that made the results no worse when the run was
            evaluated; none where the index keeps no pictures for a text. Pictures are those of the index, of more than
            64 pixels on a side JPEGs, so that scores differ a little from those of the originals.
        version: the version that is asked; the server's choice, its newest, where None.
        label: a version label ("stable"), in place of a version.
        where: find only items for which this expression is true, see `EmbeddingIndex.where`.

    Returns:
        `Answer`; its results have a `match` as far as they were re-ranked.

    Raises:
        MmkerasError: an empty text, a picture that is not there or unreadable, an index without what the query finds,
            no server, another space; re-ranking by a model without `match`, or of items without pictures.
    """
    kind: Modality
    modality: Modality
    kind, modality = ("image", "text") if is_picture(query) else ("text", "image")
    if kind == "text" and query.lower().endswith((*PICTURE_SUFFIXES, *OTHER_SUFFIXES)):
        raise MmkerasError(f"There is no picture {query}")
    if not query.strip():
        raise MmkerasError("The query is empty. Give a text with at least one visible character, or a picture's path")
    if modality not in index.modalities:
        finds = "A text finds pictures" if kind == "text" else "A picture finds texts"
        raise MmkerasError(
            f"{finds}, of which the index {index.folder} has none. Name another one of this export with --index: "
            "index holds its pictures, index_of_texts its texts, where these are apart"
        )
    if rerank is not None and rerank < 0:
        raise MmkerasError(f"Expected the number of results to re-rank, 0 or more. Received: rerank={rerank}")
    space = _space_of(index)
    wanted = _number(space, "rerank", int) if rerank is None else rerank
    with reaching(server, model), Client(server, model, version, timeout, label=label) as client:
        client.check_space(index)
        embedding = _encode_picture(client, query) if kind == "image" else client.encode_text([query])
        results = index.search(embedding, modality, max(k, wanted) if k > 0 else k, where)[0]
        best, others = results[:wanted], results[wanted:]
        if kind == "text" and (blind := next((result for result in best if not result.item.get("picture")), None)):
            if rerank:
                raise MmkerasError(
                    f"The index {index.folder} keeps no picture of {blind.item['id']}, and re-ranking looks at the "
                    "pictures that a text finds. Ask with --rerank 0"
                )
        elif best:
            matches = _matches(client, query, kind, index, best)
            results = [*_reranked(best, matches, _number(space, "rerank_temperature", float)), *others]
    return Answer(query, kind, results[:k], index)


def _space_of(index):
    """What the export says of itself that the index came with, a dict; empty of an index of its own."""
    own = index.folder / "space.json"  # of an index beside the versions
    try:
        space = json.loads((own if own.exists() else index.folder.parent / "space.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return space if isinstance(space, dict) and space.get("space_id") == index.space_id else {}


def _number(space, key, kind):
    """A number of more than 0 that the export says; 0 where it says none."""
    value = space.get(key)
    return max(0, value) if isinstance(value, (int, kind)) else 0


def _matches(client, query, kind, index, results):
    """What `match` gives each result with the query, floats in [0, 1]."""
    if "match" not in client.metadata()["signatures"]:
        raise MmkerasError(
            f"Model {client.model!r} at {client.address} has no signature match to re-rank by. Ask with --rerank 0"
        )
    if kind == "text":
        pictures, texts = [index.picture(result.item) for result in results], [query] * len(results)
    else:
        pictures, texts = [Path(query).read_bytes()] * len(results), [result.item["text"] for result in results]
    return [float(match) for match in client.match(pictures, texts)]


def _reranked(results, matches, temperature):
    """The same results, in the order of both scores; equals stay in the order of the embeddings."""
    scores = [
        _log_odds(match) + (result.score / temperature if temperature else 0)
        for result, match in zip(results, matches, strict=True)
    ]
    order = sorted(range(len(results)), key=lambda row: (-scores[row], row))
    return [dataclasses.replace(results[row], rank=rank, match=matches[row]) for rank, row in enumerate(order, 1)]


def _log_odds(probability):
    """Of a float32 in [0, 1], finite: of the nearest one between where it is 0 or 1."""
    probability = min(max(probability, 2**-149), CERTAIN)
    return math.log(probability) - math.log1p(-probability)


def _encode_picture(client, file):
    try:
        return client.encode_image([file])
    except ServingError as error:
        if error.code != "INVALID_ARGUMENT":
            raise
        raise MmkerasError(f"The picture {file} was refused: {error.reason}") from error


def _data_uri(content, name):
    suffix = Path(name).suffix.lower()
    kind = suffix[1:].replace("jpg", "jpeg") if suffix in PICTURE_SUFFIXES else "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 3rem auto; padding: 0 1rem; }}
ol {{ list-style: none; padding: 0; display: grid; gap: 1rem; }}
ol {{ grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }}
li {{ border: 1px solid #8884; border-radius: .6rem; padding: 1rem; }}
li {{ display: flex; flex-direction: column; gap: .3rem; overflow-wrap: anywhere; }}
li img, .query {{ width: 96px; height: 96px; object-fit: contain; background: #fff; border-radius: .3rem; }}
li span {{ color: #888; font-size: .85rem; }}
</style></head><body><h1>{query}</h1><ol>{cards}</ol></body></html>
"""
