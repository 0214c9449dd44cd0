"""Trimmed networks: smaller, called and answering as before, and with their weights where kernels expect them."""

import keras
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema

from mmkeras.encoders.text import build_text_encoder
from mmkeras.export.tflite import convert
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import operators, parsed
from mmkeras.export.tflite.trimming import trimmed
from mmkeras.models import Preset
from mmkeras.on_device.model_file import packed
from mmkeras.preprocessing import TextPreprocessor

from ...hard_texts import names

TEXTS = names(60)


@pytest.fixture(scope="module")
def preprocessor():
    return TextPreprocessor.train(TEXTS, 150, 10)


@pytest.fixture(scope="module")
def networks(preprocessor):
    """A network as the converter leaves it, and trimmed."""
    sizes = {"width": 16, "filters": 24, "kernel_sizes": [3, 5], "sequence_length": 10, "embedding_dim": 16}
    keras.utils.set_random_seed(1)
    encoder = build_text_encoder("text_cnn", vocabulary_size=preprocessor.vocabulary_size, **sizes)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("mmkeras.export.tflite.conversion.trimmed", lambda network: network)
        before = convert(encoder, preprocessor, "ids", "dynamic", TEXTS)
    return before, trimmed(before)


def test_it_answers_what_it_did(networks, preprocessor):
    before, after = (NetworkRunner(network, preprocessor).encode(TEXTS[:8]) for network in networks)
    np.testing.assert_array_equal(before, after)
    assert operators(networks[0]) == operators(networks[1])
    assert trimmed(networks[1]) == networks[1]  # nothing is left to take out


def test_names_of_inner_values_are_gone(networks):
    before, after = (parsed(network).subgraphs[0] for network in networks)
    called = {*before.inputs, *before.outputs}
    assert len(called) == 2 and all(tensor.name for tensor in before.tensors)
    for place, (old, new) in enumerate(zip(before.tensors, after.tensors, strict=True)):
        assert new.name == (old.name if place in called else None)
    saved = len(networks[0]) - len(networks[1])
    assert saved > sum(len(t.name) for place, t in enumerate(before.tensors) if place not in called)


def test_weights_are_the_same_and_aligned(networks):
    before, after = (schema.Model.GetRootAs(network) for network in networks)
    assert before.BuffersLength() == after.BuffersLength()
    for place in range(after.BuffersLength()):
        old, new = before.Buffers(place), after.Buffers(place)
        np.testing.assert_array_equal(old.DataAsNumpy(), new.DataAsNumpy())
        if not new.DataIsNone():
            start = new._tab.Vector(new._tab.Offset(4))  # 4: the place of `data` in the schema's table
            assert networks[1][start : start + new.DataLength()] == new.DataAsNumpy().tobytes()
            assert start % 16 == 0


def test_equal_arrays_are_written_once(networks):
    def zero_points(network):
        graph = schema.Model.GetRootAs(network).Subgraphs(0)
        tables = [graph.Tensors(place).Quantization() for place in range(graph.TensorsLength())]
        tables = [table for table in tables if table is not None and table.ZeroPointLength() == 24]
        assert tables and not any(table.ZeroPointAsNumpy().any() for table in tables)
        return {table._tab.Vector(table._tab.Offset(10)) for table in tables}, len(tables)  # 10: `zero_point`

    (before, count), (after, _) = map(zero_points, networks)
    assert len(before) == count == 2 and len(after) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ids", "text"])
def test_a_dynamic_file_is_near_a_quarter(kind):
    settings = Preset.load("dual_encoder_glyphs").text_encoder
    texts = names(2000)
    preprocessor = TextPreprocessor.train(texts, 1356, 18)
    sizes = {"vocabulary_size": preprocessor.vocabulary_size, "sequence_length": 18}
    encoder = build_text_encoder(**settings, **sizes)
    tokenizer = preprocessor.model if kind == "ids" else None
    exact, compact = (
        len(packed(convert(encoder, preprocessor, kind, precision, texts[:50]), {}, tokenizer))
        for precision in ("float32", "dynamic")
    )
    assert compact <= 0.27 * exact
