"""The activations of published transformers, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import keras
from keras import ops

from mmkeras.tensors import TensorLike

ActivationName: TypeAlias = Literal["gelu", "gelu_tanh", "quick_gelu", "relu"]


def _gelu_tanh(x: TensorLike) -> Any:
    return keras.activations.gelu(x, approximate=True)


def _quick_gelu(x: TensorLike) -> Any:
    return x * ops.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, str | Callable[[TensorLike], Any]] = {
    "gelu": "gelu",
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": "relu",
}


def activation_named(name: ActivationName) -> str | Callable[[TensorLike], Any]:
    """Return what a `keras.layers.Dense` takes as its activation.

    Args:
        name: `"gelu"`, x times the normal distribution's share below x, exactly; `"gelu_tanh"`, its approximation by a
            tanh; `"quick_gelu"`, x sigmoid(1.702 x), as in CLIP; or `"relu"`.

    Returns:
        A name or a function.

    Raises:
        ValueError: another name.

    Reference:
        Hendrycks & Gimpel 2016 (arXiv 1606.08415), section 2, has the first three.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"Expected one of {', '.join(map(repr, ACTIVATIONS))}. Received: activation={name!r}")
    return ACTIVATIONS[name]
