"""Asking a served model: embed a text or a picture over gRPC and search the index that belongs to it."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.search.exported import exported_index, exported_space
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import Modality
from mmkeras.search.reranking import reranked, wanted_by_export
from mmkeras.search.search_result import SearchResult
from mmkeras.search_page.answer_page import AnswerCard, answer_page
from mmkeras.serving.client import Client
from mmkeras.serving.errors import ServingError
from mmkeras.serving.reaching import reaching

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
        model: name of the model that was asked.
        version: its version that answered; None where it is not known.
    """

    query: str
    kind: Modality
    results: list[SearchResult]
    index: EmbeddingIndex
    model: str = ""
    version: int | None = None

    def to_json(self) -> str:
        """Return the answer as a JSON string, for programs."""
        results = [
            {**r.item, "rank": r.rank, "score": r.score, **({} if r.match is None else {"match": r.match})}
            for r in self.results
        ]
        return json.dumps({"query": self.query, "kind": self.kind, "results": results}, ensure_ascii=False, indent=2)

    def write_html(self, file: str | os.PathLike[str]) -> None:
        """Write the answer as one self-contained page with the pictures of the items."""
        of_version = "" if self.version is None else f" version {self.version}"
        about = [f"{self.model}{of_version}", f"{len(self.index):,} items", f"space {self.index.space_id[:12]}"]
        page = answer_page(
            self.query,
            [AnswerCard(result.item, _scores(result), self.index.picture(result.item)) for result in self.results],
            about=" · ".join(filter(None, about)),
            query_picture=(self.query, Path(self.query).read_bytes()) if self.kind == "image" else None,
        )
        with replacing_file(file) as beside:
            beside.write_text(page, encoding="utf-8")


def _scores(result):
    match = "" if result.match is None else f" · match {result.match:.3f}"
    return f"{result.score:.3f}{match}{'' if result.item.get('seen', True) else ' · not in training'}"


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


def labelled_version(server: str, model: str, label: str) -> int:
    """Return the number of the version that has a label on a server.

    Args:
        server: `HOST:PORT` of gRPC.
        model: name of the served model.
        label: a version label ("stable").

    Raises:
        MmkerasError: no server, or none with this label.
    """
    with reaching(server, model), Client(server, model, label=label) as client:
        return client.metadata()["version"]


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
    by_export, temperature = wanted_by_export(exported_space(index))
    wanted = by_export if rerank is None else rerank
    with reaching(server, model), Client(server, model, version, timeout, label=label) as client:
        client.check_space(index)
        embedding = _encode_picture(client, query) if kind == "image" else client.encode_text([query])
        answered = client.metadata()["version"]
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
            results = [*reranked(best, matches, temperature), *others]
    return Answer(query, kind, results[:k], index, model, answered)


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


def _encode_picture(client, file):
    try:
        return client.encode_image([file])
    except ServingError as error:
        if error.code != "INVALID_ARGUMENT":
            raise
        raise MmkerasError(f"The picture {file} was refused: {error.reason}") from error
