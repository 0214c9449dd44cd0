"""What a `SoftMask` looks at for each word of a text, and the soft mask that its training makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.soft_masking import NO_WORD
from mmkeras.losses.matching import MATCHING
from mmkeras.tensors import Array

if TYPE_CHECKING:
    from mmkeras.models.soft_mask import SoftMask


def word_masks(model: SoftMask, images: Array, texts: str | Iterable[str]) -> list[dict[str, Any]]:
    """Return what each word of a text looks at in its picture, and what training would mask for it.

    Attention and mask are made as in a training step, by `PairFusion.with_attention` and `SoftMasking.mask_of`, but
    over the whole text and without dropout. Training masks for one token at a time: of a word of several tokens the
    mean of their attentions and of their masks is returned. Words that training never masks for, those that the
    tokenizer does not know, are left out, and so is what the tokenizer cut off.

    Args:
        model: `SoftMask`.
        images: (B, H, W, C), as the image encoder takes them.
        texts: list of B strings; row i belongs to row i.

    Returns:
        list of B dicts: `words`, W strings as the tokenizer spells them; `attention` float32 (W, rows, columns), 0
        or more, over the grid of the picture's patches; `mask` float32 (W, rows, columns), in [0, 1], 1 takes a
        patch away; `score`, float in [0, 1], what `match` gives the pair. With `mask_mode` `"random"` the masks are
        one draw, always the same, which leaves the model's random state alone.

    Raises:
        MmkerasError: another number of texts than of pictures, or a model without a text_preprocessor.

    Example:
        >>> found = model.word_masks(dev.images[:1], ["a black dog"])[0]
        >>> found["words"][2], found["mask"][2].shape
        ('dog', (10, 10))
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if len(texts) != len(images):
        raise MmkerasError(f"Expected a text a picture. Received: {len(images)} pictures, {len(texts)} texts")
    if not texts:
        return []
    token_ids = tf.constant(model.batch_encoder.checked_texts(texts))
    encoded = model({"image": ops.convert_to_tensor(images), "token_ids": token_ids}, training=False)
    fused, attention = model.fusion.with_attention(encoded)
    score = ops.softmax(model.fusion.matching_head(fused[:, 0]))[:, MATCHING]
    maskable = model.words_of(token_ids)  # (B, T)
    # Every token by itself, as the single word of a text: (B T, 1, N).
    single = ops.reshape(attention, (-1, 1, attention.shape[-1]))
    mask = model.soft_masking.mask_of(single, ops.reshape(ops.where(maskable, 0, NO_WORD), (-1,)), seed=0)
    mask = ops.reshape(mask, ops.shape(attention))
    rows = zip(*(ops.convert_to_numpy(part) for part in (token_ids, attention, mask, maskable, score)), strict=True)
    return [_by_word(model, *row) for row in rows]


def _by_word(model, token_ids, attention, mask, maskable, score):
    """What `word_masks` returns of one pair, of arrays (L,), (T, N), (T, N), (T,) and a number."""
    before = len(maskable) - len(token_ids)  # the class token
    grid = model.image_encoder.token_grid
    words, places = [], []
    for word, span in model.text_preprocessor.words(token_ids):
        if masked := [before + place for place in span if maskable[before + place]]:
            words.append(word)
            places.append(masked)
    maps = {
        name: np.array([values[masked].mean(axis=0) for masked in places], "float32").reshape(-1, *grid)
        for name, values in (("attention", attention), ("mask", mask))
    }
    return {"words": words, **maps, "score": float(score)}
