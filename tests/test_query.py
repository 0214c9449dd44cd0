"""A text finds pictures, a picture finds texts: asked of an embedded server over a SavedModel of a few lines."""

import html.parser
import json

import numpy as np
import pytest

from mmkeras.cli import main
from mmkeras.errors import MmkerasError
from mmkeras.query import Answer, ask, find_index
from mmkeras.search import EmbeddingIndex, IndexWriter, SearchResult

PICTURE = b"\x89PNG picture of b"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Embeds every text as (1, 0) and every picture as (0, 1)."""
    import tensorflow as tf

    from mmkeras.serving import EmbeddedServer

    class Toy(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def encode_text(self, text):
            return {"embedding": tf.tile([[1.0, 0.0]], [tf.size(text), 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def encode_image(self, image_bytes):
            readable = tf.strings.length(image_bytes) == len(PICTURE)
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(readable), ["row 0 is no picture"])]):
                return {"embedding": tf.tile([[0.0, 1.0]], [tf.size(image_bytes), 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="probe")])
        def describe(self, probe):
            return {"space_id": tf.fill(tf.shape(probe), "toy-space")}

    toy = Toy()
    path = tmp_path_factory.mktemp("models") / "toy"
    signatures = {name: getattr(toy, name) for name in ("encode_text", "encode_image", "describe")}
    tf.saved_model.save(toy, str(path / "1"), signatures=signatures)
    with EmbeddedServer(path) as server:
        yield server


def write_index(folder, space_id="toy-space", text_embeddings=((0, 1), (0.6, 0.8), (1, 0))):
    """Three items. By picture c, b, a are nearest to (1, 0); by text a, b, c to (0, 1)."""
    IndexWriter(space_id).write(
        folder,
        [
            {"id": "a", "text": "first"},
            {"id": "b", "text": 'say "<b>second</b>" & go', "picture": "b.png", "seen": False},
            {"id": "c", "text": "third", "seen": True, "score": "an item's own score"},
        ],
        image_embeddings=np.float32([[0, 1], [0.6, 0.8], [1, 0]]),
        text_embeddings=text_embeddings,
        pictures={"b.png": PICTURE},
    )
    return EmbeddingIndex(folder)


@pytest.fixture
def index(tmp_path):
    return write_index(tmp_path / "index")


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "query.png"
    file.write_bytes(PICTURE)
    return str(file)


def ids(answer):
    return [result.item["id"] for result in answer.results]


def test_a_text_finds_pictures(server, index):
    answer = ask("omega", index, server.address, "toy")
    assert (answer.query, answer.kind, ids(answer)) == ("omega", "text", ["c", "b", "a"])
    assert [result.score for result in answer.results] == pytest.approx([1, 0.6, 0])


def test_a_picture_finds_texts(server, tmp_path, picture):
    index = write_index(tmp_path / "other", text_embeddings=[[1, 0], [0, 1], [0.6, 0.8]])
    answer = ask(picture, index, server.address, "toy", k=2)
    assert (answer.query, answer.kind, ids(answer)) == (picture, "image", ["b", "c"])


def test_a_picture_without_a_suffix_is_a_picture(server, index, tmp_path):
    (tmp_path / "drawing").write_bytes(PICTURE)
    assert ask(str(tmp_path / "drawing"), index, server.address, "toy").kind == "image"


@pytest.mark.parametrize("query", ["x" * 300, "x" * 5000, "a/b" * 900, "nul \0 byte", ".", "/"])
def test_texts_that_are_no_files_name(server, index, query):
    assert ask(query, index, server.address, "toy").kind == "text"


def test_an_export_of_unpaired_data_has_an_index_for_each_kind_of_query(tmp_path, picture):
    write_index(tmp_path / "1" / "assets.extra" / "index", text_embeddings=None)
    texts = tmp_path / "1" / "assets.extra" / "index_of_texts"
    IndexWriter("toy-space").write(texts, [{"id": "t", "text": "apart"}], text_embeddings=[[0.0, 1.0]])
    assert find_index(tmp_path / "1", picture).folder == texts
    assert find_index(tmp_path / "1", "omega").folder == texts.with_name("index")


def test_an_export_of_pairs_has_one_index(tmp_path, picture):
    index = write_index(tmp_path / "1" / "assets.extra" / "index")
    assert find_index(tmp_path / "1", picture).folder == find_index(tmp_path / "1", "omega").folder == index.folder


def test_an_index_without_what_the_query_finds_is_told_at_once(tmp_path, picture):
    index = write_index(tmp_path / "index", text_embeddings=None)
    with pytest.raises(MmkerasError, match="A picture finds texts, of which the index .*index has none. .*--index"):
        ask(picture, index, "127.0.0.1:1", "toy")


@pytest.mark.parametrize("query", ["", " ", "\t\n"])
def test_an_empty_query_reaches_no_server(index, query):
    with pytest.raises(MmkerasError, match="The query is empty"):
        ask(query, index, "127.0.0.1:1", "toy")


@pytest.mark.parametrize("query", ["picture.png", "folder/PICTURE.JPG"])
def test_a_missing_picture_is_no_text(index, query):
    with pytest.raises(MmkerasError, match=f"There is no picture {query}"):
        ask(query, index, "127.0.0.1:1", "toy")


def test_an_unreadable_picture(server, index, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(MmkerasError, match="The picture .*broken.png was refused: .*row 0 is no picture"):
        ask(str(tmp_path / "broken.png"), index, server.address, "toy")


def test_another_space(server, tmp_path):
    index = write_index(tmp_path / "other", space_id="older-space")
    told = r"other was made in the space older-space, model 'toy' \(at 127.0.0.1:\d+\) answers in toy-space: "
    with pytest.raises(MmkerasError, match=told):
        ask("omega", index, server.address, "toy")


def test_another_model(server, index):
    with pytest.raises(MmkerasError, match="NOT_FOUND"):
        ask("omega", index, server.address, "glyphs")


def test_no_server(index):
    with pytest.raises(MmkerasError, match="127.0.0.1:1"):
        ask("omega", index, "127.0.0.1:1", "toy", timeout=5)


def test_json(server, index):
    answer = json.loads(ask("ω", index, server.address, "toy", k=2).to_json())
    assert (answer["query"], answer["kind"]) == ("ω", "text")
    assert answer["results"][0] == {"rank": 1, "score": 1.0, "id": "c", "text": "third", "seen": True}
    assert answer["results"][1]["picture"] == "b.png"


class Page(html.parser.HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.shown = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.shown.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_html_of_a_text(server, index, tmp_path):
    query = '<script>alert("1")</script> {x}'
    ask(query, index, server.address, "toy").write_html(tmp_path / "answer.html")
    page = Page((tmp_path / "answer.html").read_text(encoding="utf-8"))
    assert page.all("script") == []
    assert query in page.shown
    assert len(page.all("li")) == 3
    assert page.shown.count('say "<b>second</b>" & go') == 1
    assert f"toy version 1 · 3 items · space {'toy-space'}" in page.shown
    (image,) = page.all("img")
    assert image["alt"] == 'say "<b>second</b>" & go'
    assert image["src"].startswith("data:image/png;base64,")
    assert {"c", "1.000", "b", "0.600 · not in training"} <= set(page.shown)


def test_html_of_a_picture(server, index, picture, tmp_path):
    ask(picture, index, server.address, "toy", k=1).write_html(tmp_path / "answer.html")
    (query,) = Page((tmp_path / "answer.html").read_text(encoding="utf-8")).all("img")
    assert query["alt"] == picture
    assert query["src"].startswith("data:image/png;base64,")


def test_a_pictures_name_cannot_break_out_of_the_page(tmp_path):
    name = 'b.png" onerror="alert(1)'
    items = [{"id": "b", "text": "x", "picture": name}]
    IndexWriter("s").write(tmp_path / "index", items, image_embeddings=[[1.0]], pictures={name: PICTURE})
    index = EmbeddingIndex(tmp_path / "index")
    Answer("x", "text", [SearchResult(1, 1.0, items[0])], index).write_html(tmp_path / "answer.html")
    (image,) = Page((tmp_path / "answer.html").read_text(encoding="utf-8")).all("img")
    assert set(image) == {"src", "alt"}


def test_html_that_cannot_be_written(index, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MmkerasError, match="answer.html could not be written"):
        Answer("x", "text", [], index).write_html(tmp_path / "file" / "answer.html")


def test_only_items_for_which_an_expression_is_true(server, index):
    assert ids(ask("omega", index, server.address, "toy", where="id <> 'c'")) == ["b", "a"]
    assert ids(ask("omega", index, server.address, "toy", where="seen = 0")) == ["b"]
    with pytest.raises(MmkerasError, match="Expected an expression over id, text, picture, seen, score"):
        ask("omega", index, server.address, "toy", where="colour = 'red'")


def test_an_index_is_searched_by_text_and_by_picture_from_the_command_line(server, index, picture, capsys):
    def found(*arguments):
        options = ["--server", server.address, "--model", "toy", "--json"]
        assert main(["index", "search", str(index.folder), *arguments, *options]) == 0
        return [result["id"] for result in json.loads(capsys.readouterr().out)["results"]]

    assert found("--text", "omega") == ["c", "b", "a"]
    assert found("--text", "omega", "--in", "text") == ["c", "b", "a"]
    assert found("--picture", picture) == ["a", "b", "c"]
    assert found("--picture", picture, "--in", "image", "--where", "id <> 'a'") == ["b", "c"]
    command = ["query", "omega", "--index", str(index.folder), "--server", server.address, "--model", "toy"]
    assert main([*command, "--where", "id <> 'c'", "--json"]) == 0
    assert [result["id"] for result in json.loads(capsys.readouterr().out)["results"]] == ["b", "a"]
