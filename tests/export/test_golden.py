"""Golden examples and warm-up requests: what was exported can be checked and is warm before the first request."""

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.data.sources import load_source
from mmkeras.errors import MmkerasError
from mmkeras.export.golden import GOLDEN_ROWS, by_signature, golden_examples, write_warm_up
from mmkeras.parity import golden_of

ROWS = {"encode_text", "encode_image", "encode_image_tolerant", "encode_pixels", "match", "describe"}


@pytest.fixture(scope="module")
def golden(tiny_model):
    data = load_source("glyphs", "dev", tiny_model.image_preprocessor, limit=60)
    return golden_examples(tiny_model, data, "0123abcd")


def test_there_is_an_example_for_every_signature(golden):
    examples = by_signature(golden)
    assert set(examples) == ROWS
    for signature, example in examples.items():
        for values in (*example["inputs"].values(), *example["outputs"].values()):
            assert len(values) == GOLDEN_ROWS, signature
    assert set(examples["describe"]["outputs"]["space_id"]) == {b"0123abcd"}
    embedding = examples["encode_text"]["outputs"]["embedding"]
    assert embedding.dtype == np.float32 and len(np.unique(embedding, axis=0)) > GOLDEN_ROWS / 2
    np.testing.assert_allclose(
        examples["match"]["outputs"]["score"],
        np.sum(embedding * examples["encode_image"]["outputs"]["embedding"], axis=1),
        atol=1e-5,
    )


def test_the_example_of_tolerance_holds_a_picture_that_is_none(golden):
    example = by_signature(golden)["encode_image_tolerant"]
    valid = [True, False] + [True] * (GOLDEN_ROWS - 2)
    assert example["outputs"]["valid"].tolist() == valid
    assert example["inputs"]["image_bytes"][1] == b"no picture"
    expected = by_signature(golden)["encode_image"]["outputs"]["embedding"].copy()
    expected[1] = 0
    assert example["outputs"]["embedding"].dtype == np.float32
    np.testing.assert_array_equal(example["outputs"]["embedding"], expected)


def test_without_pairs_the_first_pictures_and_texts_are_examples(tiny_model, golden):
    data = load_source("glyphs", "dev", tiny_model.image_preprocessor, limit=60)
    apart = dataclasses.replace(data, pairs=data.pairs[:0])
    examples = by_signature(golden_examples(tiny_model, apart, "0123abcd"))
    assert set(examples) == ROWS
    assert examples["encode_text"]["inputs"]["text"].tolist() == [text.encode() for text in data.texts[:GOLDEN_ROWS]]
    for example in examples.values():
        assert {len(values) for side in example.values() for values in side.values()} == {GOLDEN_ROWS}
    few = dataclasses.replace(
        apart.first_texts(5),
        images=data.images[:3],
        **{field: getattr(data, field)[:3] for field in ("image_id", "image_item", "image_names")},
    )
    assert len(by_signature(golden_examples(tiny_model, few, "0"))["match"]["outputs"]["score"]) == 3


def test_a_model_of_pictures_that_read_features_of_them_has_made_up_pictures(tiny_model):
    """Trained on a feature file over a frozen backbone: no picture is at hand, and `encode_image` takes some."""
    data = load_source("glyphs", "dev", tiny_model.image_preprocessor, limit=20)
    features = dataclasses.replace(data, images=np.zeros((len(data.images), 7), np.float32))
    examples = by_signature(golden_examples(tiny_model, features, "0"))
    pixels = examples["encode_pixels"]["inputs"]["image"]
    assert pixels.dtype == np.uint8 and pixels.shape[1:] == tiny_model.image_preprocessor.output_shape
    assert len(np.unique(pixels, axis=0)) == len(pixels)
    given = list(examples["encode_image"]["inputs"]["image_bytes"])
    np.testing.assert_array_equal(tiny_model.image_preprocessor.load(given), pixels)


def test_the_exported_version_holds_its_examples(tiny_version):
    assert set(golden_of(tiny_version)) == ROWS


def test_warm_up_requests_are_prediction_logs_of_every_signature(tiny_version):
    from tensorflow_serving.apis import prediction_log_pb2

    seen = []
    file = tiny_version / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "tiny"
        rows = {tf.make_ndarray(value).shape[0] for value in request.inputs.values()}
        assert len(rows) == 1
        for pictures in (value for name, value in request.inputs.items() if name == "image_bytes"):
            assert all(row.startswith(b"\x89PNG") for row in tf.make_ndarray(pictures))
        seen.append((request.model_spec.signature_name, rows.pop()))
    assert sorted(seen) == sorted((signature, rows) for signature in ROWS for rows in (1, 4))


def test_a_server_answers_all_warm_up_requests_when_it_loads(tiny_version):
    from mmkeras.serving.server.servable import Servable
    from mmkeras.serving.server.warm_up import replay_warm_up

    servable = Servable(tiny_version, "tiny", 1)
    try:
        assert replay_warm_up(servable) == 2 * len(ROWS)
    finally:
        servable.close()


def test_a_server_that_loads_an_export_logs_no_warning(tiny_version):
    serve = "import sys; from mmkeras.serving import EmbeddedServer; EmbeddedServer(sys.argv[1]).start().stop()"
    done = subprocess.run(
        [sys.executable, "-c", serve, str(tiny_version.parent)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"^[IWEF]\d{4} .*", done.stderr, re.MULTILINE)
    assert any("TFRecordDataset" in line for line in lines)  # the log is there, and the warm-up in it
    # Of graphics processors that the machine has not, TensorFlow tells by itself.
    assert [line for line in lines if line[0] != "I" and "cuda" not in line] == []


def test_a_full_disk_is_told(golden, tmp_path):
    with pytest.raises(MmkerasError, match="The warm-up requests .* could not be written"):
        write_warm_up(tmp_path / "missing" / "requests", "tiny", golden)
