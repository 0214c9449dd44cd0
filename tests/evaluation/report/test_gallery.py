import base64
import io

import numpy as np
from PIL import Image

from mmkeras.evaluation.measuring.evaluate import evaluate
from mmkeras.evaluation.report.gallery import Items, draw_queries
from mmkeras.evaluation.thumbnails import data_uri


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_small_pictures_are_kept_to_the_pixel():
    image = np.random.default_rng(0).integers(0, 256, (32, 20, 3), np.uint8)
    np.testing.assert_array_equal(decoded(data_uri(image)), image)
    np.testing.assert_array_equal(decoded(data_uri(image[..., :1])), image[..., 0])


def test_large_pictures_are_made_small():
    assert decoded(data_uri(np.zeros((400, 200, 3), np.uint8))).shape == (224, 112, 3)


def test_pictures_of_at_most_64_px_are_drawings(make_data):
    for side, drawing in ((8, True), (64, True), (65, False)):
        data = make_data(images=np.zeros((4, 8, side, 3), np.uint8))
        assert Items(data).picture(0)["drawing"] is drawing


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


def test_by_category_all_of_a_category_match(model, make_data):
    model.supervision = "categories"
    data = make_data(label=np.array([0, 1, 1, 1]), text_label=np.array([0, 1, 1, 0]), label_names=("one", "other"))
    drawn = draw_queries(evaluate(model, data), "text_to_image", seed=0, results=3)
    right = {query["text"]: query for query in drawn["right"]}
    assert set(right) == {"one", "two", "<script>alert('three')</script>"}
    two = right["two"]
    assert (two["category"], two["rank"]) == ("other", 1)
    assert [(result["item"], result["category"], result["mark"]) for result in two["results"]] == [
        (20, "other", "match"),
        (30, "other", "match"),  # another item, and no look-alike: it is of the category
        (10, "one", ""),
    ]
    assert [(query["text"], query["rank"]) for query in drawn["wrong"]] == [("four", 2)]


def test_by_tags_one_in_common_is_right(model, make_data):
    """Picture 3 has no tag: it is asked for nothing, and no text finds it."""
    tags = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.uint8)
    data = make_data(label=tags, text_label=tags[[1, 1, 0, 0]], label_names=("a", "b"))
    model.supervision = "categories"
    found = evaluate(model, data)
    drawn = draw_queries(found, "image_to_text", seed=0)
    assert drawn["right_count"] + drawn["wrong_count"] == 3
    (wrong,) = drawn["wrong"]
    assert (wrong["item"], wrong["category"], wrong["rank"]) == (30, "b", 2)  # prefers "three", which is an a
    assert [result["mark"] for result in wrong["results"]] == ["", "match", "match", ""]
    assert wrong["results"][1]["category"] == "b, a"  # what the query has in common with it stands first
    drawn = draw_queries(found, "text_to_image", seed=0)
    categories = {result["category"] for query in drawn["right"] for result in query["results"]}
    assert categories == {"a", "a, b", "b", "no category"}
