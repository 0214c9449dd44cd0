import h5py
import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder, ImageTextModel

from .conftest import PRESET, TEXTS, png


def test_a_file_holds_each_weight_once_under_the_encoders(model, tmp_path):
    """Keras looks for layers in every attribute: one more that hands out an encoder would rename what files hold."""
    model.save_weights(tmp_path / "model.weights.h5")
    places = []
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda name, node: places.append((name, node.size)) if hasattr(node, "size") else None)
    assert {name.split("/")[0] for name, _ in places} <= {"image_encoder", "text_encoder", "layers", "vars"}
    assert sum(size for _, size in places) == model.count_params()


def test_encode_image_takes_arrays_paths_bytes_and_lists_of_arrays(model, images, tmp_path):
    paths = [tmp_path / f"{row}.png" for row in range(6)]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(png(image))
    expected = model.encode_image(images)
    assert (expected.shape, expected.dtype) == ((6, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), np.ones(6), rtol=1e-5)
    for given in (paths, [str(path) for path in paths], [png(image) for image in images], list(images)):
        np.testing.assert_allclose(model.encode_image(given), expected, atol=1e-6)
    np.testing.assert_allclose(model.encode_image(images.astype("float32")), expected, atol=1e-6)


def test_encoding_is_the_same_in_batches_of_any_size(model, images):
    for size in (1, 4, 6):
        np.testing.assert_allclose(model.encode_image(images, batch_size=size), model.encode_image(images), atol=1e-6)
        np.testing.assert_allclose(model.encode_text(TEXTS, batch_size=size), model.encode_text(TEXTS), atol=1e-6)


def test_encoding_sees_what_training_changed(model, images):
    before = model.encode_image(images)
    model.image_encoder.get_layer("projection").kernel.assign_add(np.eye(32, 8))
    assert np.abs(model.encode_image(images) - before).max() > 1e-2


def test_encode_image_is_the_encoder_at_inference(model, images):
    np.testing.assert_allclose(
        model.encode_image(images), model.image_encoder(images, training=False)["embedding"], atol=1e-6
    )


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 4, 8, 3), (2, 8, 8, 1)])
def test_an_array_of_another_shape_is_refused(model, shape):
    with pytest.raises(MmkerasError, match=r"Expected an array \(N, 8, 8, 3\).*Received: images of shape"):
        model.encode_image(np.zeros(shape, "uint8"))


def test_encode_text_takes_a_list_of_strings(model):
    embeddings = model.encode_text(TEXTS)
    assert (embeddings.shape, embeddings.dtype) == ((6, 8), np.float32)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), np.ones(6), rtol=1e-5)
    np.testing.assert_array_equal(model.encode_text(np.array(TEXTS)), embeddings)
    np.testing.assert_array_equal(model.encode_text(iter(TEXTS)), embeddings)


def test_nothing_gives_no_rows(model):
    assert model.encode_text([]).shape == (0, 8)
    assert model.encode_image([]).shape == (0, 8)
    assert model.encode_text([]).dtype == model.encode_image([]).dtype == np.float32


@pytest.mark.parametrize("text", ["", "   ", "\N{SNOWMAN}", "a" * 10_000])
def test_odd_texts_are_finite(model, text):
    assert np.isfinite(model.encode_text([text])).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [("a", "texts='a'; write"), (b"a", "write"), ([1], "text 0 = 1"), (["a", None], "text 1 = None")],
)
def test_what_is_no_list_of_strings_is_refused(model, texts, message):
    with pytest.raises(MmkerasError, match=f"Expected a list of strings. Received: .*{message}"):
        model.encode_text(texts)


def test_match_is_the_cosine_of_each_pair(model, batch, images):
    scores = np.asarray(model.match(images, batch["token_ids"]))
    expected = np.sum(model.encode_image(images) * model.encode_text(TEXTS), axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_encoders_of_different_length_are_refused():
    image = build_image_encoder("conv", height=8, width=8, widths=[4], embedding_dim=8)
    text = build_text_encoder("gru", vocabulary_size=9, width=4, units=4, embedding_dim=7)
    with pytest.raises(MmkerasError, match="Received: image_encoder 8, text_encoder 7"):
        ImageTextModel(image, text)


def test_a_model_without_preprocessing_says_so():
    image = build_image_encoder("features", features=5, hidden=[4], embedding_dim=3)
    text = build_text_encoder("gru", vocabulary_size=9, width=4, units=4, embedding_dim=3)
    model = DualEncoder(image, text)
    assert model.encode_image(np.ones((2, 5), "float32")).shape == (2, 3)
    with pytest.raises(MmkerasError, match="Expected an array of feature vectors"):
        model.encode_image(["a.png"])
    with pytest.raises(MmkerasError, match="Expected token_ids: this model has no text_preprocessor"):
        model.encode_text(["a"])


def test_from_preset_learns_the_tokenizer_or_takes_one(text_preprocessor):
    learnt = DualEncoder.from_preset(PRESET, texts=TEXTS)
    assert learnt.text_preprocessor.model == text_preprocessor.model
    taken = DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor)
    assert taken.text_preprocessor is text_preprocessor
    assert taken.text_encoder.get_layer("embedding").input_dim == text_preprocessor.vocabulary_size


def test_from_preset_wants_one_of_the_two(text_preprocessor):
    for arguments in ({}, {"texts": TEXTS, "text_preprocessor": text_preprocessor}):
        with pytest.raises(MmkerasError, match="Expected either texts"):
            DualEncoder.from_preset(PRESET, **arguments)


def test_from_preset_refuses_a_preset_of_another_class():
    with pytest.raises(MmkerasError, match="is of SoftMask. Received: DualEncoder.from_preset"):
        DualEncoder.from_preset({**PRESET, "model": "SoftMask"}, texts=TEXTS)


def test_from_preset_without_settings_of_a_tokenizer_cannot_learn_one():
    preset = {key: value for key, value in PRESET.items() if key != "text_preprocessor"}
    with pytest.raises(MmkerasError, match="lacks text_preprocessor"):
        DualEncoder.from_preset(preset, texts=TEXTS)


def test_from_preset_hands_on_arguments_and_lays_others_over_them(text_preprocessor):
    preset = {**PRESET, "arguments": {"temperature": {"initial": 0.5, "lowest": 0.1}}}
    assert DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor).temperature.initial == 0.5
    own = {"temperature": {"initial": 0.2}, "name": "mine"}
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor, **own)
    assert (model.temperature.initial, model.temperature.lowest, model.name) == (0.2, 0.1, "mine")


def test_from_preset_builds_the_encoder_for_the_pictures_that_the_preprocessor_makes(text_preprocessor):
    preset = {**PRESET, "image_preprocessor": {"height": 6, "width": 10, "channels": 1}}
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor)
    assert model.image_encoder.input.shape == (None, 6, 10, 1)
    assert model.encode_image([np.zeros((20, 30, 3), "uint8")]).shape == (1, 8)


def test_from_preset_over_features(text_preprocessor):
    preset = {key: value for key, value in PRESET.items() if key != "image_preprocessor"}
    preset["image_encoder"] = {"kind": "features", "features": 5, "hidden": [4], "embedding_dim": 8}
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor)
    assert model.encode_image(np.ones((2, 5), "float32")).shape == (2, 8)
