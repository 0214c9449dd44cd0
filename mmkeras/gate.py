"""The gate before a label moves: two versions of a served model on held-out data, picture by picture."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from mmkeras.data.sources import check_source
from mmkeras.errors import MmkerasError
from mmkeras.parity import saved_model_predict
from mmkeras.progress import Progress
from mmkeras.serving.versions import find_versions, version_folder

TOLERANCE = 2.0  # points of rsum, of 600
KS = (1, 5, 10)
_BATCH = 32  # rows of a request
_DRAWS = 1000  # of as many pictures as there are, with replacement
DIRECTIONS = (("image to text", "image_to_text"), ("text to image", "text_to_image"))


@dataclasses.dataclass(frozen=True)
class GateVerdict:
    """How a candidate compares with the version that is served.

    Args:
        candidate: number of the version that is to be served.
        current: number of the version that is served.
        measured: name of the data, `captions.csv/dev`.
        pictures: how many there are.
        rows: list of (what is measured, its value of the current version, of the candidate).
        difference: rsum of the candidate less that of the current version, in points of 600.
        interval: the 95 % interval of the difference over other pictures of the same kind, a bootstrap over pictures.
        tolerance: by how much the rsum may be lower.
        same_space: whether both embed in one space, so that an index of the one is one of the other.
    """

    candidate: int
    current: int
    measured: str
    pictures: int
    rows: list[tuple[str, float, float]]
    difference: float
    interval: tuple[float, float]
    tolerance: float
    same_space: bool

    @property
    def passed(self) -> bool:
        """Whether the candidate is no worse than the tolerance allows."""
        return self.difference >= -self.tolerance

    @property
    def sentence(self) -> str:
        """The verdict, to be read alone."""
        low, high = self.interval
        chance = ", which chance alone could make" if low <= 0 <= high else ""
        verdict = "is no worse" if self.passed else "is worse"
        return (
            f"Version {self.candidate} {verdict} than version {self.current}: rsum {self.difference:+.1f}, 95 % of "
            f"other samples between {low:+.1f} and {high:+.1f}{chance}; allowed are {-self.tolerance:+.1f}"
        )


def compare_versions(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    split: str = "dev",
    candidate: int | None = None,
    current: int | None = None,
    tolerance: float = TOLERANCE,
    before_loading: Callable[[], object] | None = None,
) -> GateVerdict:
    """Embed held-out pictures and captions by two exported versions, in this process, and compare what they retrieve.

    The difference is taken picture by picture. Its interval is the percentile interval of a bootstrap (Efron &
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): pictures are drawn anew with their captions. Each
    draw keeps the ranks within the whole gallery.

    Args:
        model: the model's folder, `savedmodels/NAME`.
        source: pictures with captions in any layout that `mmkeras.data.read` knows.
        images: where the pictures lie; by default beside the source.
        split: of the source; none of its pictures may have been trained on.
        candidate: a version's number; the newest where left out.
        current: a version's number; the one before the candidate where left out.
        tolerance: points of rsum, of 600, by which the candidate may be worse.
        before_loading: called once nothing given is wrong, before TensorFlow is loaded.

    Returns:
        `GateVerdict`.

    Raises:
        MmkerasError: one version only, versions that are not there, data without pairs, a picture that cannot be read,
            a version that does not embed pictures and texts.
    """
    versions = find_versions(model)
    candidate = max(versions) if candidate is None else candidate
    if current is None:
        older = [number for number in versions if number < candidate]
        if not older:
            raise MmkerasError(
                f"Expected a version before {candidate} in {model}, to compare with. Received: {list(versions)}; name "
                "one with --against"
            )
        current = max(older)
    if candidate == current:
        raise MmkerasError(f"Expected two versions. Received: version {candidate} against itself")
    if not tolerance >= 0:
        raise MmkerasError(f"Expected 0 or more points of rsum. Received: tolerance={tolerance!r}")
    folders = {number: version_folder(model, number) for number in (current, candidate)}
    check_source(source, split)
    if before_loading is not None:
        before_loading()
    data = _held_out(source, images, split)
    if not data.paired:
        raise MmkerasError(f"{data.name}: expected a caption of every picture and a picture of every caption")
    found = {number: _measured(folder, data) for number, folder in folders.items()}
    hits = {number: ranks for number, (ranks, _) in found.items()}
    rows = [
        (f"{title} R@{k}", float(hits[current][key][:, at].mean()), float(hits[candidate][key][:, at].mean()))
        for title, key in DIRECTIONS
        for at, k in enumerate(KS)
    ]
    rsum = {number: 100 * sum(float(one.mean(axis=0).sum()) for one in hits[number].values()) for number in hits}
    rows.append(("rsum", rsum[current], rsum[candidate]))
    return GateVerdict(
        candidate,
        current,
        data.name,
        len(data.images),
        rows,
        rsum[candidate] - rsum[current],
        _interval(hits[current], hits[candidate], data),
        tolerance,
        found[current][1] == found[candidate][1],
    )


def _held_out(source, images, split):
    """The split, its pictures as they are stored: a version decodes them itself."""
    from mmkeras.data.equal_texts import relate_equal_texts
    from mmkeras.data.sources import open_source

    (data,) = open_source(source, images).splits([split], unread=True)
    if data.pictures is None:
        raise MmkerasError(f"{data.name}: expected pictures with captions. Received: features")
    return relate_equal_texts(data.one_image_an_item())


def _bytes(data, rows):
    """Encoded pictures, an object array of bytes."""
    from mmkeras.export.pictures import encode_png

    if not isinstance(data.pictures, np.ndarray):
        return data.pictures.read_bytes(rows)
    return np.array([encode_png(picture) for picture in data.pictures[rows]], object)


def _measured(folder, data):
    """Whether each query finds a right answer among the first 1, 5 and 10, (queries, 3) a direction; and the space."""
    from mmkeras.metrics.score_tiles import ranks_both_ways

    predict = saved_model_predict(folder)
    space = bytes(predict("describe", {"probe": np.array([b""])})["space_id"][0])
    texts = np.array([text.encode() for text in data.texts], object)
    embeddings = []
    with Progress(f"Embedding by version {folder.name}", len(data.images) + len(texts), "row") as bar:
        for signature, name, count, values in (
            ("encode_image", "image_bytes", len(data.images), functools.partial(_bytes, data)),
            ("encode_text", "text", len(texts), texts.__getitem__),
        ):
            parts = []
            for start in range(0, count, _BATCH):
                at = np.arange(start, min(start + _BATCH, count))
                parts.append(predict(signature, {name: values(at)})["embedding"])
                bar.advance(len(at))
            embeddings.append(np.concatenate(parts))
    to_text, to_image = ranks_both_ways(*embeddings, data.image_id, data.text_image_id, 1024)
    keys = [key for _, key in DIRECTIONS]
    return {key: ranks[:, None] <= np.array(KS) for key, ranks in zip(keys, (to_text, to_image), strict=True)}, space


def _interval(current: dict[str, Any], candidate: dict[str, Any], data) -> tuple[float, float]:
    """The 95 % interval of the difference of rsum."""
    pictures = len(data.images)
    of_text = np.empty(len(data.texts), np.int64)  # the first picture that a text is paired with
    of_text[data.pairs[::-1, 1]] = data.pairs[::-1, 0]
    owner = {"image_to_text": np.arange(pictures), "text_to_image": of_text}
    generator = np.random.default_rng(0)
    draws = generator.multinomial(pictures, np.full(pictures, 1 / pictures), _DRAWS).astype(np.float64)
    difference = np.zeros(_DRAWS)
    for key, owners in owner.items():
        gain = candidate[key].sum(axis=1) - current[key].sum(axis=1).astype(np.float64)
        gains, queries = np.bincount(owners, gain, pictures), np.bincount(owners, minlength=pictures)
        difference += 100 * (draws @ gains) / np.maximum(draws @ queries, 1)
    low, high = np.percentile(difference, [2.5, 97.5])
    return float(low), float(high)
