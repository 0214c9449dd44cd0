"""Servables made of NumPy functions: REST, batching and metrics are tested without TensorFlow."""

import contextlib

import numpy as np

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError


class FunctionServable:
    """What `Servable` offers, from a dict of signature name -> (inputs, outputs, function of arrays by input name)."""

    def __init__(self, functions=None, name="toy", version=2):
        functions = FUNCTIONS if functions is None else functions
        self.name = name
        self.version = version
        self.functions = {signature: function for signature, (_, _, function) in functions.items()}
        self.signatures = {}
        for signature, (inputs, outputs, _) in functions.items():
            self.signatures[signature] = protos.SignatureDef(
                inputs={alias: tensor_info(alias, *spec) for alias, spec in inputs.items()},
                outputs={alias: tensor_info(alias, *spec) for alias, spec in outputs.items()},
                method_name="tensorflow/serving/predict",
            )
        self.runs = []

    def run(self, signature_name, feeds, aliases, seconds=None):
        self.runs.append((signature_name, {alias: array.copy() for alias, array in feeds.items()}, seconds))
        outputs = self.functions[signature_name](**feeds)
        return [np.asarray(outputs[alias]) for alias in aliases]


class FixedModels:
    """What `ServedModels` offers, for servables that never change."""

    def __init__(self, *servables):
        self.servables = {(servable.name, servable.version): servable for servable in servables}
        self.held = 0

    @contextlib.contextmanager
    def resolve(self, spec):
        if spec.version_label:
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}")
        versions = [version for name, version in self.servables if name == spec.name]
        version = spec.version.value if spec.HasField("version") else max(versions, default=None)
        if (spec.name, version) not in self.servables:
            asked = f"Specific({spec.name}, {version})" if spec.HasField("version") else f"Latest({spec.name})"
            raise ServingError("NOT_FOUND", f"Servable not found for request: {asked}")
        self.held += 1
        try:
            yield self.servables[spec.name, version]
        finally:
            self.held -= 1

    def known_name(self, name, other):
        return name if any(name == found for found, _ in self.servables) else other

    def statuses(self, name):
        versions = sorted((version for found, version in self.servables if found == name), reverse=True)
        return [(version, "AVAILABLE", None) for version in versions]


def tensor_info(name, dtype, shape):
    info = protos.TensorInfo(name=f"{name}:0", dtype=protos.DataType[f"DT_{dtype}"])
    for size in shape:
        info.tensor_shape.dim.add(size=size)
    return info


def strings(function, array):
    result = np.empty(array.shape, dtype=object)
    result[...] = [function(value) for value in array]
    return result


def refuse(**feeds):
    raise ServingError("DEADLINE_EXCEEDED", "Timed out waiting for notification")


def weigh(inputs):
    return {"outputs": np.array([[len(example)] for example in inputs], np.float32)}


def judge(inputs):
    classes = np.array([[b"cat", b"dog"]] * len(inputs), dtype=object)
    return {"classes": classes, "scores": np.array([[0.25, 0.2]] * len(inputs), np.float32)}


ROWS = [-1]
FUNCTIONS = {
    "serving_default": (
        {"x": ("FLOAT", [-1, 3])},
        {"y": ("FLOAT", [-1, 2])},
        lambda x: {"y": np.stack([x.sum(axis=1), x[:, 0]], axis=1)},
    ),
    "pair": (
        {"a": ("FLOAT", ROWS), "b": ("FLOAT", ROWS)},
        {"sum": ("FLOAT", ROWS), "mean": ("FLOAT", ROWS)},
        lambda a, b: {"sum": a + b, "mean": (a + b) / 2},
    ),
    "upper": (
        {"text": ("STRING", ROWS)},
        {"upper": ("STRING", ROWS), "raw_bytes": ("STRING", ROWS)},
        lambda text: {"upper": strings(bytes.upper, text), "raw_bytes": text},
    ),
    "count": (
        {"n": ("INT32", ROWS)},
        {"twice": ("INT32", ROWS), "even": ("BOOL", ROWS)},
        lambda n: {"twice": n * 2, "even": n % 2 == 0},
    ),
    "half": ({"x": ("HALF", ROWS)}, {"y": ("HALF", ROWS)}, lambda x: {"y": x}),
    "to_half": ({"x": ("FLOAT", ROWS)}, {"y": ("HALF", ROWS)}, lambda x: {"y": x.astype(np.float16)}),
    "total": ({"x": ("FLOAT", ROWS)}, {"y": ("FLOAT", [])}, lambda x: {"y": x.sum()}),
    "var": ({"x": ("FLOAT", [-1, -1])}, {"y": ("FLOAT", ROWS)}, lambda x: {"y": x.sum(axis=1)}),
    "late": ({"x": ("FLOAT", ROWS)}, {"y": ("FLOAT", ROWS)}, refuse),
    "broken": ({"x": ("FLOAT", ROWS)}, {"y": ("FLOAT", ROWS)}, lambda x: {}),
    "judge": (
        {"inputs": ("STRING", ROWS)},
        {"classes": ("STRING", [-1, 2]), "scores": ("FLOAT", [-1, 2])},
        judge,
    ),
    "weigh": ({"inputs": ("STRING", ROWS)}, {"outputs": ("FLOAT", [-1, 1])}, weigh),
}
