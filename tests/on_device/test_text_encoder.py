"""The text encoder without TensorFlow: the ids of the SavedModel, embeddings within the bound of each precision."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.on_device import ModelFile, TextEncoder
from mmkeras.on_device.model_file import packed
from mmkeras.preprocessing import WordPieceTokenizer

from ..hard_texts import hard_strings, names

LEAST_COSINE = {"float32": 0.9999, "float16": 0.9999, "dynamic": 0.999, "int8": 0.995}
DYNAMIC = "text_encoder_dynamic_ids.tflite"

pytestmark = pytest.mark.usefixtures("litert")


@pytest.fixture(scope="module")
def encoder(tiny_device):
    return TextEncoder(tiny_device / DYNAMIC)


@pytest.fixture(scope="module")
def served(tiny_version):
    """The `encode_text` of the SavedModel of the same run."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    loaded = tf.saved_model.load(str(tiny_version))
    return lambda texts: loaded.signatures["encode_text"](text=tf.constant(texts))["embedding"].numpy()


@pytest.fixture(scope="module")
def texts():
    """1,000 real texts and more than 500 that tell tokenizers apart."""
    found = names(1000) + hard_strings()
    assert len(found) > 1500
    return found


def least_cosine(expected, received):
    np.testing.assert_allclose(np.linalg.norm(received, axis=1), 1, atol=1e-5)
    return np.sum(expected * received, axis=1).min()


def test_ids_are_those_of_the_model(encoder, tiny_model, texts):
    ids = encoder.token_ids(texts)
    assert ids.dtype == np.int32 and ids.shape == (len(texts), 12)
    np.testing.assert_array_equal(ids, tiny_model.text_preprocessor(texts))


@pytest.mark.parametrize("precision", LEAST_COSINE)
def test_embeddings_are_within_the_bound(precision, tiny_model, served, texts, tmp_path):
    from mmkeras.export.tflite import convert

    preprocessor = tiny_model.text_preprocessor
    network = convert(tiny_model.text_encoder, preprocessor, "ids", precision, names(300))
    settings = {"kind": "ids", "precision": precision, "space_id": "s", "embedding_dim": 16, "sequence_length": 12}
    file = tmp_path / "encoder.tflite"
    file.write_bytes(packed(network, settings, preprocessor.model))
    assert least_cosine(served(texts), TextEncoder(file).encode_text(texts)) >= LEAST_COSINE[precision]


def test_a_process_with_it_has_no_tensorflow(tiny_device):
    program = f"""
import sys
from mmkeras.on_device import DeviceSearch
search = DeviceSearch({str(tiny_device / DYNAMIC)!r}, {str(tiny_device / "index")!r})
print(len(search("greek small letter omega", k=3)))
print(sorted({{"tensorflow", "keras", "tensorflow_text", "scipy", "sklearn", "PIL"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "3\n[]\n", done.stderr


def test_what_is_no_ordinary_text_has_a_defined_result(encoder, served):
    blank = encoder.encode_text([""])[0]
    np.testing.assert_allclose(blank, served([""])[0], atol=0.05)
    for text in (" ", "\t\r\n", "\u2581"):
        np.testing.assert_array_equal(encoder.encode_text([text])[0], blank)
    for text in ("x" * 10_000, "word " * 2_000, "\x00\x01\x1f\x7f\x9f", "a\u200b\u2028b"):
        np.testing.assert_array_less(0.999, np.sum(encoder.encode_text([text]) * served([text])))
    assert encoder.encode_text([]).shape == (0, 16) and encoder.token_ids([]).shape == (0, 12)


def test_a_lone_surrogate_counts_as_the_replacement_character(encoder):
    ids = encoder.token_ids(["a\ud800b", "a\ufffdb", "\udc00", "\ufffd", "\ud83d\ude00", "😀"])
    np.testing.assert_array_equal(ids[0::2], ids[1::2])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a dog", r"write \[texts\]"),
        (b"a dog", r"write \[texts\]"),
        (["a", None], "text 1 = None"),
        ([3], "text 0 = 3"),
        ([b"\xff\xfe"], "Expected texts in UTF-8"),
    ],
)
def test_what_is_no_text_is_told(encoder, texts, message):
    with pytest.raises(MmkerasError, match=message):
        encoder.encode_text(texts)


def test_ids_of_ones_own_are_taken(encoder, tiny_model):
    texts = names(5)
    ids = encoder.token_ids(texts)
    np.testing.assert_array_equal(encoder.encode_ids(ids.tolist()), encoder.encode_text(texts))
    assert encoder.encode_ids(np.zeros((0, 12), int)).shape == (0, 16) and encoder.tokenizer_kind == "TextPreprocessor"
    for given, message in (
        (ids[:, :5], r"integers of shape \(N, 12\). Received: int32 of shape \(\d+, 5\)"),
        (ids / 2, "Received: float64"),
        (ids - 1, "Received: -1 to"),
        (ids + encoder.vocabulary_size, f"Expected ids of 0 to {tiny_model.text_preprocessor.vocabulary_size - 1}"),
    ):
        with pytest.raises(MmkerasError, match=message):
            encoder.encode_ids(given)


def test_a_file_may_carry_another_tokenizer(encoder, tiny_device, tmp_path):
    model = ModelFile(tiny_device / DYNAMIC)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "digit", "one", "##s"]
    tokenizer = WordPieceTokenizer(vocabulary, encoder.sequence_length)
    config = {"kind": "WordPieceTokenizer", "config": tokenizer.get_config()}
    file = tmp_path / "other.tflite"
    file.write_bytes(packed(model.network, model.settings, tokenizer_config=config))
    assert ModelFile(file).tokenizer_config == config and ModelFile(file).tokenizer is None
    other, texts = TextEncoder(file), ["Digit ones", "", "what"]
    ids = tokenizer(texts).numpy()
    np.testing.assert_array_equal(other.token_ids(texts), ids)
    np.testing.assert_array_equal(other.encode_text(texts), encoder.encode_ids(ids))
    assert other.tokenizer_kind == "WordPieceTokenizer"
    file.write_bytes(packed(model.network, model.settings))
    with pytest.raises(MmkerasError, match="holds no tokenizer"):
        TextEncoder(file)


def test_bytes_are_read_as_utf8(encoder):
    np.testing.assert_array_equal(encoder.encode_text(["Ω é".encode()]), encoder.encode_text(["Ω é"]))


def test_several_threads_get_their_own_answers(encoder):
    texts = names(40)
    expected = encoder.encode_text(texts)
    received = {}

    def ask(part):
        received[part] = encoder.encode_text(texts[part::4])

    threads = [threading.Thread(target=ask, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part in range(4):
        np.testing.assert_array_equal(received[part], expected[part::4])


def test_files_of_other_kinds_are_refused(tiny_device, tmp_path):
    with pytest.raises(MmkerasError, match=r"Expected the file \*_ids.tflite"):
        TextEncoder(tiny_device / "text_encoder_dynamic_text.tflite")
    settings = {"kind": "ids", "precision": "float32", "space_id": "s", "embedding_dim": 16, "sequence_length": 12}
    nonsense = tmp_path / "nonsense.tflite"
    nonsense.write_bytes(packed(b"no network", settings, (tiny_device / "tokenizer.model").read_bytes()))
    with pytest.raises(MmkerasError, match="does not run on this LiteRT"):
        TextEncoder(nonsense)
    with pytest.raises(MmkerasError, match="one thread or more"):
        TextEncoder(tiny_device / DYNAMIC, threads=0)


def test_a_file_that_is_cut_off_is_told(tiny_device, tmp_path):
    content = (tiny_device / DYNAMIC).read_bytes()
    cut = tmp_path / "cut.tflite"
    for length in (10, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(MmkerasError, match="no whole encoder"):
            TextEncoder(cut)


def test_without_litert_it_says_what_to_install(tiny_device, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ImportError, match=r"needs LiteRT: pip install 'mmkeras\[on-device\]'$"):
        TextEncoder(tiny_device / DYNAMIC)
