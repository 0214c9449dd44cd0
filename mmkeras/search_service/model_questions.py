"""What a request asks of the model: one embedding, and how well a few results match."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import Modality
from mmkeras.search.search_result import SearchResult
from mmkeras.search_service.api_error import ApiError
from mmkeras.search_service.search_request import SearchRequest
from mmkeras.search_service.searched_version import MATCH, PICTURE, TEXT, SearchedVersion
from mmkeras.search_service.stale_version_error import StaleVersionError
from mmkeras.serving.errors import ServingError
from mmkeras.serving.reaching import reaching

_SMALLEST_NORM = 1e-3  # of two unit vectors' mean, below which it has no direction


def embed_query(now: SearchedVersion, request: SearchRequest, modality: Modality) -> NDArray[np.float32]:
    """Return the embedding of a request: of a text, a picture or an item, or of a text and one of these together.

    Of two the query is their sum, each by its share, brought to unit norm.

    Args:
        now: what answers.
        request: `SearchRequest`.
        modality: which embeddings are searched. An item's own embedding of it is taken where it has one.

    Returns:
        float32 (D,), unit norm.

    Raises:
        ApiError: 404, an item that is not there; 422, a model without an encoder for it, a picture that the model
            cannot read, or two embeddings that cancel each other; 503, no answer.
        StaleVersionError: the server is not in the space of `now` any more.
    """
    parts = []
    with _asking(now, request):
        if request.text:
            _check_signature(now, TEXT, "text")
            parts.append((request.weight, now.client.encode_text([request.text])[0]))
        if request.picture:
            _check_signature(now, PICTURE, "picture")
            parts.append((1 - request.weight, now.client.encode_image([request.picture])[0]))
        # After the embeddings, so that a server that changed meanwhile is found out.
        if parts and now.client.space_id() != now.space_id:
            raise StaleVersionError(f"Version {now.version} answers in another space")
    if request.id:
        parts.append((1 - request.weight, _embedding_of_item(now, request.id, modality)))
    if len(parts) == 1:
        # An embedding as the model gives it is searched as it is, as `mmkeras query` does.
        return parts[0][1]
    query = np.sum([weight * part.astype(np.float64) for weight, part in parts], axis=0)
    norm = np.linalg.norm(query)
    if norm < _SMALLEST_NORM:
        raise ApiError(422, "Expected text and picture that say something together. Received: two that are opposites")
    return (query / norm).astype(np.float32)


def matches_of(
    now: SearchedVersion, request: SearchRequest, index: EmbeddingIndex, results: Sequence[SearchResult]
) -> list[float]:
    """Return what the model's signature `match` gives each result with the text or the picture of a request, in [0, 1].

    Raises:
        ApiError: 422, a model without the signature; 503, no answer.
        StaleVersionError: the server is not in the space of `now` any more.
    """
    _check_signature(now, MATCH, "match")
    if request.text:
        pictures, texts = [index.picture(result.item) or b"" for result in results], [request.text] * len(results)
    else:
        pictures, texts = [request.picture] * len(results), [str(result.item["text"]) for result in results]
    with _asking(now, request):
        return [float(match) for match in now.client.match(pictures, texts)]


def _embedding_of_item(now, item_id, modality):
    """The item's embedding of a modality, or of the other one; stored ones are rounded, and of unit norm again here."""
    for name in sorted(now.indexes, key=lambda name: name != modality):
        row = now.indexes[name].rows_of([item_id]).get(item_id)
        if row is not None:
            embedding = now.indexes[name].embeddings(name, [row])[0]
            return embedding / (embedding**2).sum() ** 0.5
    raise ApiError(404, f"There is no item {item_id[:200]!r}")


def _check_signature(now, signature, what):
    if signature not in now.signatures:
        raise ApiError(422, f"This model takes no {what}: it has no signature {signature}")


@contextlib.contextmanager
def _asking(now: SearchedVersion, request: SearchRequest) -> Iterator[None]:
    """Turn what the model server says into what a request is answered with."""
    try:
        with reaching(now.client.address, now.client.model):
            yield
    except ServingError as error:
        if error.code in ("NOT_FOUND", "CANCELLED"):
            raise StaleVersionError(str(error)) from error
        if error.code == "INVALID_ARGUMENT":
            what = "picture" if request.picture else "text"
            raise ApiError(422, f"The {what} was refused: {error.reason}") from error
        raise ApiError(503, f"The model server did not answer: {error.code}: {error.reason}") from error
    except (ApiError, StaleVersionError):
        raise
    except MmkerasError as error:
        raise ApiError(503, str(error)) from error
