"""`classify_image` and `classify_text`: what a model with categories serves beside its embeddings."""

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from mmkeras.data.sources import load_source
from mmkeras.encoders.image import build_image_encoder
from mmkeras.encoders.text import build_text_encoder
from mmkeras.export import export_saved_model, space_id
from mmkeras.export.example_signatures import serialized_examples
from mmkeras.export.golden import GOLDEN_ROWS, golden_examples, write_warm_up
from mmkeras.export.saved_model import written_signatures
from mmkeras.models.adversarial_backprop import AdversarialBackprop
from mmkeras.parity import check_parity, golden_of, saved_model_predict
from mmkeras.serving import Client, EmbeddedServer, ServingError, protos
from mmkeras.serving.server.servable import Servable
from mmkeras.serving.server.warm_up import replay_warm_up
from tests.models.conftest import png

LABELS = ("arrow", "Straße", "雪")  # in the head's order, which is not the alphabet's
TEXTS = ["greek small letter omega", "snowman", ""]
D = 16  # of the small preset


@pytest.fixture(scope="module")
def model(tiny_model):
    parts = ("image_encoder", "text_encoder", "image_preprocessor", "text_preprocessor")
    keras.utils.set_random_seed(0)
    return AdversarialBackprop(*(getattr(tiny_model, part) for part in parts), label_names=LABELS)


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    """The model with its golden examples and warm-up requests, as a release lays them down."""
    folder = tmp_path_factory.mktemp("savedmodels") / "labelled" / "1"
    export_saved_model(model, folder)
    extra = folder / "assets.extra"
    extra.mkdir()
    data = load_source("glyphs", "dev", model.image_preprocessor, limit=60)
    golden = golden_examples(model, data, space_id(model))
    np.savez(extra / "golden.npz", **golden)
    write_warm_up(extra / "tf_serving_warmup_requests", "labelled", golden)
    return folder


@pytest.fixture(scope="module")
def signatures(version):
    return tf.saved_model.load(str(version)).signatures


@pytest.fixture(scope="module")
def server(version):
    with EmbeddedServer(version.parent) as server:
        yield server


@pytest.fixture(scope="module")
def servable(version):
    servable = Servable(version, "labelled", 1)
    yield servable
    servable.close()


def picture(value=40):
    pixels = np.full((20, 30, 3), 255, np.uint8)
    pixels[5:12, 3:18] = value
    return png(pixels)


def test_the_signatures_in_words(version):
    words = written_signatures(version)
    outputs = {"probabilities": "float32 (N, 3)", "labels": "string (N, 3)"}
    assert words["classify_text"] == {"inputs": {"text": "string (N,)"}, "outputs": outputs}
    assert words["classify_image"] == {"inputs": {"image_bytes": "string (N,)"}, "outputs": outputs}
    outputs = {"classes": "string (N, 3)", "scores": "float32 (N, 3)"}
    for name in ("classify_text_examples", "classify_image_examples"):
        assert words[name] == {"inputs": {"inputs": "string (N,)"}, "outputs": outputs}
    others = {"describe", "encode_image", "encode_image_tolerant", "encode_pixels", "encode_text", "match"}
    own = {"classify_image", "classify_text", "classify_image_examples", "classify_text_examples"}
    assert set(words) == others | own


def test_a_model_without_categories_has_no_such_signature(tiny_version):
    assert not [name for name in written_signatures(tiny_version) if name.startswith("classify")]


def test_a_server_answers_what_keras_answers(server, model):
    with Client(server.address, "labelled", timeout=60) as client:
        by_text = client.predict("classify_text", {"text": TEXTS})
        by_image = client.predict("classify_image", {"image_bytes": [picture(), picture(200)]})
    np.testing.assert_allclose(by_text["probabilities"], model.classify_text(TEXTS), atol=1e-5)
    np.testing.assert_allclose(by_image["probabilities"], model.classify_image([picture(), picture(200)]), atol=1e-5)
    assert np.ptp(by_text["probabilities"], axis=0).max() > 0.1  # or the same for every text
    for answer, rows in ((by_text, 3), (by_image, 2)):
        assert answer["labels"].tolist() == [[name.encode() for name in LABELS]] * rows
        np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, atol=1e-5)


def test_examples_give_what_strings_give(server):
    """As PredictionService.Classify reads them: `inputs` in; `classes` and `scores`, row by row, out."""
    pictures = [picture(), picture(200)]
    with Client(server.address, "labelled", timeout=60) as client:
        for name, feature, rows in (("classify_text", "text", TEXTS), ("classify_image", "image_bytes", pictures)):
            rows = [row.encode() if isinstance(row, str) else row for row in rows]
            answer = client.predict(name, {feature: rows})
            found = client.predict(f"{name}_examples", {"inputs": serialized_examples(feature, rows)})
            assert set(found) == {"classes", "scores"}
            assert found["classes"].tolist() == answer["labels"].tolist()
            np.testing.assert_allclose(found["scores"], answer["probabilities"], atol=1e-6)


def test_classify_of_the_server_names_every_category_with_its_score(server, model):
    method = "/tensorflow.serving.PredictionService/Classify"
    with grpc.insecure_channel(server.address) as channel:
        for signature, feature, rows, expected in (
            ("classify_text_examples", "text", [b"snowman", b""], model.classify_text(["snowman", ""])),
            ("classify_image_examples", "image_bytes", [picture()], model.classify_image([picture()])),
        ):
            request = protos.ClassificationRequest(
                model_spec=protos.ModelSpec(name="labelled", signature_name=signature)
            )
            for row in rows:
                example = request.input.example_list.examples.add()
                example.features.feature[feature].bytes_list.value.append(row)
            answer = channel.unary_unary(method)(request.SerializeToString(), timeout=60)
            result = protos.ClassificationResponse.FromString(answer).result
            found = [[(each.label, each.score) for each in row.classes] for row in result.classifications]
            assert [[label for label, _ in row] for row in found] == [list(LABELS)] * len(rows)
            np.testing.assert_allclose([[score for _, score in row] for row in found], expected, atol=1e-5)
        request.input.example_list.examples[0].features.Clear()
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method)(request.SerializeToString(), timeout=60)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "image_bytes" in caught.value.details()


def test_context_before_an_example_changes_nothing(signatures):
    """`example_list_with_context` reaches the graph so: the context's bytes, then the example's."""
    context = tf.train.Example(features=tf.train.Features(feature={"user": tf.train.Feature()})).SerializeToString()
    alone = serialized_examples("text", [b"snowman"])
    joined = tf.constant([context + alone[0]])
    expected = signatures["classify_text_examples"](inputs=tf.constant(alone))["scores"]
    found = signatures["classify_text_examples"](inputs=joined)["scores"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rows", [[b"", b"a\x00"], np.float32([[0, 0], [1, 0]])], ids=["bytes", "floats"])
def test_serialized_examples_keep_zeros_at_an_end(rows):
    expected = tf.constant(rows)
    spec = tf.io.FixedLenFeature(expected.shape[1:], expected.dtype)
    parsed = tf.io.parse_example(serialized_examples("value", rows), {"value": spec})["value"]
    assert parsed.numpy().tolist() == expected.numpy().tolist()


def test_an_empty_batch_gives_empty_outputs(signatures):
    strings = tf.zeros([0], tf.string)
    for answer in (signatures["classify_text"](text=strings), signatures["classify_image"](image_bytes=strings)):
        assert answer["probabilities"].shape == (0, 3)
        assert answer["labels"].shape == (0, 3) and answer["labels"].dtype == tf.string


def test_strings_of_a_wrong_rank_are_refused_by_the_graph(servable):
    for lift in (lambda value: np.array(value, object), lambda value: np.array([[value]], object)):
        for signature, name, value in (("classify_text", "text", b"a"), ("classify_image", "image_bytes", picture())):
            with pytest.raises(ServingError) as caught:
                servable.run(signature, {name: lift(value)}, ["probabilities", "labels"])
            assert caught.value.code == "INVALID_ARGUMENT"


def test_a_picture_that_cannot_be_decoded_names_its_row(server):
    with Client(server.address, "labelled", timeout=60) as client, pytest.raises(ServingError) as caught:
        client.predict("classify_image", {"image_bytes": [picture(), b"no picture"]})
    assert caught.value.code == "INVALID_ARGUMENT" and "row 1" in caught.value.details.lower()


def test_the_graph_holds_what_serves_and_nothing_of_the_adversary(version, model):
    graph = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert not [node.name for node in nodes if "gradient" in f"{node.name} {node.op}".lower()]
    assert not [node.name for node in nodes if node.op == "IdentityN"]  # what a custom gradient leaves behind
    assert not [node.name for node in nodes if node.attr["_gradient_op_type"].s]
    saved = tf.train.list_variables(str(version / "variables" / "variables"))
    # Every weight that serves, once, and no other.
    values = [tuple(shape) for name, shape in saved if name.endswith("VARIABLE_VALUE")]
    parts = (model.image_encoder, model.text_encoder, model.category_head)
    assert sorted(values) == sorted(tuple(weight.shape) for part in parts for weight in part.weights)


def test_the_head_is_no_part_of_the_space(model, tiny_model):
    assert space_id(model) == space_id(tiny_model)


def test_parity_covers_probabilities_and_labels(version, server):
    golden = golden_of(version)
    assert golden["classify_text"]["outputs"]["labels"].shape == (GOLDEN_ROWS, 3)
    with Client(server.address, "labelled", timeout=60) as client:
        for predict in (saved_model_predict(version), client.predict):
            found = {(c.signature, c.output): c.passed for c in check_parity(golden, predict)}
            assert all(found.values()) and len(found) == 15
            assert {("classify_image", "probabilities"), ("classify_text", "labels")} <= set(found)


def test_parity_sees_exchanged_labels_and_probabilities(version, signatures):
    golden = golden_of(version)["classify_text"]
    text = tf.constant(golden["inputs"]["text"])
    answer = {name: value.numpy() for name, value in signatures["classify_text"](text=text).items()}
    for output in ("labels", "probabilities"):
        exchanged = {**answer, output: answer[output][:, [1, 0, 2]]}
        found = check_parity({"classify_text": golden}, lambda signature, inputs, given=exchanged: given)
        assert {c.output for c in found if not c.passed} == {output}


def test_the_server_answers_every_warm_up_request(servable):
    assert replay_warm_up(servable) == 2 * 10


def test_a_model_over_feature_vectors_classifies_features(tiny_model, tmp_path):
    keras.utils.set_random_seed(0)
    text = tiny_model.text_preprocessor
    model = AdversarialBackprop(
        build_image_encoder("features", features=6, hidden=[8], embedding_dim=D),
        build_text_encoder("text_cnn", vocabulary_size=text.vocabulary_size, width=8, filters=4, embedding_dim=D),
        text_preprocessor=text,
        label_names=LABELS,
        multi_label=True,
    )
    export_saved_model(model, tmp_path / "1")
    words = written_signatures(tmp_path / "1")
    classify = ["classify_features", "classify_features_examples", "classify_text", "classify_text_examples"]
    assert sorted(words) == [*classify, "describe", "encode_features", "encode_text"]
    assert words["classify_features"]["inputs"] == {"image": "float32 (N, 6)"}
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    features = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    answer = loaded.signatures["classify_features"](image=tf.constant(features))
    np.testing.assert_allclose(answer["probabilities"], model.classify_image(features), atol=1e-5)
    assert answer["labels"].numpy().tolist() == [[name.encode() for name in LABELS]] * 3
    inputs = serialized_examples("image", features)
    by_example = loaded.signatures["classify_features_examples"](inputs=tf.constant(inputs))
    np.testing.assert_array_equal(by_example["scores"], answer["probabilities"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Key: image"):
        short = serialized_examples("image", features[:, 1:])
        loaded.signatures["classify_features_examples"](inputs=tf.constant(short))
    assert loaded.signatures["classify_features"](image=tf.zeros([0, 6]))["probabilities"].shape == (0, 3)
