"""`PairedData`: pictures and texts with their correspondence, the one form in which data reaches models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    import tensorflow as tf

    from mmkeras.data.stored_pictures import StoredPictures


@dataclasses.dataclass(frozen=True, eq=False)
class PairedData:
    """One split of a data set: P pictures, T texts and who belongs to whom.

    A text is a right answer to a picture, and the picture to it, where the text's id is one of the picture's; such two
    are never negatives of each other in a loss. The strict item vectors tell apart pictures that look alike or have
    one caption.

    Args:
        name: for messages and reports, `"glyphs/dev"`.
        images: uint8 (P, H, W, 3), as an array or as `StoredPictures`, or float32 feature vectors (P, F).
        texts: list of T strings, none of them blank, or float32 feature vectors (T, F).
        image_id: int64 (P,), 0 or more; or (P, S) for several ids a picture, filled up with -1, see
            `relate_equal_texts`.
        text_image_id: int64 (T,).
        pairs: int32 (K, 2), rows (picture, text) that train together.
        image_item: int64 (P,), strict identity; `image_id` where left out.
        text_item: int64 (T,); `text_image_id` where left out.
        label: int32 (P,) in [0, classes), or uint8 multi-hot (P, C); optional.
        text_label: the same for the texts; optional.
        label_names: names of the C categories, with `label`.
        image_names: list of P names, such as `photo.jpg` or `U+03C9`; the strict items where left out.
        pictures_on_demand: `StoredPictures`, the pictures themselves where `images` are features; optional.
        text_names: list of T strings that stand for the texts where these are features: an id, or what they say; the
            strict items where left out.
        ids_given: whether the ids are the user's own, so that equal texts are no reason for others.
        left_out: what of the data could not be read and is not here, a message each.
        text_inputs: float32 (T, F), what a frozen network made of the texts, which a model takes in their place;
            optional.

    Raises:
        MmkerasError: a shape or a length that does not fit, a blank text, a pair or a label out of range, named by its
            row.
    """

    name: str
    images: NDArray[np.uint8] | StoredPictures | NDArray[np.float32]
    texts: list[str] | NDArray[np.float32]
    image_id: NDArray[np.int64]
    text_image_id: NDArray[np.int64]
    pairs: NDArray[np.int32]
    image_item: NDArray[np.int64] = None
    text_item: NDArray[np.int64] = None
    label: NDArray[np.integer] | None = None
    text_label: NDArray[np.integer] | None = None
    label_names: Sequence[str] = ()
    image_names: list[str] = None
    pictures_on_demand: StoredPictures | None = None
    text_names: list[str] | None = None
    ids_given: bool = False
    left_out: tuple[str, ...] = ()
    text_inputs: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for strict, loose in (("image_item", "image_id"), ("text_item", "text_image_id")):
            if getattr(self, strict) is None:
                object.__setattr__(self, strict, getattr(self, loose))
        if self.image_names is None:
            object.__setattr__(self, "image_names", [str(item) for item in self.image_item])
        if self.text_features and self.text_names is None:
            object.__setattr__(self, "text_names", [str(item) for item in self.text_item])
        if np.ndim(self.images) not in (2, 4):
            raise MmkerasError(
                f"{self.name}: expected images of shape (P, H, W, 3), or features (P, F). "
                f"Received: shape {np.shape(self.images)}"
            )
        if self.text_features and np.ndim(self.texts) != 2:
            raise MmkerasError(
                f"{self.name}: expected texts as a list of strings, or features (T, F). "
                f"Received: an array of shape {np.shape(self.texts)}"
            )
        pictures, texts = len(self.images), len(self.texts)
        for field, rows in (
            ("image_id", pictures),
            ("image_item", pictures),
            ("image_names", pictures),
            ("pictures_on_demand", pictures),
            ("label", pictures),
            ("text_image_id", texts),
            ("text_item", texts),
            ("text_names", texts),
            ("text_label", texts),
            ("text_inputs", texts),
        ):
            value = getattr(self, field)
            if value is not None and len(value) != rows:
                raise MmkerasError(f"{self.name}: expected {rows} rows in {field}. Received: {len(value)}")
        for row, text in enumerate(() if self.text_features else self.texts):
            if not isinstance(text, str) or not text.strip():
                raise MmkerasError(f"{self.name}: text {row} is empty. A text must hold at least one visible character")
        self._check_pairs()
        for field in ("label", "text_label"):
            self._check_label(field)

    @property
    def pictures(self) -> NDArray[np.uint8] | StoredPictures | None:
        """The pictures to be looked at, uint8 (H, W, C) by row; `None` where there are features alone."""
        return self.images if np.ndim(self.images) == 4 else self.pictures_on_demand

    @property
    def text_features(self) -> bool:
        """Whether `texts` are feature vectors, and no strings."""
        return isinstance(self.texts, np.ndarray)

    @property
    def shown_texts(self) -> list[str]:
        """The texts to be looked at, a list of T strings: their names where there are features."""
        return self.text_names if self.text_features else self.texts

    @property
    def encodable_texts(self) -> list[str] | NDArray[np.float32]:
        """What a model embeds with the least work: what a frozen network made of the texts, or they themselves."""
        return self.texts if self.text_inputs is None else self.text_inputs

    @property
    def paired(self) -> bool:
        """Whether every picture and every text has a relevant partner."""
        known = np.isin(self.image_id, self.text_image_id).reshape(len(self.image_id), -1).any(axis=1)
        return bool(len(self.pairs) and known.all() and np.isin(self.text_image_id, self.image_id).all())

    def _check_pairs(self):
        integers = self.pairs.dtype.kind in "iu" or not len(self.pairs)
        if self.pairs.ndim != 2 or self.pairs.shape[1] != 2 or not integers:
            raise MmkerasError(
                f"{self.name}: expected pairs to be integers of shape (K, 2), rows (picture, text). "
                f"Received: {self.pairs.dtype} of shape {self.pairs.shape}"
            )
        bad = ((self.pairs < 0) | (self.pairs >= [len(self.images), len(self.texts)])).any(axis=1)
        if bad.any():
            row = int(bad.argmax())
            raise MmkerasError(
                f"{self.name}: pair {row} is {tuple(map(int, self.pairs[row]))}, outside of the "
                f"{len(self.images)} pictures and {len(self.texts)} texts"
            )

    def _check_label(self, field):
        label = getattr(self, field)
        if label is None:
            return
        if label.ndim == 2:
            bad = ((label != 0) & (label != 1)).any(axis=1) | (label.shape[1] != len(self.label_names))
            allowed = f"a row of {len(self.label_names)} zeros and ones"
        else:
            bad = (label < 0) | (label >= len(self.label_names))
            allowed = f"0 to {len(self.label_names) - 1}"
        if bad.any():
            row = int(bad.argmax())
            raise MmkerasError(f"{self.name}: {field} of row {row} is {label[row]}. Allowed: {allowed}")

    def batches(
        self,
        batch_size: int,
        seed: int = 0,
        text_preprocessor: Callable[[tf.Tensor], Any] | None = None,
        augment: Callable[[tf.Tensor, tf.Tensor], Any] | None = None,
    ) -> tf.data.Dataset:
        """Return one pass over the pairs for a `fit` of your own, see `mmkeras.data.epoch_batches`.

        Example:
            >>> model.fit(data.train.batches(128), validation_data=data.dev.batches(128), epochs=10)
        """
        from mmkeras.data.pipeline import epoch_batches

        return epoch_batches(self, batch_size, seed, text_preprocessor, augment)

    def one_image_an_item(self) -> PairedData:
        """Return the data with the first picture of each strict item only, as the evaluation protocols want it."""
        _, first = np.unique(self.image_item, return_index=True)
        if len(first) == len(self.image_item):
            return self  # a copy of the pictures would take their memory again
        return self.chosen(np.sort(first), np.arange(len(self.texts)))

    def first_texts(self, count: int) -> PairedData:
        """Return a copy with the first `count` texts only, and the pictures paired with them."""
        texts = np.arange(min(count, len(self.texts)))
        return self.chosen(np.unique(self.pairs[np.isin(self.pairs[:, 1], texts), 0]), texts)

    def chosen(self, images: NDArray[np.integer], texts: NDArray[np.integer]) -> PairedData:
        """Return a copy with these rows, in this order, and the pairs both sides of which are left."""
        new_row = [np.full(len(self.images), -1), np.full(len(self.texts), -1)]
        new_row[0][images] = np.arange(len(images))
        new_row[1][texts] = np.arange(len(texts))
        pairs = np.column_stack([new_row[side][self.pairs[:, side]] for side in (0, 1)]).astype(np.int32)
        return dataclasses.replace(
            self,
            images=self.images[images],
            texts=self.texts[texts] if isinstance(self.texts, np.ndarray) else [self.texts[row] for row in texts],
            text_names=None if self.text_names is None else [self.text_names[row] for row in texts],
            image_names=[self.image_names[row] for row in images],
            pairs=pairs[(pairs >= 0).all(axis=1)],
            **{
                field: _rows(getattr(self, field), rows)
                for fields, rows in (
                    (("image_id", "image_item", "label", "pictures_on_demand"), images),
                    (("text_image_id", "text_item", "text_label", "text_inputs"), texts),
                )
                for field in fields
            },
        )


def _rows(values, rows):
    return None if values is None else values[rows]
