"""`RetrievedPictures`: what a model finds for a few texts, epoch after epoch, to be looked at in TensorBoard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mmkeras.data.glyph_rendering import font_files
from mmkeras.metrics.ids import related
from mmkeras.printable import printable

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.training.callbacks import RetrievalValidation

TEXTS, PICTURES = 6, 5  # rows and columns
SIDE = 96  # of a picture, px
MARGIN, LINE = 4, 18  # around a picture, and for its row's text, px
RIGHT, PAPER, INK = (0, 160, 60), (255, 255, 255), (0, 0, 0)
TAG = "retrieved_pictures"


class RetrievedPictures(keras.callbacks.Callback):
    """After each epoch, write one image with the 5 first pictures of the dev split for 6 of its texts.

    The texts are the same ones all the time, spread over the split. A picture that is a right answer has a green frame.
    Nothing is written where the data have no pictures to be looked at. Must stand behind the validation.

    Args:
        folder: of TensorBoard's event files.
        validation: the `RetrievalValidation` whose embeddings are ranked.
        by_category: whether right answers are those of a text's categories, and not its own pictures.
    """

    def __init__(
        self, folder: str | os.PathLike[str], validation: RetrievalValidation, by_category: bool = False
    ) -> None:
        super().__init__()
        self.folder = folder
        self.validation = validation
        self.by_category = by_category
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        data = self.validation.data
        if data.pictures is None:
            return
        self._writer = self._writer or tf.summary.create_file_writer(str(self.folder))
        rows = np.unique(np.linspace(0, len(data.texts) - 1, TEXTS).round().astype(int))
        scores = self.validation.text_embedding[rows] @ self.validation.image_embedding.T
        found = np.argsort(-scores, axis=1, kind="stable")[:, :PICTURES]
        right = np.take_along_axis(self._relevant(data, rows), found, axis=1)
        with self._writer.as_default():
            tf.summary.image(TAG, drawn(data, rows, found, right)[None], step=epoch)
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _relevant(self, data, rows):
        """Bool (texts, P)."""
        if not self.by_category:
            return related(data.text_image_id[rows], data.image_id)
        label, text_label = data.label, data.text_label[rows]
        return text_label @ label.T > 0 if label.ndim == 2 else text_label[:, None] == label


def drawn(
    data: PairedData, rows: NDArray[np.integer], found: NDArray[np.integer], right: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Draw a row for each text: what it says, and below the pictures that were found for it.

    Args:
        data: `PairedData` with `pictures`.
        rows: int (N,), the texts.
        found: int (N, k), the pictures of each.
        right: bool (N, k), which of them get a green frame.

    Returns:
        uint8 (H, W, 3).
    """
    cell = SIDE + 2 * MARGIN
    sheet = Image.new("RGB", (found.shape[1] * cell, len(rows) * (LINE + cell)), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(str(font_files()[0]), 12, layout_engine=ImageFont.Layout.BASIC)
    for place, row in enumerate(rows):
        top = place * (LINE + cell)
        text = " ".join(printable(data.shown_texts[row])[:200].split())
        while font.getlength(text) > sheet.width - 2 * MARGIN:
            text = f"{text.removesuffix('…')[:-1]}…"
        pen.text((MARGIN, top + 2), text, fill=INK, font=font)
        for column, picture in enumerate(found[place]):
            pixels = np.asarray(data.pictures[picture])  # type: ignore[index]  # it has some
            image = ImageOps.contain(
                Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels), (SIDE, SIDE)
            )
            left, upper = column * cell, top + LINE
            if right[place, column]:
                pen.rectangle((left, upper, left + cell - 1, upper + cell - 1), fill=RIGHT)
            sheet.paste(image, (left + (cell - image.width) // 2, upper + (cell - image.height) // 2))
    return np.asarray(sheet)
