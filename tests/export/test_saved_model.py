"""The SavedModel as a server and as TensorFlow Hub meet it: named, batch-safe signatures that refuse what is wrong."""

import io

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from mmkeras.data import PairedData
from mmkeras.encoders import Encoder
from mmkeras.encoders.image import build_image_encoder
from mmkeras.encoders.text import build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.export import export_saved_model, space_id
from mmkeras.export.golden import by_signature, golden_examples
from mmkeras.export.saved_model import written_signatures
from mmkeras.models import AdversarialBackprop, DualEncoder
from mmkeras.parity import check_parity, saved_model_predict
from mmkeras.serving import Client, ServingError, protos

D = 16  # of the small preset


def png(size=(20, 30), value=90):
    buffer = io.BytesIO()
    pixels = np.full((*size, 3), 255, np.uint8)
    pixels[5:12, 3:18] = value
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def client(tiny_server):
    with Client(tiny_server.address, "tiny", timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def signatures(tiny_version):
    """The signatures as TensorFlow Hub loads them, which works with Keras 3 where its KerasLayer does not."""
    hub = pytest.importorskip("tensorflow_hub")
    return hub.load(str(tiny_version)).signatures


def test_the_signatures_are_the_documented_ones(client):
    text, image_bytes = {"dtype": "object", "shape": [None]}, {"dtype": "object", "shape": [None]}
    embedding = {"embedding": {"dtype": "float32", "shape": [None, D]}}
    found = client.metadata()["signatures"]
    strings = found["encode_text"]["inputs"]["text"]["dtype"]
    text["dtype"] = image_bytes["dtype"] = strings
    assert found == {
        "encode_text": {"inputs": {"text": text}, "outputs": embedding},
        "serving_default": {"inputs": {"text": text}, "outputs": embedding},
        "encode_image": {"inputs": {"image_bytes": image_bytes}, "outputs": embedding},
        "encode_image_tolerant": {
            "inputs": {"image_bytes": image_bytes},
            "outputs": {**embedding, "valid": {"dtype": "bool", "shape": [None]}},
        },
        "encode_pixels": {
            "inputs": {"image": {"dtype": "uint8", "shape": [None, 32, 32, 3]}},
            "outputs": embedding,
        },
        "match": {
            "inputs": {"image_bytes": image_bytes, "text": text},
            "outputs": {"score": {"dtype": "float32", "shape": [None]}},
        },
        "describe": {
            "inputs": {"probe": {"dtype": strings, "shape": [None]}},
            "outputs": {"space_id": {"dtype": strings, "shape": [None]}},
        },
    }


def test_the_signatures_in_words(tiny_version):
    words = written_signatures(tiny_version)
    expected = ["describe", "encode_image", "encode_image_tolerant", "encode_pixels", "encode_text", "match"]
    assert sorted(words) == expected
    assert words["encode_image_tolerant"]["outputs"] == {"embedding": f"float32 (N, {D})", "valid": "bool (N,)"}
    assert words["match"] == {
        "inputs": {"image_bytes": "string (N,)", "text": "string (N,)"},
        "outputs": {"score": "float32 (N,)"},
    }
    assert words["encode_pixels"]["inputs"] == {"image": "uint8 (N, 32, 32, 3)"}


def test_a_server_answers_what_keras_answers(client, tiny_model):
    texts, picture = ["greek small letter omega", "snowman", "ß ∑ 雪"], png()
    np.testing.assert_allclose(client.encode_text(texts), tiny_model.encode_text(texts), atol=1e-5)
    np.testing.assert_allclose(client.encode_image([picture]), tiny_model.encode_image([picture]), atol=1e-5)
    pixels = tiny_model.image_preprocessor.load([picture])
    np.testing.assert_allclose(client.encode_pixels(pixels), client.encode_image([picture]), atol=1e-6)
    cosine = tiny_model.encode_text(texts) @ tiny_model.encode_image([picture])[0]
    np.testing.assert_allclose(client.match([picture] * 3, texts), cosine, atol=1e-5)
    assert client.space_id() == space_id(tiny_model)
    default = client.predict("", {"text": texts})["embedding"]
    np.testing.assert_array_equal(default, client.encode_text(texts))


def test_rows_do_not_depend_on_their_batch(client):
    texts = ["a", "greek small letter omega with tonos and a good deal more of it", "", "snowman"]
    together = client.encode_text(texts)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(client.encode_text([text])[0], together[row], atol=1e-5)


def test_an_empty_text_is_an_embedding_like_any_other(client):
    embedding = client.encode_text(["", "   "])
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(embedding[0], embedding[1])


def test_an_empty_batch_gives_empty_outputs(signatures):
    """Here, and not through the client, which sends none."""
    strings = tf.zeros([0], tf.string)
    assert signatures["encode_text"](text=strings)["embedding"].shape == (0, D)
    assert signatures["encode_image"](image_bytes=strings)["embedding"].shape == (0, D)
    assert signatures["encode_pixels"](image=tf.zeros([0, 32, 32, 3], tf.uint8))["embedding"].shape == (0, D)
    assert signatures["match"](image_bytes=strings, text=strings)["score"].shape == (0,)
    assert signatures["describe"](probe=strings)["space_id"].shape == (0,)


def test_strings_of_a_wrong_rank_are_refused_on_tensorflow_serving_too(tiny_version):
    """Without the guard of EmbeddedServer: the graph itself must refuse them, or the tokenizer ends the process."""
    from mmkeras.serving.server.servable import Servable

    servable = Servable(tiny_version, "tiny", 1)
    try:
        picture = np.array(png(), object)
        for name, inputs, output in (
            ("encode_text", {"text": np.array(b"a", object)}, "embedding"),
            ("encode_image", {"image_bytes": picture}, "embedding"),
            ("describe", {"probe": np.array(b"a", object)}, "space_id"),
            ("match", {"image_bytes": picture, "text": np.array(b"a", object)}, "score"),
        ):
            for lift in (lambda value: value, lambda value: value.reshape(1, 1)):
                with pytest.raises(ServingError) as caught:
                    servable.run(name, {key: lift(value) for key, value in inputs.items()}, [output])
                assert caught.value.code == "INVALID_ARGUMENT", name
        answer = servable.run("encode_text", {"text": np.array([b"a"], object)}, ["embedding"])
        assert answer[0].shape == (1, D)
    finally:
        servable.close()


@pytest.mark.parametrize("texts", ["a", [["a"]]], ids=["scalar", "2-D"])
def test_a_server_refuses_strings_of_a_wrong_rank_and_lives(client, texts):
    with pytest.raises(ServingError) as caught:
        client.predict("encode_text", {"text": np.array(texts, dtype=object)})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert client.encode_text(["a"]).shape == (1, D)


def test_a_picture_that_cannot_be_decoded_fails_its_batch_and_names_its_row(client):
    good = png()
    for bad in (b"", b"no picture at all", np.random.default_rng(0).bytes(500), good[: len(good) // 2], good[:20]):
        with pytest.raises(ServingError) as caught:
            client.encode_image([good, bad, good])
        assert caught.value.code == "INVALID_ARGUMENT"
        assert "1" in caught.value.details and "row" in caught.value.details.lower(), caught.value.details
    assert client.encode_image([good]).shape == (1, D)


def test_match_refuses_unequal_numbers(client):
    for images, texts in (([png()] * 2, ["a"]), ([png()], ["a", "b"]), ([png()] * 3, ["a", "b"])):
        with pytest.raises(ServingError) as caught:
            client.predict("match", {"image_bytes": np.array(images, object), "text": np.array(texts, object)})
        assert caught.value.code == "INVALID_ARGUMENT"
        assert "match takes pairs" in caught.value.details


def test_pixels_of_another_size_or_type_are_refused(client):
    for shape, dtype in (((1, 16, 32, 3), np.uint8), ((32, 32, 3), np.uint8), ((1, 32, 32, 3), np.float32)):
        with pytest.raises(ServingError) as caught:
            client.predict("encode_pixels", {"image": np.zeros(shape, dtype)})
        assert caught.value.code == "INVALID_ARGUMENT"


def test_a_request_that_is_cut_off_does_not_end_the_server(tiny_server, client):
    with grpc.insecure_channel(tiny_server.address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError):
            call(protos.PredictRequest(model_spec=protos.ModelSpec(name="tiny")).SerializeToString()[:-2], timeout=60)
    assert client.encode_text(["a"]).shape == (1, D)


def test_the_graph_holds_no_xla_no_python_and_no_reversed_gradient(tiny_version):
    saved_model = saved_model_pb2.SavedModel.FromString((tiny_version / "saved_model.pb").read_bytes())
    graph = saved_model.meta_graphs[0].graph_def
    functions = graph.library.function
    assert len(functions) > 5
    assert [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b] == []
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    assert not {node.op for node in nodes} & {"PyFunc", "EagerPyFunc", "PyFuncStateless", "XlaLaunch"}
    assert not [node.name for node in nodes if "gradient" in f"{node.name} {node.op}".lower()]
    assert not [node.name for node in nodes if node.attr["_gradient_op_type"].s.startswith(b"CustomGradient")]


def test_a_model_over_feature_vectors_has_its_own_signature(tiny_model, tmp_path):
    keras.utils.set_random_seed(0)
    text = tiny_model.text_preprocessor
    model = DualEncoder(
        build_image_encoder("features", features=6, hidden=[8], embedding_dim=D),
        build_text_encoder("text_cnn", vocabulary_size=text.vocabulary_size, width=8, filters=4, embedding_dim=D),
        text_preprocessor=text,
    )
    export_saved_model(model, tmp_path / "1")
    assert sorted(written_signatures(tmp_path / "1")) == ["describe", "encode_features", "encode_text"]
    assert written_signatures(tmp_path / "1")["encode_features"]["inputs"] == {"image": "float32 (N, 6)"}
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    features = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    answer = loaded.signatures["encode_features"](image=tf.constant(features))["embedding"].numpy()
    np.testing.assert_allclose(answer, model.encode_image(features), atol=1e-6)
    assert set(loaded.signatures) >= {"serving_default"}


class OverFeatures(AdversarialBackprop):
    """Takes features of texts as well; the plainest form of it."""

    def encode_text(self, texts, batch_size=256):
        return self.text_encoder(texts)["embedding"].numpy()


def test_a_model_over_features_of_both_has_signatures_of_its_own(tmp_path):
    keras.utils.set_random_seed(0)
    model = OverFeatures(
        build_image_encoder("features", features=6, hidden=[8], embedding_dim=D),
        build_text_encoder("features", features=4, hidden=[8], embedding_dim=D),
        label_names=("a", "b"),
    )
    export_saved_model(model, tmp_path / "1")
    words = written_signatures(tmp_path / "1")
    classify = [f"classify_{kind}{form}" for kind in ("features", "text_features") for form in ("", "_examples")]
    assert sorted(words) == sorted([*classify, "describe", "encode_features", "encode_text_features"])
    assert words["encode_text_features"] == {
        "inputs": {"text": "float32 (N, 4)"},
        "outputs": {"embedding": f"float32 (N, {D})"},
    }
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    random = np.random.default_rng(0)
    texts = random.normal(size=(20, 4)).astype(np.float32)
    answer = loaded.signatures["serving_default"](text=tf.constant(texts))["embedding"].numpy()
    np.testing.assert_allclose(answer, model.encode_text(texts), atol=1e-6)
    assert loaded.signatures["encode_text_features"](text=tf.zeros([0, 4]))["embedding"].shape == (0, D)
    data = PairedData(
        name="features/dev",
        images=random.normal(size=(20, 6)).astype(np.float32),
        texts=texts,
        image_id=np.arange(20),
        text_image_id=np.arange(20),
        pairs=np.column_stack([np.arange(20), np.arange(20)]),
    )
    golden = golden_examples(model, data, space_id(model))
    compared = check_parity(by_signature(golden), saved_model_predict(tmp_path / "1"))
    assert {row.signature for row in compared} == set(words)
    assert [row.signature for row in compared if not row.passed] == []
    np.testing.assert_array_equal(golden["encode_text_features/inputs/text"], texts[:16])


class Halved(keras.layers.Layer):
    """Reads its values from a lookup table, which is no variable."""

    def build(self, input_shape):
        values = tf.lookup.KeyValueTensorInitializer(tf.range(256), tf.range(256) // 2)
        self.table = tf.lookup.StaticHashTable(values, 0)

    def call(self, inputs):
        return tf.cast(self.table[tf.cast(inputs, tf.int32)], tf.float32)


def test_a_lookup_table_inside_of_an_encoder_is_exported_and_no_weight_is_twice(tiny_model, tmp_path):
    features = keras.Input((6,), name="image")
    embedding = keras.layers.UnitNormalization()(keras.layers.Dense(D)(Halved()(features)))
    image_encoder = Encoder(features, {"embedding": embedding})
    model = DualEncoder(image_encoder, tiny_model.text_encoder, text_preprocessor=tiny_model.text_preprocessor)
    export_saved_model(model, tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    values = np.float32([[0, 3, 5, 90, 255, 16]])
    answer = loaded.signatures["encode_features"](image=tf.constant(values))["embedding"].numpy()
    np.testing.assert_allclose(answer, model.encode_image(values), atol=1e-6)
    saved = tf.train.list_variables(str(tmp_path / "1" / "variables" / "variables"))
    shapes = [tuple(shape) for name, shape in saved if name.endswith("VARIABLE_VALUE")]
    assert sorted(shapes) == sorted(tuple(w.shape) for e in (image_encoder, model.text_encoder) for w in e.weights)


def test_a_model_without_a_tokenizer_is_refused(tiny_model, tmp_path):
    model = DualEncoder(tiny_model.image_encoder, tiny_model.text_encoder, tiny_model.image_preprocessor)
    with pytest.raises(MmkerasError, match="Expected a model with a text_preprocessor"):
        export_saved_model(model, tmp_path / "1")
    assert not (tmp_path / "1").exists()
