"""Types of metadata columns, by all values that stand in them."""

import datetime
import decimal

import pytest

from mmkeras.embeddings.column_types import ColumnTypes, as_type, plain_value


def types_of(values, untyped=False):
    types = ColumnTypes(untyped)
    for value in values:
        types.see({"a": plain_value(value)})
    return types.types()["a"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "22", "-3"], "int64"),
        (["1", "2.5", ""], "double"),
        (["1e3", ".5", "2."], "double"),
        (["007", "12"], "string"),
        (["12345678901234567890", "1"], "string"),
        (["1,5"], "string"),
        (["1e999"], "string"),
        (["nan", "1"], "string"),
        (["", " "], "string"),
    ],
)
def test_texts_of_a_table_are_numbers_where_all_are(values, kind):
    assert types_of(values, untyped=True) == kind
    assert types_of(values) == "string"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2], "int64"),
        ([1, 2.5], "double"),
        ([True, False], "bool"),
        ([True, 1], "string"),
        ([["a"], []], "strings"),
        ([["a"], "b"], "string"),
        ([[1, 2]], "string"),
        ([{"a": 1}], "string"),
        ([2**63], "string"),
        ([float("nan"), 1.0], "double"),
        ([datetime.date(2024, 5, 1)], "string"),
        ([decimal.Decimal("1.50")], "double"),
    ],
)
def test_values_with_a_type_keep_it(values, kind):
    assert types_of(values) == kind


def test_values_become_what_their_column_is():
    assert as_type("12", "int64") == 12 and as_type("", "int64") is None and as_type(None, "double") is None
    assert as_type(1, "double") == 1.0 and isinstance(as_type(1, "double"), float)
    assert as_type({"a": 1}, "string") == '{"a": 1}' and as_type("a", "string") == "a"
    assert as_type(["a"], "strings") == ["a"]
    assert plain_value(float("inf")) is None
    assert plain_value(datetime.date(2024, 5, 1)) == "2024-05-01"
    assert plain_value("a\udcff") == "a\\udcff"
