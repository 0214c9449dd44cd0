"""`folded_convolutions`: kernels and biases of a published network of inverted residuals, by either set of names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.encoders.inverted_residuals import Convolution
from mmkeras.errors import MmkerasError

NORM = ("weight", "bias", "running_mean", "running_var")
EPSILON = 1e-3  # of batch normalisation, in TensorFlow's MobileNetV2 and EfficientNets


def folded_convolutions(
    arrays: Mapping[str, NDArray[Any]], variants: Mapping[str, Sequence[Convolution]]
) -> tuple[str, list[tuple[NDArray[Any], NDArray[Any]]]]:
    """Find which network arrays are of, and return its kernels and biases.

    Arrays have one of two sets of names. Numbered ones, `00_w` and `00_b` and so on in the order in which convolutions
    are computed, are kernels (height, width, in, out), depthwise ones (height, width, channels, 1), with batch
    normalisation folded in. Those of timm are `conv_stem.weight`, `bn1.weight`, `blocks.0.0.conv_dw.weight`, ...:
    kernels (out, in, height, width) and batch normalisation apart, which is folded in here with an epsilon of 1e-3. The
    classifier is left out.

    Args:
        arrays: dict from name to array.
        variants: dict from the name of a network to its convolutions.

    Returns:
        The name of the network and a pair of kernel and bias for each of its convolutions, float32.

    Raises:
        MmkerasError: arrays that are of none of the networks; it says what does not fit in the closest.

    Reference:
        Jacob et al. 2018 (arXiv 1712.05877), section 3.2: batch normalisation folded into a convolution.
    """
    of_timm = "conv_stem.weight" in arrays
    read = _OfTimm if of_timm else _Numbered
    left_out = r"classifier\.|.*\.num_batches_tracked$" if of_timm else r"$^"
    shapes = {name: np.shape(array) for name, array in arrays.items() if not re.match(left_out, name)}
    misfits = {name: _misfits(shapes, read(network).shapes) for name, network in variants.items()}
    variant = min(misfits, key=lambda name: len(misfits[name]))
    if misfits[variant]:
        first, others = misfits[variant][0], len(misfits[variant]) - 1
        raise MmkerasError(
            f"Expected the arrays of {', '.join(variants)}. Received: {len(arrays)} arrays, closest to {variant}: "
            f"{first}" + (f", and {others} more that do not fit" if others else "")
        )
    pairs = read(variants[variant]).pairs(arrays)
    return variant, [(kernel.astype(np.float32), bias.astype(np.float32)) for kernel, bias in pairs]


class _Numbered:
    """The names `00_w`, `00_b`, ...: the classifier is one more of them."""

    def __init__(self, network):
        self.network = network
        self.shapes = {f"{index:02d}_w": one.shape for index, one in enumerate(network)}
        self.shapes |= {f"{index:02d}_b": (_outputs(one),) for index, one in enumerate(network)}
        self.shapes |= {f"{len(network):02d}_{part}": None for part in "wb"}

    def pairs(self, arrays):
        return [(arrays[f"{index:02d}_w"], arrays[f"{index:02d}_b"]) for index in range(len(self.network))]


class _OfTimm:
    """The names of timm's EfficientNets: a block without expansion calls its projection `conv_pw`."""

    def __init__(self, network):
        self.network = network
        self.names = [_timm_names(one, network[index - 1]) for index, one in enumerate(network)]
        self.shapes = {}
        for one, (convolution, norm) in zip(network, self.names, strict=True):
            height, width, inputs, outputs = one.shape
            kernel = (inputs, 1, height, width) if one.depthwise else (outputs, inputs, height, width)
            self.shapes[f"{convolution}.weight"] = kernel
            self.shapes |= {f"{norm}.{part}": (_outputs(one),) for part in NORM}

    def pairs(self, arrays):
        return [
            _folded(one, np.asarray(arrays[f"{convolution}.weight"]), *(arrays[f"{norm}.{part}"] for part in NORM))
            for one, (convolution, norm) in zip(self.network, self.names, strict=True)
        ]


def _timm_names(one, before):
    if one.name in ("stem", "head"):
        return f"conv_{one.name}", "bn1" if one.name == "stem" else "bn2"
    _, stage, block, part = one.name.split("_")
    at = f"blocks.{stage}.{block}"
    if part == "expand":
        return f"{at}.conv_pw", f"{at}.bn1"
    if part == "depthwise":
        return f"{at}.conv_dw", f"{at}.bn1" if one.opens else f"{at}.bn2"
    return (f"{at}.conv_pw", f"{at}.bn2") if before.opens else (f"{at}.conv_pwl", f"{at}.bn3")


def _folded(one, kernel, gamma, beta, mean, variance):
    """The convolution that does what one without a bias and the normalisation behind it do."""
    kernel = kernel.transpose((2, 3, 0, 1) if one.depthwise else (2, 3, 1, 0)).astype(np.float64)
    factor = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    return kernel * (factor[:, None] if one.depthwise else factor), beta - mean * factor


def _outputs(one):
    return one.shape[2] if one.depthwise else one.shape[3]


def _misfits(shapes, wanted):
    """What of arrays is not as a network wants it, by their shapes; a shape `None` may be any, or missing."""
    needed = {name for name, shape in wanted.items() if shape is not None}
    return [
        *(f"there is no {name}" for name in sorted(needed - set(shapes))),
        *(f"there is no place for {name}" for name in sorted(set(shapes) - set(wanted))),
        *(
            f"{name} has the shape {shapes[name]}, not {wanted[name]}"
            for name in sorted(needed & set(shapes))
            if shapes[name] != wanted[name]
        ),
    ]
