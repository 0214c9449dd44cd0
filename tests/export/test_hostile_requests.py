"""Requests that a signature must survive: each has a defined answer, or is refused with a message that helps.

Every case runs in three ways: over the wire against a server, on the loaded SavedModel's own functions, and in a bare
session, which checks as little as TensorFlow Serving does, so that the graph alone must stand it.
"""

import io
import zlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.export.example_signatures import serialized_examples
from mmkeras.serving import EmbeddedServer, ServingError, protos
from mmkeras.serving.server.servable import Servable
from mmkeras.serving.tensors import decode_tensor, encode_tensor

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
EMPTY_BATCH = np.empty(0, object)


def picture(kind):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def bomb():
    """A PNG of a few bytes whose header says 30,000 x 30,000 pixels."""

    def chunk(name, content):
        return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)

    header = (30_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def damaged(content):
    """Change bytes in the middle: the header and the end marker stay whole."""
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0x5A for byte in content[middle : middle + 40]) + content[middle + 40 :]


def cut_jpeg():
    """A JPEG without its second half, but with an end marker."""
    content = picture("JPEG")
    start = content.index(b"\xff\xda")
    return content[: (start + len(content)) // 2] + b"\xff\xd9"


GOOD = picture("PNG")
EXPECTED = "expected a JPEG, PNG, GIF, BMP or WebP picture"
BROKEN = {  # -> what the refusal says
    "truncated JPEG": (picture("JPEG")[:-200], r"row 1: JPEG file is truncated"),
    "truncated PNG": (GOOD[: len(GOOD) // 2], r"row 1: PNG file is truncated"),
    "JPEG cut off, with an end again": (cut_jpeg(), r"row 1: JPEG file is truncated \(its data end"),
    "truncated WebP": (picture("WEBP")[:-9], r"row 1: WebP file is truncated"),
    "random bytes": (np.random.default_rng(1).bytes(500), rf"row 1: {EXPECTED}"),
    "zero bytes": (b"", rf"row 1: {EXPECTED}; received 0 bytes"),
    "NUL bytes": (bytes(300), rf"row 1: {EXPECTED}; received 300 bytes"),
    "a megabyte of text": (
        b"a" * 2**20,
        rf"row 1: {EXPECTED}; received 1048576 bytes",
    ),
    "bomb": (bomb(), r"row 1: PNG of 30000 x 30000 pixels; expected .* max_pixels=50000000"),
    "damaged in the middle": (damaged(GOOD), r"PNG"),
}
TEXTS = {
    "empty": b"",
    "64 KiB": b"omega " * (2**16 // 6),
    "64 KiB without a space": b"x" * 2**16,
    "a megabyte": b"omega " * (2**20 // 6),
    "a megabyte without a space": b"x" * 2**20,
    "not UTF-8": b"\xff\xfe \xc3\x28 omega",
    "NUL bytes": b"\x00a\x00 omega\x00",
}
# A signature's string input, and one good value for it.
STRING_INPUTS = {
    "encode_text": ("text", b"omega"),
    "encode_image": ("image_bytes", GOOD),
    "encode_image_tolerant": ("image_bytes", GOOD),
    "describe": ("probe", b""),
    "classify_text": ("text", b"omega"),
    "classify_image": ("image_bytes", GOOD),
    "classify_text_examples": ("inputs", serialized_examples("text", [b"omega"])[0]),
    "classify_image_examples": ("inputs", serialized_examples("image_bytes", [GOOD])[0]),
}


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def example(**features):
    kinds = {bytes: ("bytes_list", tf.train.BytesList), int: ("int64_list", tf.train.Int64List)}
    made = {}
    for name, values in features.items():
        field, kind = kinds[type(values[0])]
        made[name] = tf.train.Feature(**{field: kind(value=values)})
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def cases():
    """Yield (id, signature, inputs, rows of the answer or a pattern of the refusal)."""
    for signature, (name, value) in STRING_INPUTS.items():
        yield f"{signature}: scalar", signature, {name: np.array(value, object)}, "rank|[Ss]hape"
        yield f"{signature}: 2-D", signature, {name: strings(value).reshape(1, 1)}, "rank|[Ss]hape"
        yield f"{signature}: no rows", signature, {name: EMPTY_BATCH}, 0
        yield f"{signature}: int", signature, {name: np.int32([1])}, "string but int32|int32.*string|string.*int32"
        many = np.full(4097, value, object)
        yield f"{signature}: 4,097 rows", signature, {name: many}, "Task size 4097 is larger than maximum .* 4096"
    inputs = {"image_bytes": strings(*[b""] * 4097), "text": strings(*[b"a"] * 4097)}
    yield "match: 4,097 rows", "match", inputs, "Task size 4097"
    yield "encode_pixels: 4,097 rows", "encode_pixels", {"image": np.zeros((4097, 16, 16, 3), np.uint8)}, "size 4097"
    for kind, text in TEXTS.items():
        answer = 2
        if len(text) > 2**16:
            answer = f"Expected texts of at most 65536 bytes. Received: text of row 1 has {len(text)} bytes"
        elif kind == "not UTF-8":
            answer = "Expected texts in UTF-8. Received: bytes that are none in row 1; encode_image takes pictures"
        for signature in ("encode_text", "classify_text"):
            yield f"{signature}: {kind}", signature, {"text": strings(b"omega", text)}, answer
        inputs = {"image_bytes": strings(GOOD, GOOD), "text": strings(b"omega", text)}
        yield f"match: {kind}", "match", inputs, answer
        inputs = serialized_examples("text", [b"omega", text])
        yield f"classify_text_examples: {kind}", "classify_text_examples", {"inputs": inputs.astype(object)}, answer
        yield f"describe: {kind}", "describe", {"probe": strings(b"omega", text)}, 2
    for kind, (broken, refusal) in BROKEN.items():
        batch = strings(GOOD, broken, GOOD)
        for signature in ("encode_image", "classify_image"):
            yield f"{signature}: {kind}", signature, {"image_bytes": batch}, refusal
        yield f"match: {kind}", "match", {"image_bytes": batch, "text": strings(*[b"a"] * 3)}, refusal
        yield f"encode_image_tolerant: {kind}", "encode_image_tolerant", {"image_bytes": batch}, 3
        inputs = {"inputs": strings(*(example(image_bytes=[row]) for row in batch))}
        yield f"classify_image_examples: {kind}", "classify_image_examples", inputs, refusal
    pairs = "match takes pairs: image_bytes and text must hold the same number of rows"
    for images, texts in ((2, 1), (1, 2), (3, 2), (1, 0), (0, 1)):
        inputs = {"image_bytes": strings(*[GOOD] * images), "text": strings(*[b"a"] * texts)}
        yield f"match: {images} pictures, {texts} texts", "match", inputs, pairs
    yield "match: no rows", "match", {"image_bytes": EMPTY_BATCH, "text": EMPTY_BATCH}, 0
    for wrong in ("image_bytes", "text"):
        for kind, lift in (("scalar", lambda rows: rows.reshape(())), ("2-D", lambda rows: rows.reshape(1, 1))):
            inputs = {"image_bytes": strings(GOOD), "text": strings(b"a")}
            yield f"match: {kind} {wrong}", "match", {**inputs, wrong: lift(inputs[wrong])}, "rank|[Ss]hape|match takes"
    yield "encode_pixels: no rows", "encode_pixels", {"image": np.zeros((0, 16, 16, 3), np.uint8)}, 0
    yield "encode_pixels: another size", "encode_pixels", {"image": np.zeros((1, 8, 16, 3), np.uint8)}, "[Ss]hape"
    yield "encode_pixels: one picture", "encode_pixels", {"image": np.zeros((16, 16, 3), np.uint8)}, "[Ss]hape"
    yield "encode_pixels: floats", "encode_pixels", {"image": np.zeros((1, 16, 16, 3), np.float32)}, "uint8"
    good = example(text=[b"a"])
    for kind, row, refusal in (
        ("without the feature", example(other=[b"a"]), r"Feature: text .* is required but could not be found"),
        ("of no feature", b"", r"Feature: text .* is required but could not be found"),
        ("of numbers", example(text=[1]), r"text.*[Dd]ata types don't match"),
        ("of two values", example(text=[b"a", b"b"]), r"Key: text"),
        ("that is none", b"no example at all", r"Could not parse example input"),
    ):
        inputs = {"inputs": strings(good, row)}
        yield f"classify_text_examples: one {kind}", "classify_text_examples", inputs, refusal


def ways_and_cases():
    for name, signature, inputs, outcome in cases():
        # Fed into a session, numbers are turned into what it takes by Python, before the graph sees them.
        has_numbers = any(values.dtype.kind in "if" for values in inputs.values())
        for way in ("served", "loaded") if has_numbers else ("served", "loaded", "bare"):
            yield pytest.param(way, signature, inputs, outcome, id=f"{name}, {way}")


WAYS_AND_CASES = list(ways_and_cases())


@pytest.fixture(scope="module")
def ways(labelled_version, labelled_signatures):
    """{name: function (signature, inputs) -> outputs}, each of which raises `ServingError` or TensorFlow's own."""
    servable = Servable(labelled_version, "labelled", 1)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

    def bare(signature, inputs):
        aliases = sorted(servable.signatures[signature].outputs)
        return dict(zip(aliases, servable.run(signature, inputs, aliases), strict=True))

    def loaded(signature, inputs):
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        return {name: value.numpy() for name, value in labelled_signatures[signature](**tensors).items()}

    with EmbeddedServer(labelled_version.parent) as server, grpc.insecure_channel(server.address, options) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

        def served(signature, inputs):
            request = protos.PredictRequest(model_spec=protos.ModelSpec(name="labelled", signature_name=signature))
            for name, values in inputs.items():
                request.inputs[name].CopyFrom(encode_tensor(values))
            try:
                response = protos.PredictResponse.FromString(call(request.SerializeToString(), timeout=60))
            except grpc.RpcError as error:
                raise ServingError(error.code().name, error.details()) from error
            return {name: decode_tensor(proto) for name, proto in response.outputs.items()}

        yield {"served": served, "loaded": loaded, "bare": bare}
    servable.close()


@pytest.mark.parametrize(("way", "signature", "inputs", "outcome"), WAYS_AND_CASES)
def test_a_request_is_answered_or_refused_with_a_reason(ways, way, signature, inputs, outcome):
    if isinstance(outcome, int):
        answer = ways[way](signature, inputs)
        assert {len(values) for values in answer.values()} == {outcome}
        assert all(np.isfinite(values).all() for values in answer.values() if values.dtype.kind == "f")
        return
    with pytest.raises((ServingError, tf.errors.InvalidArgumentError, TypeError, ValueError), match=outcome) as caught:
        ways[way](signature, inputs)
    if isinstance(caught.value, ServingError):
        assert caught.value.code == "INVALID_ARGUMENT"
    assert ways[way]("describe", {"probe": strings(b"")})["space_id"].shape == (1,)  # it lives


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_harms_no_other_row(ways, kind):
    alone = ways["bare"]("encode_image", {"image_bytes": strings(GOOD)})["embedding"][0]
    broken = BROKEN[kind][0]
    answer = ways["served"]("encode_image_tolerant", {"image_bytes": strings(broken, GOOD, broken, GOOD)})
    assert answer["valid"].tolist() == [False, True, False, True]
    np.testing.assert_array_equal(answer["embedding"][[0, 2]], 0)
    np.testing.assert_allclose(answer["embedding"][[1, 3]], [alone, alone], atol=1e-6)
    alone = ways["served"]("encode_image_tolerant", {"image_bytes": strings(broken)})
    assert alone["valid"].tolist() == [False] and not alone["embedding"].any()
