import pytest

from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.example_json import read_example


def test_features_of_every_kind():
    features = read_example(
        {"f": [1.5, float("nan")], "i": [1, True, -3], "s": "é", "b": [{"b64": "/w=="}, "x"], "none": [], "long": 2**70}
    ).features.feature
    assert features["f"].float_list.value[0] == 1.5
    assert list(features["i"].int64_list.value) == [1, 1, -3]
    assert list(features["s"].bytes_list.value) == ["é".encode()]
    assert list(features["b"].bytes_list.value) == [b"\xff", b"x"]
    assert features["none"].WhichOneof("kind") is None
    assert list(features["long"].float_list.value) == [2.0**70]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1], "Example must be JSON object but got JSON Array"),
        ({"f": None}, "Feature: f has element with unexpected JSON type: Null"),
        ({"f": [[1]]}, "Feature: f has element with unexpected JSON type: Array"),
        ({"f": {"a": 1}}, "Feature: f has element with unexpected JSON type: Object"),
        ({"f": [1.5, 2]}, "Unexpected element type in feature: f expecting type: float"),
        ({"f": [1, "a"]}, "Unexpected element type in feature: f expecting type: int64"),
        ({"f": 2**63}, "Feature: f has uint64 element. Only int64 is supported."),
        ({"f": 1e39}, "Cannot convert JSON value: 1e+39 to float without loss of precision."),
    ],
)
def test_what_is_no_example(value, text):
    with pytest.raises(ServingError) as caught:
        read_example(value)
    assert (caught.value.code, caught.value.details) == ("INVALID_ARGUMENT", text)
