"""All layers of a model, however deep they lie."""

from __future__ import annotations

import keras


def layers_within(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return a layer and all that it holds in its attributes, in lists and dicts of them too: each once.

    Args:
        layer: a layer, or a model.
    """
    found, waiting, seen = [], [layer], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        found.append(one)
        for value in vars(one).values():
            several = list(value.values()) if isinstance(value, dict) else value
            inner = several if isinstance(several, (list, tuple)) else [value]
            waiting += [each for each in inner if isinstance(each, keras.layers.Layer)]
    return found
