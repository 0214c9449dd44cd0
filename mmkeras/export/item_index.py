"""The index that travels with a model: all items of its data set, embedded."""

import numpy as np

from mmkeras.export.pictures import ShownPictures, suffix_for_show
from mmkeras.search.writer import IndexWriter


def write_item_index(folder, model, identity, data, seen, precision="float32", texts=True, keep_pictures=True):
    """Index one picture an item, with the first text paired with it, and the picture itself to be looked at.

    An item of an index has a row in each of its modalities. Unless each picture has one text and each text one picture,
    the pictures are therefore an index alone, and all texts another one, `<folder>_of_texts`: a text that stands at
    several pictures once, and its item names them in `images`.

    Args:
        folder: `pathlib.Path` of the index, `index`; must not exist.
        model: `ImageTextModel`.
        identity: the model's space id.
        data: `PairedData` of all items; features of texts are found by their names.
        seen: `PairedData` that was trained on; other items are marked as unseen.
        precision: type of the embeddings' numbers, see `IndexWriter`.
        texts: whether texts are embedded too; a device that looks for pictures reads none.
        keep_pictures: whether the pictures themselves are in the index of pictures.

    Returns:
        float32 (N, D), the embeddings of the pictures before they are rounded to `precision`.

    Raises:
        MmkerasError: a folder that cannot be written, a full disk.
    """
    data = data.one_image_an_item()
    pictures, first_pair = np.unique(data.pairs[:, 0], return_index=True)
    text_of = dict(zip(pictures.tolist(), data.pairs[first_pair, 1].tolist(), strict=True))
    shown = [data.shown_texts[text_of[row]] if row in text_of else "" for row in range(len(data.images))]
    paired = len(text_of) == len(data.images) == len(data.texts) == len(np.unique(data.pairs[:, 1]))
    known = np.isin(data.image_item, seen.image_item)
    items = [
        {"id": name, "text": text, "seen": bool(was_seen)}
        for name, text, was_seen in zip(data.image_names, shown, known, strict=True)
    ]
    pictures = None
    if keep_pictures and data.pictures is not None:
        suffix = suffix_for_show(*data.pictures.shape[1:3])
        for item in items:
            item["picture"] = f"{item['id']}{suffix}"
        pictures = ShownPictures({item["picture"]: row for row, item in enumerate(items)}, data.pictures)
    writer = IndexWriter(identity, precision)
    image_embeddings = model.encode_image(data.images)
    writer.write(
        folder,
        items,
        image_embeddings=image_embeddings,
        text_embeddings=model.encode_text(_chosen(data.texts, text_of)) if texts and paired else None,
        pictures=pictures,
    )
    if texts and not paired:
        _write_texts(writer, folder.with_name(f"{folder.name}_of_texts"), model, data, seen)
    return image_embeddings


def _write_texts(writer, folder, model, data, seen):
    """Index all texts, equal ones once."""
    first = {}
    for row, text in enumerate(data.shown_texts):
        first.setdefault(row if data.text_features else text, row)
    rows = np.fromiter(first.values(), np.int64)
    images = {row: [] for row in rows.tolist()}
    for image, text in data.pairs.tolist():
        images[first[text if data.text_features else data.shown_texts[text]]].append(data.image_names[image])
    known = np.isin(data.text_item, seen.text_item)
    items = [
        {"id": f"text-{row}", "text": data.shown_texts[row], "seen": bool(known[row])}
        | ({"images": of_row} if of_row else {})
        for row, of_row in images.items()
    ]
    texts = data.texts[rows] if isinstance(data.texts, np.ndarray) else [data.texts[row] for row in rows]
    writer.write(folder, items, text_embeddings=model.encode_text(texts))


def _chosen(texts, text_of):
    """The text of each picture, strings or features, by a dict from a picture's row to its text's."""
    rows = [text_of[row] for row in range(len(text_of))]
    return texts[rows] if isinstance(texts, np.ndarray) else [texts[row] for row in rows]
