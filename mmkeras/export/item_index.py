"""The index that travels with a model: all items of its data set, embedded."""

import numpy as np

from mmkeras.export.pictures import encode_for_show
from mmkeras.search.writer import IndexWriter


def write_item_index(folder, model, identity, data, seen, precision="float32"):
    """Index one picture an item, with the first text paired with it, and the picture itself to be looked at.

    An item of an index has a row in each of its modalities. Where some pictures have no text, or some texts no picture,
    the pictures are therefore an index alone, and all texts another one, `<folder>_of_texts`.

    Args:
        folder: `pathlib.Path` of the index, `index`; must not exist.
        model: `ImageTextModel`.
        identity: the model's space id.
        data: `PairedData` of all items; features of texts are found by their names.
        seen: `PairedData` that was trained on; other items are marked as unseen.
        precision: type of the embeddings' numbers, see `IndexWriter`.

    Returns:
        float32 (N, D), the embeddings of the pictures before they are rounded to `precision`.

    Raises:
        MmkerasError: a folder that cannot be written, a full disk.
    """
    data = data.one_image_an_item()
    pictures, first_pair = np.unique(data.pairs[:, 0], return_index=True)
    text_of = dict(zip(pictures.tolist(), data.pairs[first_pair, 1].tolist(), strict=True))
    texts = [data.shown_texts[text_of[row]] if row in text_of else "" for row in range(len(data.images))]
    paired = len(text_of) == len(data.images) and len(np.unique(data.pairs[:, 1])) == len(data.texts)
    known = np.isin(data.image_item, seen.image_item)
    items = [
        {"id": name, "text": text, "seen": bool(was_seen)}
        for name, text, was_seen in zip(data.image_names, texts, known, strict=True)
    ]
    pictures = {}
    for item, picture in zip(items, data.pictures, strict=True) if data.pictures is not None else ():
        suffix, content = encode_for_show(picture)
        item["picture"] = f"{item['id']}{suffix}"
        pictures[item["picture"]] = content
    writer = IndexWriter(identity, precision)
    image_embeddings = model.encode_image(data.images)
    writer.write(
        folder,
        items,
        image_embeddings=image_embeddings,
        text_embeddings=model.encode_text(_chosen(data.texts, text_of)) if paired else None,
        pictures=pictures,
    )
    if not paired:
        known = np.isin(data.text_item, seen.text_item)
        items = [
            {"id": f"text-{row}", "text": text, "seen": bool(was_seen)}
            for row, (text, was_seen) in enumerate(zip(data.shown_texts, known, strict=True))
        ]
        writer.write(folder.with_name(f"{folder.name}_of_texts"), items, text_embeddings=model.encode_text(data.texts))
    return image_embeddings


def _chosen(texts, text_of):
    """The text of each picture, strings or features, by a dict from a picture's row to its text's."""
    rows = [text_of[row] for row in range(len(text_of))]
    return texts[rows] if isinstance(texts, np.ndarray) else [texts[row] for row in rows]
