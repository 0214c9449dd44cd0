"""What a model looks at for each word of a text, and what its training masked for it, as the report shows it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mmkeras.evaluation.measuring.evaluate import Evaluation
from mmkeras.evaluation.measuring.relevance import relevant
from mmkeras.evaluation.thumbnails import data_uri

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel

RIGHT, WRONG = 4, 1  # texts that are shown
LONGEST = 224  # px of the picture that stands beside them
PALE = 112  # px; of the grey picture below each word, shown at half of it on screens of double density
FAINT, STRONG = np.array([255, 176, 0]), np.array([196, 0, 60])  # of attention: lighter and darker on any screen
OPAQUE = 0.85  # where attention is greatest, the picture still shines through
TAKEN = (72, 80, 94)  # neither paper nor ink, and darker than most photographs
PALE = 90  # the darkest grey of the picture under the colours


def draw_words(model: ImageTextModel, evaluation: Evaluation, seed: int) -> dict[str, Any] | None:
    """Draw texts whose picture ranks first, and one whose does not, with what the model looks at for each word.

    A wrong text comes twice, with its own picture and with the one that ranks first in its place.

    Args:
        model: names what it can show by its method `word_masks` and its attribute `trains_with_masks`, see `SoftMask`.
        evaluation: `Evaluation` of it.
        seed: decides which captions are drawn.

    Returns:
        `None` for another model. A dict: `masked`, whether training masks anything; `legend`, the scales of
        `attention` and `mask` as data URIs; `views`, a list of dicts of `text`, `rank` (of the best relevant picture,
        from 1), `instead` (whether the picture is the wrong one), `score` (of matching, in [0, 1]), `picture` and
        `grey` (data URIs), `height` and `width` (px), and `words`: dicts of `word`, `attention` and `mask` (data URIs
        of a pixel a patch, to be laid over the picture), and `strength`, its greatest attention over that of any word
        of the text, in [0, 1].
    """
    if model.word_masks is None:
        return None
    data = evaluation.data
    chosen = _chosen(evaluation, np.random.default_rng([seed, 2]))  # other draws than those of the galleries
    found = model.word_masks(
        np.asarray(data.images[[picture for _, picture, *_ in chosen]]), [data.texts[text] for text, *_ in chosen]
    )
    views = [
        {"text": data.texts[text], "rank": rank, "instead": instead} | _view(data.images[picture], seen)
        for (text, picture, rank, instead), seen in zip(chosen, found, strict=True)
    ]
    scale = np.linspace(0, 1, 64)[None]
    legend = {"attention": _over(_heat(scale), 225), "mask": _over(_veil(scale), 255)}
    return {"masked": model.trains_with_masks, "legend": legend, "views": views}


def _chosen(evaluation, generator):
    """Rows (text, picture), the rank of the text's best relevant picture, and whether the picture is another one."""
    relevance, right, wrong, seen = evaluation.relevance, [], [], set()
    for text in generator.permutation(len(evaluation.text_embeddings)):
        if len(right) == RIGHT and len(wrong) == WRONG:
            break
        score = evaluation.image_embeddings @ evaluation.text_embeddings[text]
        match = relevant(relevance.text[[text]], relevance.image)[0]
        order = np.lexsort([match, -score])  # ties: the irrelevant first, as the ranks count them
        rank = 1 + int(np.argmax(match[order]))
        wanted = int(order[rank - 1])
        if match.any() and wanted not in seen:  # a picture may have several texts
            seen.add(wanted)
            (right if rank == 1 else wrong).append((text, wanted, rank, order[0]))
    views = [(text, wanted, rank, False) for text, wanted, rank, _ in right[:RIGHT]]
    for text, wanted, rank, first in wrong[:WRONG]:
        views += [(text, wanted, rank, False), (text, first, rank, True)]
    return views


def _view(picture, seen):
    """A picture and its words; see `draw_words`."""
    grey = np.asarray(Image.fromarray(_colour(picture)).convert("L"), np.float32)
    pale = np.round(PALE + grey * (255 - PALE) / 255).astype(np.uint8)[..., None]
    peaks = seen["attention"].max(axis=(1, 2), initial=0.0)
    words = [
        {
            "word": word,
            "attention": _png(_heat(attention / peak if peak > 0 else attention)),
            "mask": _png(_veil(mask)),
            "strength": float(peak / max(peaks.max(), np.finfo(np.float32).tiny)),
        }
        for word, attention, mask, peak in zip(seen["words"], seen["attention"], seen["mask"], peaks, strict=True)
    ]
    height, width = picture.shape[:2]
    pictures = {"picture": data_uri(picture, LONGEST), "grey": data_uri(pale, PALE), "height": height, "width": width}
    return {"score": seen["score"], "words": words, **pictures}


def _colour(picture):
    """A picture (H, W, 1) or (H, W, 3) as uint8 (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def _heat(share):
    """Colours of attention in [0, 1], (rows, columns): more is darker and covers more."""
    colour = FAINT + share[..., None] * (STRONG - FAINT)
    return _rgba(colour, OPAQUE * share)


def _veil(mask):
    """Colours of a mask in [0, 1], (rows, columns): what is taken away is covered."""
    return _rgba(np.broadcast_to(TAKEN, (*mask.shape, 3)), mask)


def _rgba(colour, opacity):
    """uint8 (rows, columns, 4) of colours in [0, 255] and an opacity in [0, 1]."""
    return np.concatenate([np.round(colour), np.round(255 * opacity)[..., None]], axis=-1).astype(np.uint8)


def _over(image, grey):
    """What a layer of colours looks like over a grey, as a data URI."""
    ground = Image.new("RGBA", (image.shape[1], image.shape[0]), (grey, grey, grey, 255))
    return _png(np.asarray(Image.alpha_composite(ground, Image.fromarray(image)).convert("RGB")))


def _png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
