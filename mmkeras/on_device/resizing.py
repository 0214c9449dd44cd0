"""A picture brought to an encoder's size in NumPy, with the numbers of `ImagePreprocessor`, which does it in a graph.

Every method of `tf.image.resize` is a sum over a few neighbouring rows, and then over a few columns. What they weigh is
computed here as TensorFlow's kernels do, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601
_BLURRING = {"gaussian", "mitchellcubic"}  # these change a picture of the right size too
_CUBIC_STEPS = 1024  # of TensorFlow's table for the cubic without antialias
_TINY = 1000 * np.finfo(np.float32).tiny


def _cubic(x, a):
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _mitchell(x):
    near = (7 / 6 * x - 2) * x * x + 8 / 9
    far = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius):
    # sinc(x) sinc(x / radius)
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


# Radius and weight by the distance from the centre.
_KERNELS = {
    "bilinear": (1.0, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (2.0, lambda x: _cubic(x, -0.5)),
    "lanczos3": (3.0, _lanczos(3.0)),
    "lanczos5": (5.0, _lanczos(5.0)),
    "gaussian": (1.5, lambda x: np.where(x < 1.5, np.exp(-2 * x * x), 0)),
    "mitchellcubic": (2.0, _mitchell),
}


def resize_picture(pixels: NDArray[np.uint8], settings: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Bring a picture to the size that an encoder takes.

    Args:
        pixels: uint8 (h, w, 3).
        settings: the config of an `ImagePreprocessor`: `height`, `width`, `channels`, `aspect`, `method`, `antialias`
            and `background` count.

    Returns:
        uint8 (height, width, channels), equal to what `ImagePreprocessor.resize` gives but for single values that lie
        between two integers, which may be one off.
    """
    target = settings["height"], settings["width"]
    if pixels.shape[:2] != target or settings["method"] in _BLURRING:
        pixels = _fitted(pixels, *target, settings)
    if settings["channels"] == 1:
        pixels = (pixels.astype(np.float32) * _LUMA).sum(axis=-1, keepdims=True, dtype=np.float32)
    if pixels.dtype == np.float32:
        pixels = np.clip(pixels + np.float32(0.5), 0, 255)
    return pixels.astype(np.uint8)


def _fitted(pixels, height, width, settings):
    """A picture resized as its aspect asks, float32 (height, width, 3)."""
    rows, columns = pixels.shape[:2]
    is_tall = rows * width >= columns * height
    aspect = settings["aspect"]
    if aspect == "crop":
        kept_rows = _rounded_ratio(columns * height, width) if is_tall else rows
        kept_columns = columns if is_tall else _rounded_ratio(rows * width, height)
        top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
        pixels = pixels[top : top + kept_rows, left : left + kept_columns]
    if aspect != "pad":
        return _resized(pixels, height, width, settings)
    inner_height = height if is_tall else _rounded_ratio(rows * width, columns)
    inner_width = _rounded_ratio(columns * height, rows) if is_tall else width
    padded = np.full((height, width, 3), settings["background"], np.float32)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    padded[top : top + inner_height, left : left + inner_width] = _resized(pixels, inner_height, inner_width, settings)
    return padded


def _rounded_ratio(numerator, denominator):
    return max((2 * numerator + denominator) // (2 * denominator), 1)


def _resized(pixels, height, width, settings):
    for size in (height, width):
        spans = _spans(pixels.shape[0], size, settings["method"], settings["antialias"])
        summed = np.stack([_sum(weights, pixels[start : start + len(weights)]) for start, weights in spans])
        pixels = summed.swapaxes(0, 1)  # first the rows, then the columns
    return pixels


def _sum(weights, rows):
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    return (weights @ flat).reshape(rows.shape[1:])


def _spans(size, target, method, antialias):
    """Of each row that comes out the first that it is made of, and their weights: list of (int, float32 (n,))."""
    if method == "nearest":
        at = np.floor((np.arange(target, dtype=np.float32) + np.float32(0.5)) * np.float32(size / target))
        return [(min(int(row), size - 1), np.ones(1, np.float32)) for row in at]
    if method == "area":
        return _covered(size, target)
    if antialias or method not in ("bilinear", "bicubic"):
        return _sampled(size, target, *_KERNELS[method], antialias)
    return _interpolated(size, target, method)


def _sampled(size, target, radius, kernel, antialias):
    # TensorFlow is given the scale, and takes its inverse.
    inverse = np.float32(1) / (np.float32(target) / np.float32(size))
    scale = max(inverse, np.float32(1)) if antialias else np.float32(1)
    spans = []
    for centre in (np.arange(target, dtype=np.float32) + np.float32(0.5)) * inverse:
        first = min(max(int(np.ceil(centre - radius * scale - 0.5)), 0), size - 1)
        last = min(max(int(np.floor(centre + radius * scale - 0.5)), 0), size - 1)
        distance = np.abs(np.arange(first, last + 1, dtype=np.float32) + np.float32(0.5) - centre) / scale
        spans.append((first, _normalised(kernel(distance))))
    return spans


def _interpolated(size, target, method):
    """Between the two or four nearest, however much a picture shrinks."""
    half = np.float32(0.5)
    spans = []
    for position in (np.arange(target, dtype=np.float32) + half) * np.float32(size / target) - half:
        below = int(np.floor(position))
        share = position - below
        if method == "bicubic":
            share = np.rint(share * _CUBIC_STEPS) / _CUBIC_STEPS
            places = np.arange(below - 1, below + 3)
            weights = _cubic(np.abs(places - below - share), -0.5)
            inside = (places >= 0) & (places < size)
            places, weights = places[inside], _normalised(weights[inside])
        else:
            places, weights = np.array([below, below + 1]), np.float32([1 - share, share])
            if below < 0 or below + 1 >= size:
                places, weights = np.array([min(max(below, 0), size - 1)]), np.ones(1, np.float32)
        spans.append((int(places[0]), weights))
    return spans


def _covered(size, target):
    """Each weighed by the part of it that the area of a row that comes out covers."""
    scale = np.float32(size / target)
    spans = []
    for row in range(target):
        low, high = row * scale, (row + 1) * scale
        places = np.arange(int(np.floor(low)), min(int(np.ceil(high)), size))
        part = np.minimum(places + 1, high) - np.maximum(places, low)
        spans.append((int(places[0]), _normalised(part)))
    return spans


def _normalised(weights):
    total = weights.sum(dtype=np.float32)
    return np.float32(weights / total if abs(total) >= _TINY else weights)
