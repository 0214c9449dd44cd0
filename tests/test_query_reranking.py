"""The best by embedding in the order of the signature `match`: of a SavedModel of a few lines, and of a `SoftMask`."""

import json

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.console import print_answer
from mmkeras.errors import MmkerasError
from mmkeras.query import ask
from mmkeras.search import EmbeddingIndex, IndexWriter


class Toy(tf.Module):
    """Embeds every text as (1, 0) and every picture as (0, 1); a pair scores the digits both end with, in tenths."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def encode_text(self, text):
        return {"embedding": tf.tile([[1.0, 0.0]], [tf.size(text), 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def encode_image(self, image_bytes):
        return {"embedding": tf.tile([[0.0, 1.0]], [tf.size(image_bytes), 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=name) for name in ("image_bytes", "text")])
    def match(self, image_bytes, text):
        first, second = (tf.strings.to_number(tf.strings.substr(each, -1, 1)) for each in (image_bytes, text))
        return {"score": (first + second) / 10}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="probe")])
    def describe(self, probe):
        return {"space_id": tf.fill(tf.shape(probe), "toy-space")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two models, `toy` and `plain`, which has no `match`."""
    from mmkeras.serving import EmbeddedServer

    toy, path = Toy(), tmp_path_factory.mktemp("models")
    names = ["encode_text", "encode_image", "describe", "match"]
    config = ""
    for model, count in (("toy", 4), ("plain", 3)):
        signatures = {name: getattr(toy, name) for name in names[:count]}
        tf.saved_model.save(toy, str(path / model / "1"), signatures=signatures)
        config += f'config {{ name: "{model}" base_path: "{path / model}" model_platform: "tensorflow" }}\n'
    (path / "models.config").write_text(f"model_config_list {{ {config} }}")
    with EmbeddedServer(config_file=path / "models.config") as server:
        yield server


def write_index(folder, pictures=4, **space):
    """Items a, b, c, d: nearest in that order both to a text and to a picture, and best by `match` in another."""
    cosines = np.float32([0.9, 0.8, 0.7, 0.6])
    sines = np.sqrt(1 - cosines**2)
    contents = {
        f"{name}.png": b"PNG of " + str(digit).encode() for name, digit in zip("abcd", (1, 5, 3, 5), strict=True)
    }
    items = [
        {"id": name, "text": f"text {digit}", **({"picture": f"{name}.png"} if row < pictures else {})}
        for row, (name, digit) in enumerate(zip("abcd", (1, 1, 2, 4), strict=True))
    ]
    IndexWriter("toy-space").write(
        folder / "index",
        items,
        image_embeddings=np.column_stack([cosines, sines]),
        text_embeddings=np.column_stack([sines, cosines]),
        pictures=dict(list(contents.items())[:pictures]),
    )
    (folder / "space.json").write_text(json.dumps({"space_id": "toy-space", "rerank": 16} | space))
    return EmbeddingIndex(folder / "index")


@pytest.fixture
def index(tmp_path):
    return write_index(tmp_path)


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "query.png"
    file.write_bytes(b"PNG 3")
    return str(file)


def found(answer):
    assert [result.rank for result in answer.results] == list(range(1, len(answer.results) + 1))
    return [(r.item["id"], round(r.score, 3), r.match and round(r.match, 3)) for r in answer.results]


def test_a_text_finds_pictures_in_the_order_of_match(server, index):
    answer = ask("query 2", index, server.address, "toy", rerank=3)
    # The equals stay in their order; the fourth stays behind, however good it is.
    assert found(answer) == [("b", 0.8, 0.7), ("c", 0.7, 0.5), ("a", 0.9, 0.3), ("d", 0.6, None)]
    whole = ask("query 2", index, server.address, "toy", rerank=4)
    assert found(whole) == [("b", 0.8, 0.7), ("d", 0.6, 0.7), ("c", 0.7, 0.5), ("a", 0.9, 0.3)]


def test_the_cosine_counts_by_the_temperature_of_the_export(server, tmp_path):
    # Log-odds of a, b, c, d: -.85, .85, 0, .85; cosines over .05: 18, 16, 14, 12, and over .5: 1.8, 1.6, 1.4, 1.2.
    for temperature, order in ((0.05, "abcd"), (0.5, "bdca"), (0.2, "bdac"), (0, "bdca"), ("high", "bdca")):
        folder = tmp_path / str(temperature)
        folder.mkdir()
        index = write_index(folder, rerank_temperature=temperature)
        answer = found(ask("query 2", index, server.address, "toy", k=4, rerank=4))
        assert "".join(name for name, *_ in answer) == order
        assert {name: match for name, _, match in answer} == {"a": 0.3, "b": 0.7, "c": 0.5, "d": 0.7}


def test_certain_matches_are_ordered_too(server, tmp_path):
    index = write_index(tmp_path, rerank_temperature=0.1)
    # A text that ends in 9 gives b and d, of 14 tenths, no less than certainty, c 1.2 and a 1.0.
    assert [name for name, *_ in found(ask("query 9", index, server.address, "toy", k=4, rerank=4))] == list("abcd")


def test_a_picture_finds_texts_in_the_order_of_match(server, index, picture):
    assert found(ask(picture, index, server.address, "toy", k=3, rerank=4)) == [
        ("d", 0.6, 0.7),
        ("c", 0.7, 0.5),
        ("a", 0.9, 0.4),
    ]


def test_fewer_results_than_are_re_ranked(server, index):
    assert [row[0] for row in found(ask("query 2", index, server.address, "toy", k=1, rerank=100))] == ["b"]


def test_the_export_says_how_many_are_re_ranked_by_itself(server, index, tmp_path, picture):
    assert [row[0] for row in found(ask("query 2", index, server.address, "toy"))] == ["b", "d", "c", "a"]
    assert [row[0] for row in found(ask("query 2", index, server.address, "toy", rerank=0))] == ["a", "b", "c", "d"]
    for name, arguments in (("none", {"rerank": 0}), ("damaged", {"rerank": "many"}), ("blind", {"pictures": 3})):
        (tmp_path / name).mkdir()
        other = write_index(tmp_path / name, **arguments)
        assert found(ask("query 2", other, server.address, "toy"))[0] == ("a", 0.9, None)
    assert found(ask(picture, other, server.address, "toy"))[0][0] == "d"  # the texts are all there
    (index.folder.parent / "space.json").unlink()
    assert found(ask("query 2", index, server.address, "toy"))[0] == ("a", 0.9, None)


def test_what_cannot_be_re_ranked_is_told(server, index, tmp_path):
    with pytest.raises(
        MmkerasError, match="Model 'plain' at .* has no signature match to re-rank by. Ask with --rerank"
    ):
        ask("query 2", index, server.address, "plain", rerank=2)
    (tmp_path / "blind").mkdir()
    blind = write_index(tmp_path / "blind", pictures=2)
    assert found(ask("query 2", blind, server.address, "toy", rerank=2))[0][0] == "b"
    with pytest.raises(MmkerasError, match="The index .* keeps no picture of c, and re-ranking .* --rerank 0"):
        ask("query 2", blind, server.address, "toy", rerank=3)
    with pytest.raises(MmkerasError, match="Received: rerank=-1"):
        ask("query 2", index, "127.0.0.1:1", "toy", rerank=-1)


def test_the_answer_shows_both_scores(server, index, tmp_path, capsys):
    answer = ask("query 2", index, server.address, "toy", k=4, rerank=3)
    rows = json.loads(answer.to_json())["results"]
    assert (rows[0]["id"], rows[0]["rank"], rows[0]["match"]) == ("b", 1, pytest.approx(0.7))
    assert rows[0]["score"] == pytest.approx(0.8) and "match" not in rows[3]
    answer.write_html(tmp_path / "answer.html")
    page = (tmp_path / "answer.html").read_text(encoding="utf-8")
    assert ">0.800 · match 0.700<" in page and ">0.600<" in page
    print_answer(answer)
    out = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert out[1] == ["rank", "match", "score", "item", "text"]
    assert out[3][:4] == ["1", "0.700", "0.800", "b"] and out[6][:3] == ["4", "0.600", "d"]
    print_answer(ask("query 2", index, server.address, "toy", rerank=0))
    assert "match" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_served_soft_mask_re_ranks_as_keras_matches(tmp_path):
    from mmkeras.data.paired import PairedData
    from mmkeras.encoders import build_text_encoder
    from mmkeras.evaluation.measuring.reranking_worth import reranking
    from mmkeras.export.golden import by_signature, golden_examples
    from mmkeras.export.item_index import write_item_index
    from mmkeras.export.saved_model import export_saved_model
    from mmkeras.export.space import space_id
    from mmkeras.models import SoftMask
    from mmkeras.parity import check_parity
    from mmkeras.preprocessing.image import ImagePreprocessor
    from mmkeras.preprocessing.text import TextPreprocessor
    from mmkeras.serving import Client, EmbeddedServer

    from .models.small_soft_mask import IMAGES, encoders

    texts = ["a red square", "a blue circle", "a green line", "red and blue", "a line", "a square"]
    tokenizer = TextPreprocessor.train(texts, 40, 4)
    small = {"heads": 2, "embedding_dim": 6, "initializer_range": 0.5, "dropout": 0.0, "batch_norm": False}
    text = build_text_encoder(
        "bert", vocabulary_size=tokenizer.vocabulary_size, sequence_length=4, width=8, depth=1, **small
    )
    fusion = {"depth": 2, "heads": 2, "attention_block": 0, "initializer_range": 0.5}
    model = SoftMask(encoders()[0], text, ImagePreprocessor(8, 8), tokenizer, fusion=fusion, teacher={"queue_size": 12})
    rows = np.arange(6)
    pairs = np.column_stack([rows, rows]).astype(np.int32)
    data = PairedData(name="six", images=IMAGES, texts=texts, image_id=rows, text_image_id=rows, pairs=pairs)
    identity = space_id(model)
    space = {"space_id": identity, **reranking(model, {})}
    export_saved_model(model, tmp_path / "soft" / "1")
    extra = tmp_path / "soft" / "1" / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / "space.json").write_text(json.dumps(space))
    write_item_index(extra / "index", model, identity, data, seen=data)
    index = EmbeddingIndex(extra / "index")
    ids, golden = tokenizer(tf.constant(texts)), by_signature(golden_examples(model, data, identity))
    with EmbeddedServer(tmp_path / "soft") as server:
        with Client(server.address, "soft") as client:
            compared = {row.signature: row for row in check_parity(golden, client.predict)}
        assert compared["match"].passed and compared["match"].rows == 6
        answer = ask(texts[2], index, server.address, "soft", k=6)
    order = np.argsort(-model.matcher(IMAGES, texts)(rows, np.full(6, 2)), kind="stable")
    assert [int(result.item["id"]) for result in answer.results] == order.tolist()
    expected = np.asarray(model.match(IMAGES, tf.repeat(ids[2:3], 6, axis=0)))
    np.testing.assert_allclose([result.match for result in answer.results], expected[order], atol=1e-4)
