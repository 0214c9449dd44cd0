import base64
import io

import numpy as np
from PIL import Image

from mmkeras.evaluation.gallery import data_uri, draw_queries


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_small_pictures_are_kept_to_the_pixel():
    image = np.random.default_rng(0).integers(0, 256, (32, 20, 3), np.uint8)
    np.testing.assert_array_equal(decoded(data_uri(image)), image)
    np.testing.assert_array_equal(decoded(data_uri(image[..., :1])), image[..., 0])


def test_large_pictures_are_made_small():
    assert decoded(data_uri(np.zeros((400, 200, 3), np.uint8))).shape == (112, 56, 3)


def test_results_are_the_best_with_marks(evaluation):
    drawn = draw_queries(evaluation, "text_to_image", seed=0, results=3)
    assert (drawn["right_count"], drawn["wrong_count"]) == (3, 1)
    two = drawn["right"][1]
    assert (two["text"], two["rank"]) == ("two", 1)
    assert [result["item"] for result in two["results"]] == [20, 30, 10]
    assert [result["mark"] for result in two["results"]] == ["match", "", "look-alike"]
    assert [round(result["score"], 2) for result in two["results"]] == [0.96, 0.8, 0.6]
    wrong = drawn["wrong"][0]
    assert (wrong["text"], wrong["rank"], wrong["expected"]) == ("four", 2, None)
    assert [result["mark"] for result in wrong["results"]] == ["", "match", ""]  # the tie goes to the irrelevant one


def test_the_draw_is_bounded_and_repeatable(evaluation):
    one, again = (draw_queries(evaluation, "image_to_text", seed=3, count=2, results=1) for _ in range(2))
    assert one == again
    assert [len(one["right"]), len(one["wrong"]), one["right_count"]] == [2, 1, 3]
    assert one["wrong"][0]["expected"]["text"] == "four"
