"""A loaded SavedModel: what its session gives back, and what it says when an operation fails."""

import numpy as np
import pytest

from mmkeras.serving import ServingError
from mmkeras.serving.server.servable import Servable


@pytest.fixture(scope="module")
def servable(tmp_path_factory):
    import tensorflow as tf

    class Toy(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def numbers(self, x):
            return {"double": x * 2, "half": x / 2, "sum": tf.reduce_sum(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def product(self, x):
            return {"product": tf.matmul(x, tf.ones([2, 2]))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def texts(self, text):
            return {"same": tf.identity(text), "all": tf.strings.reduce_join(text)}

    toy, path = Toy(), tmp_path_factory.mktemp("toy") / "1"
    tf.saved_model.save(toy, str(path), signatures={"numbers": toy.numbers, "product": toy.product, "texts": toy.texts})
    servable = Servable(path, "toy", 1)
    yield servable
    servable.close()


def test_outputs_come_in_the_order_of_their_aliases(servable):
    x = np.array([[1, 2], [3, 4]], np.float32)
    for _ in range(2):  # the second time with what the first one looked up
        half, total, double, again = servable.run("numbers", {"x": x}, ["half", "sum", "double", "half"])
        assert half.tolist() == again.tolist() == [[0.5, 1], [1.5, 2]]
        assert double.tolist() == [[2, 4], [6, 8]] and total == 10


def test_strings_are_bytes_and_no_rows_are_no_rows(servable):
    text = np.array([b"a", b"", b"\xff\x00"], object)
    same, joined = servable.run("texts", {"text": text}, ["same", "all"], 5)
    assert same.tolist() == [b"a", b"", b"\xff\x00"] and joined == b"a\xff\x00"
    (same,) = servable.run("texts", {"text": text[:0]}, ["same"])
    assert same.shape == (0,)


def test_views_and_transposed_arrays_are_read_as_they_look(servable):
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    (double,) = servable.run("numbers", {"x": x[:, ::3].T}, ["double"])
    assert double.tolist() == [[0, 12], [6, 18]]


def test_an_error_is_the_operations_own_text_without_its_graph(servable):
    with pytest.raises(ServingError) as caught:
        servable.run("product", {"x": np.ones([2, 3], np.float32)}, ["product"])
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.details == "Matrix size-incompatible: In[0]: [2,3], In[1]: [2,2]"


def test_shapes_are_checked_by_operations_only(servable):
    """As on TensorFlow Serving, which does not compare an input with its signature."""
    (double,) = servable.run("numbers", {"x": np.ones([1, 2, 2], np.float32)}, ["double"])
    assert double.tolist() == [[[2, 2], [2, 2]]]


def test_a_closed_servable_says_so(tmp_path, servable):
    other = Servable(servable.path, "toy", 1)
    other.close()
    with pytest.raises(ServingError) as caught:
        other.run("numbers", {"x": np.ones([1, 2], np.float32)}, ["sum"])
    assert caught.value.code in ("CANCELLED", "INTERNAL")
