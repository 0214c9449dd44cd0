import numpy as np
import pytest

from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.rest_requests import parse_body, read_examples, read_inputs
from tests.serving.server.function_servable import FunctionServable


@pytest.fixture
def function_servable():
    return FunctionServable()


@pytest.fixture
def read(function_servable):
    """A function of (signature name, body) -> (in rows, feeds)."""
    return lambda name, body: read_inputs(parse_body(body), function_servable.signatures[name])


def refusal(function, *arguments):
    with pytest.raises(ServingError) as caught:
        function(*arguments)
    return caught.value.code, caught.value.details


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b" \n", "JSON Parse error: The document is empty"),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b'"a"', 'JSON Value: "a" Is not object'),
        (b'{"signature_name": 1}', 'JSON Value: {"signature_name":1} not formatted correctly. '),
    ],
)
def test_bodies_that_are_no_request(body, text):
    code, details = refusal(parse_body, body)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith(text)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"  ",
        b"{'a': 1}",
        b'{"a": \xff}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
        b"nul",
    ],
)
def test_bodies_that_are_no_json(body):
    code, details = refusal(parse_body, body)
    assert code == "INVALID_ARGUMENT"
    assert details.startswith("JSON Parse error: ")


def test_what_follows_the_object_is_not_looked_at():
    assert parse_body(b'\xef\xbb\xbf {"instances": [1]} garbage') == {"instances": [1]}


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [[1, 2, 3], [4, 5, 6]]}',
        b'{"instances": [{"x": [1, 2, 3]}, {"x": [4, 5, 6]}]}',
        b'{"inputs": [[1, 2, 3], [4, 5, 6]]}',
        b'{"inputs": {"x": [[1, 2, 3], [4, 5, 6]], "more": 1}, "other": 2}',
    ],
)
def test_four_ways_to_send_one_input(read, body):
    in_rows, feeds = read("serving_default", body)
    assert in_rows == (b"instances" in body)
    assert list(feeds) == ["x"]
    np.testing.assert_array_equal(feeds["x"], np.array([[1, 2, 3], [4, 5, 6]], np.float32))


@pytest.mark.parametrize(
    "body", [b'{"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}', b'{"inputs": {"a": [1, 3], "b": [2, 4]}}']
)
def test_two_ways_to_send_two_inputs(read, body):
    _, feeds = read("pair", body)
    assert feeds["a"].tolist() == [1, 3]
    assert feeds["b"].tolist() == [2, 4]


def test_base64_rows(read):
    _, feeds = read("upper", b'{"instances": [{"b64": "/w=="}, "a", {"b64": "YQ"}]}')
    assert feeds["text"].tolist() == [b"\xff", b"a", b"a"]
    _, feeds = read("upper", b'{"instances": [{"text": {"b64": "/w=="}}, {"text": "a"}]}')
    assert feeds["text"].tolist() == [b"\xff", b"a"]


def test_a_scalar_column_has_no_dimension(read):
    _, feeds = read("total", b'{"inputs": 3}')
    assert feeds["x"].shape == ()


ELEMENT = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "


@pytest.mark.parametrize(
    ("signature", "body", "text"),
    [
        ("pair", b"{}", "Missing 'inputs' or 'instances' key"),
        (
            "pair",
            b'{"inputs": 1, "instances": 2}',
            'JSON Value: {"inputs":1,"instances":2} Not formatted correctly expecting only one of \'inputs\' or '
            "'instances' keys to exist ",
        ),
        ("pair", b'{"instances": 2}', "JSON Value: {\"instances\":2} Excepting 'instances' to be an list/array"),
        ("pair", b'{"instances": []}', "JSON Value: {\"instances\":[]} No values in 'instances' array"),
        (
            "serving_default",
            b'{"instances": [[1, 2, 3], [1, 2]]}',
            ELEMENT.format(1) + "Expecting tensor size: 3 but got: 2",
        ),
        (
            "var",
            b'{"instances": [[[1, 2]], [[1], [2]]]}',
            ELEMENT.format(1) + "Expecting shape [1,2] but got: [2,1]",
        ),
        (
            "count",
            b'{"instances": [1, "a"]}',
            ELEMENT.format(1) + 'JSON Value: "a" Type: String is not of expected type: int32',
        ),
        (
            "serving_default",
            b'{"instances": [{"z": [1, 2, 3]}]}',
            "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: z",
        ),
        (
            "pair",
            b'{"instances": [{"a": 1, "b": 2}, {"a": 1}]}',
            "Failed to process element: 1 of 'instances' list. JSON object: {\"a\":1} keys must be equal to: a,b",
        ),
        (
            "pair",
            b'{"instances": [{"a": 1, "b": 2}, 3]}',
            "Expecting object but got list at item 1 of input list",
        ),
        (
            "serving_default",
            b'{"instances": [[1, 2, 3], {"x": [1, 2, 3]}]}',
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            "half",
            b'{"instances": [1]}',
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
            "Conversion of JSON Value: 1 to type: half",
        ),
        ("pair", b'{"inputs": {"a": [1]}}', "Missing named input: b in 'inputs' object."),
        ("upper", b'{"inputs": {"b64": "!"}}', "Unable to base64 decode"),
    ],
)
def test_refusals_in_the_servers_words(read, signature, body, text):
    assert refusal(read, signature, body) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize("body", [b'{"instances": [1]}', b'{"inputs": [1]}'])
def test_plain_values_for_several_inputs(read, body):
    code, text = refusal(read, "pair", body)
    assert code == "INVALID_ARGUMENT"
    assert "multiple input tensors required" in text


def test_examples_with_and_without_context():
    found = read_examples(parse_body(b'{"examples": [{"a": 1}, {}]}'), "classify")
    assert found.WhichOneof("kind") == "example_list"
    assert len(found.example_list.examples) == 2
    found = read_examples(parse_body(b'{"context": {"c": "x"}, "examples": [{"a": 1}]}'), "classify")
    assert found.example_list_with_context.context.features.feature["c"].bytes_list.value == [b"x"]


@pytest.mark.parametrize("body", [b"{}", b'{"examples": 1}', b'{"examples": []}', b'{"examples": [1]}'])
def test_what_is_no_list_of_examples(body):
    assert refusal(read_examples, parse_body(body), "classify")[0] == "INVALID_ARGUMENT"
