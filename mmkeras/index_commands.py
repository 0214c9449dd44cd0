"""The commands of `mmkeras index`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.arguments import only_model
from mmkeras.atomic import refuse_existing
from mmkeras.console import print_answer, print_table
from mmkeras.errors import MmkerasError
from mmkeras.printable import mmkeras_command, printable
from mmkeras.progress import Progress, showing_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmkeras.embeddings import ParquetEmbeddings
    from mmkeras.search import EmbeddingIndex
    from mmkeras.search.item_batch import Modality

MODELS = Path("savedmodels")


def index_build(options: argparse.Namespace) -> None:
    """Make an index of embeddings in Parquet files."""
    from mmkeras.embeddings import ParquetEmbeddings
    from mmkeras.search import EmbeddingIndex, IndexWriter

    refuse_existing(options.to)
    embeddings = ParquetEmbeddings(options.embeddings)
    writer = IndexWriter(embeddings.space_id, options.precision, options.kind)
    with showing_progress():
        writer.write_batches(options.to, _counted(embeddings))
    index = EmbeddingIndex(options.to)
    _tell_left_out(embeddings)
    print(printable(f"Built: {options.to}, {index.count:,} items, {index.kind}"))
    for modality, told in index.manifest.approximate.items():
        print(f"Its search of {modality} embeddings {_found(told)}")
    print(f"Next:  {mmkeras_command('index', 'search', options.to)} --text TEXT")


def index_add(options: argparse.Namespace) -> None:
    """Add items to an index."""
    _add(options, replace=False)


def index_update(options: argparse.Namespace) -> None:
    """Replace items of an index, and add others."""
    _add(options, replace=True)


def index_remove(options: argparse.Namespace) -> None:
    """Remove items of an index, by their ids and by an expression."""
    from mmkeras.search import EmbeddingIndex, IndexEditor

    if not options.ids and options.ids_from is None and options.where is None:
        raise MmkerasError("Expected ids of items, --ids-from FILE or --where EXPRESSION. Received: none of them")
    editor, ids = IndexEditor(options.index), list(options.ids)
    if options.ids_from is not None:
        try:
            ids += options.ids_from.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{options.ids_from} could not be read: {error}") from error
    if options.where is not None:
        index = EmbeddingIndex(options.index)
        ids += [str(index.item(row)["id"]) for row in index.where(options.where).tolist()]
    removed = editor.remove(ids)
    print(printable(f"Removed: {removed:,} items of {options.index}, which has {_count(options.index)}"))


def index_merge(options: argparse.Namespace) -> None:
    """Add the items of other indexes to one."""
    from mmkeras.search import EmbeddingIndex, IndexEditor

    editor, others = IndexEditor(options.index), [EmbeddingIndex(other) for other in options.others]
    for other in others:
        with showing_progress():
            _tell_added(options.index, editor.merge(other, options.replace), f"of {other.folder}")


def index_compact(options: argparse.Namespace) -> None:
    """Write an index in one piece."""
    from mmkeras.search import EmbeddingIndex, IndexEditor

    with showing_progress():
        changed = IndexEditor(options.index).compact(options.kind)
    index = EmbeddingIndex(options.index)
    if not changed:
        print(printable(f"{options.index} is in one piece already; nothing to do"))
        return
    print(printable(f"Compacted: {options.index}, {index.count:,} items, {index.kind}"))
    for modality, told in index.manifest.approximate.items():
        print(f"Its search of {modality} embeddings {_found(told)}")
    print("The files that it was made of are deleted by the next change")


def index_info(options: argparse.Namespace) -> None:
    """Say what is in an index."""
    from mmkeras.search import EmbeddingIndex

    index = EmbeddingIndex(options.index)
    told: dict[str, Any] = {
        "items": index.count,
        "removed": index.manifest.rows - index.count,
        "segments": len(index.segments),
        "modalities": list(index.modalities),
        "dim": index.dim,
        "precision": index.precision,
        "kind": index.kind,
        "approximate": index.manifest.approximate,
        "space_id": index.space_id,
        "generation": index.generation,
        "bytes": sum(file.stat().st_size for file in options.index.rglob("*") if file.is_file()),
        "columns": list(index.columns),
    }
    if options.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return
    rows = [
        ("items", f"{index.count:,}"),
        ("removed, and there until compact", f"{told['removed']:,} in {told['segments']} segments"),
        ("embeddings", f"{' and '.join(index.modalities)}, {index.dim} numbers, {index.precision}"),
        ("search", index.kind),
        *((f"search of {modality}", _found(one)) for modality, one in index.manifest.approximate.items()),
        ("space", index.space_id[:12]),
        ("generation", str(index.generation)),
        ("size", f"{told['bytes'] / 1e6:,.1f} MB"),
        ("columns for --where", printable(", ".join(index.columns))),
    ]
    print_table(str(options.index), ("what", ""), rows)


def index_search(options: argparse.Namespace) -> None:
    """Find items of an index by one of them, by a text or by a picture."""
    from mmkeras.query import Answer
    from mmkeras.search import EmbeddingIndex

    index = EmbeddingIndex(options.index)
    kind: Modality = "text" if options.text is not None else "image"
    modality = options.modality or _searched(index, "text" if options.picture is not None else "image")
    if modality not in index.modalities:
        raise MmkerasError(
            f"Expected --in {' or '.join(index.modalities)}, of which {options.index} has embeddings. "
            f"Received: --in {modality}"
        )
    if options.id is not None:
        if (row := index.rows_of([options.id]).get(options.id)) is None:
            raise MmkerasError(f"There is no item {options.id!r} in {options.index}")
        kind = modality
        query = index.embeddings(modality, [row])
        query = query / (query**2).sum() ** 0.5  # of rounded ones the norm is 1 but for rounding
    else:
        query = _embedded(options, index)
    (results,) = index.search(query, modality, options.k + (options.id is not None), options.where, options.exact)
    results = [result for result in results if options.id is None or str(result.item["id"]) != options.id]
    asked = next(str(by) for by in (options.id, options.text, options.picture) if by is not None)
    answer = Answer(asked, kind, [_ranked(result, rank) for rank, result in enumerate(results, 1)][: options.k], index)
    if options.json:
        print(answer.to_json())
    else:
        print_answer(answer)


def _embedded(options: argparse.Namespace, index: EmbeddingIndex) -> NDArray[Any]:
    """The text or the picture, embedded by a served model of the index's space, float32 (1, D)."""
    from mmkeras.serving.client import Client
    from mmkeras.serving.reaching import reaching

    if options.text is not None and not options.text.strip():
        raise MmkerasError("The text is empty. Give one with at least one visible character")
    if options.picture is not None and not options.picture.is_file():
        raise MmkerasError(f"There is no picture {options.picture}")
    model = options.model or only_model(MODELS)
    with reaching(options.server, model), Client(options.server, model) as client:
        client.check_space(index)
        return client.encode_text([options.text]) if options.picture is None else client.encode_image([options.picture])


def _add(options: argparse.Namespace, replace: bool) -> None:
    from mmkeras.embeddings import ParquetEmbeddings
    from mmkeras.search import IndexEditor
    from mmkeras.search.manifest import Manifest

    editor, space = IndexEditor(options.index), Manifest.read(options.index).space_id
    embeddings = ParquetEmbeddings(options.embeddings)
    if embeddings.space_id != space:
        raise MmkerasError(
            f"Expected embeddings of the space {space[:12]}, as {options.index} has them. "
            f"Received: {embeddings.files[0]} of the space {embeddings.space_id[:12]}"
        )
    with showing_progress():
        added = editor.add(_counted(embeddings), replace)
    _tell_left_out(embeddings)
    _tell_added(options.index, added)


def _counted(embeddings: ParquetEmbeddings) -> Any:
    """The batches of embeddings, and meanwhile how far they are."""
    with Progress("Reading embeddings", embeddings.rows, "row") as bar:
        for batch in embeddings.batches():
            yield batch
            bar.advance(len(batch.items))


def _tell_left_out(embeddings: ParquetEmbeddings) -> None:
    if embeddings.left_out:
        print(f"Left out, since they could not be embedded: {embeddings.left_out:,} of {embeddings.rows:,} rows")


def _tell_added(index: Path, added: tuple[int, int], origin: str = "") -> None:
    new, replaced = added
    of = f" {origin}" if origin else ""
    print(printable(f"Added: {new:,} items{of}, and replaced {replaced:,}; {index} has {_count(index)}"))


def _count(index):
    from mmkeras.search.manifest import Manifest

    return f"{Manifest.read(index).count:,}"


def _found(told):
    """What a search by faiss was measured to find."""
    return (
        f"found {told['recall']:.3f} of the {told['recall_at']} nearest when it was built, asked by {told['queries']}"
    )


def _searched(index, wanted):
    return wanted if wanted in index.modalities else index.modalities[0]


def _ranked(result, rank):
    return dataclasses.replace(result, rank=rank)


INDEX_COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "index build": index_build,
    "index add": index_add,
    "index update": index_update,
    "index remove": index_remove,
    "index merge": index_merge,
    "index compact": index_compact,
    "index info": index_info,
    "index search": index_search,
}
