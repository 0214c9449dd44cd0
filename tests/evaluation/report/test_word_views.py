"""What the report shows of each word: of `SoftMask`, tiny and untrained, and what it reads of such a model."""

import base64
import io
import types

import numpy as np
from PIL import Image

from mmkeras.evaluation.report.report import write_report
from mmkeras.evaluation.report.tables import size_table
from mmkeras.evaluation.report.word_views import draw_words

from ...page import Page

FOUR = ["one", "two", "<script>alert('three')</script>", "four"]


class Seeing(types.SimpleNamespace):
    """Sees, of a picture of the value v, two words on a grid of 2 x 2, the second half as much as the first."""

    trains_with_masks = True

    def word_masks(self, images, texts):
        self.asked = [(int(image[0, 0, 0]), text) for image, text in zip(images, texts, strict=True)]
        attention = np.array([[[4, 2], [0, 0]], [[2, 0], [0, 0]]], "float32")
        mask = np.array([[[1, 0.5], [0, 0]], [[1, 0], [0, 0]]], "float32")
        return [{"words": ["the", "<b>"], "attention": attention, "mask": mask, "score": 0.25} for _ in texts]


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))))


def test_right_ones_and_a_wrong_one_with_both_its_pictures(evaluation):
    """Of the four, the fourth is wrong: its own picture, 3, ranks behind 1 and 0."""
    model = Seeing()
    found = draw_words(model, evaluation, seed=0)
    assert found["masked"]
    assert [(view["rank"] == 1, view["instead"]) for view in found["views"]] == [(True, False)] * 3 + [
        (False, False),
        (False, True),
    ]
    own = {text: row for row, text in enumerate(FOUR)}
    similarity = evaluation.image_embeddings @ evaluation.text_embeddings[3]
    assert model.asked[3] == (3, "four") and model.asked[4] == (int(similarity.argmax()), "four")
    assert {text for _, text in model.asked[:3]} == set(FOUR[:3])
    assert all(evaluation.data.image_id[row] == evaluation.data.image_id[own[text]] for row, text in model.asked[:3])
    again = Seeing()
    assert draw_words(again, evaluation, seed=0) == found and again.asked == model.asked


def test_colours_say_how_much(evaluation):
    (view, *_) = draw_words(Seeing(), evaluation, seed=0)["views"]
    the, other = view["words"]
    assert (the["word"], the["strength"], other["strength"]) == ("the", 1.0, 0.5)
    assert pixels(the["mask"])[..., 3].tolist() == [[255, 128], [0, 0]]
    colours = pixels(the["attention"])
    assert colours[..., 3].tolist() == [[217, 108], [0, 0]]  # of .85 at the most
    assert colours[0, 0, :3].tolist() == [196, 0, 60] and colours[0, 1, :3].tolist() == [226, 88, 30]
    assert pixels(other["attention"])[..., 3].tolist() == [[217, 0], [0, 0]]  # stretched by itself
    assert (view["height"], view["width"]) == (8, 8)
    assert pixels(view["grey"]).shape == (8, 8) and pixels(view["grey"]).min() >= 90


def test_a_word_without_attention_is_no_division_by_zero(evaluation):
    model = Seeing()
    nothing = {"words": ["the"], "attention": np.zeros((1, 2, 2), "float32"), "mask": np.zeros((1, 2, 2), "float32")}
    model.word_masks = lambda images, texts: [nothing | {"score": 0.5} for _ in texts]
    (view, *_) = draw_words(model, evaluation, seed=0)["views"]
    assert view["words"][0]["strength"] == 0 and not pixels(view["words"][0]["attention"])[..., 3].any()


def test_the_page_shows_them(evaluation, tmp_path):
    def page(name, **arguments):
        shared = {"title": "run", "settings": {}, "versions": {}, "history": [], "evaluation": evaluation}
        write_report(tmp_path / name, **shared | arguments)
        return (tmp_path / name).read_text(encoding="utf-8")

    views = draw_words(Seeing(), evaluation, seed=0)
    with_words, without = page("a.html", word_views=views), page("b.html", word_views=None)
    read = Page(with_words)
    assert "<script" not in with_words and "<b>" in read.text
    assert "What each word looks at" in read.text and "What each word looks at" not in Page(without).text
    assert "four with its own image, matching score 0.25" in read.text
    assert "four with the image that came first in its place" in read.text
    assert read.tags.count("svg") == Page(without).tags.count("svg") + 5 * (1 + 2 * 2)
    assert all(link.startswith(("data:", "#")) for link in read.links)
    assert with_words.count('id="seen-1-picture"') == 1 and with_words.count('href="#seen-1-picture"') == 2
    assert "taken away" in read.text
    plain = Page(page("c.html", word_views=views | {"masked": False}))
    assert "Training used no soft masks" in plain.text and "taken away" not in plain.text


def test_another_model_has_none(model, evaluation):
    assert draw_words(model, evaluation, seed=0) is None


def test_the_sizes_of_the_parts(evaluation, tmp_path):
    info = {"parameters": {"image_encoder": 1_000_000, "rest": 1, "queue": 3}}
    assert size_table(info) == []  # of a version that counted no bytes
    info["parameter_bytes"] = {"image_encoder": 4_000_000, "rest": 4, "queue": 24}
    rows = [tuple(row.values()) for row in size_table(info)]
    assert rows[0] == ("Image encoder", 1_000_000, "4.00")
    assert rows[2] == ("Queue, for training alone", 3, "0.00")
    assert rows[3] == ("Together", 1_000_004, "4.00")
    file = tmp_path / "report.html"
    shared = {"title": "run", "settings": {}, "versions": {}, "history": [], "evaluation": evaluation}
    write_report(file, **shared, size=size_table(info))
    assert "Size 4.00 MB Part Weights MB Image encoder 1,000,000 4.00" in Page(file.read_text(encoding="utf-8")).text
