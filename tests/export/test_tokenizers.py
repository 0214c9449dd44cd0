"""Models over published tokenizers: saved by Keras and exported, they answer as they did."""

import io

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.export.saved_model import export_saved_model
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import BytePairTokenizer, ImagePreprocessor, SentencePieceTokenizer, WordPieceTokenizer
from mmkeras.training.loading import load_model

from ..hard_texts import hard_texts, names

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def bytes_model():
    """A model as Gemma's, which runs as a resource."""
    file = io.BytesIO()
    options = {"model_type": "bpe", "byte_fallback": True, "pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(names()), model_writer=file, vocab_size=600, minloglevel=2, **options
    )
    return file.getvalue()


TOKENIZERS = {
    "byte pairs": lambda: BytePairTokenizer(
        [BEGIN, END, *"abcdefghilmnrst", "t</w>", "s</w>", "at"], ["a t"], 12, pad="a"
    ),
    "wordpiece": lambda: WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh", "##s", "latin"], 12),
    "sentencepiece": lambda: SentencePieceTokenizer(bytes_model(), 12, add_eos=True, normalization="lower"),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_exported_and_saved(kind, tmp_path):
    tokenizer, texts = TOKENIZERS[kind](), hard_texts(200)
    keras.utils.set_random_seed(0)
    sizes = {"vocabulary_size": tokenizer.vocabulary_size, "sequence_length": tokenizer.sequence_length}
    model = DualEncoder(
        build_image_encoder("conv", height=8, width=8, widths=[4], embedding_dim=6),
        build_text_encoder("transformer", width=8, depth=1, heads=2, embedding_dim=6, **sizes),
        ImagePreprocessor(8, 8),
        tokenizer,
    )
    expected = model.encode_text(texts)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(load_model(tmp_path / "model.keras").encode_text(texts), expected, atol=1e-6)
    export_saved_model(model, tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["encode_text"]
    np.testing.assert_allclose(served(text=tf.constant(texts))["embedding"], expected, atol=1e-5)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:  # as a server runs it
        saved = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "1"))
        signature = saved.signature_def["encode_text"]
        fed = {signature.inputs["text"].name: [text.encode() for text in texts]}
        answered = session.run(signature.outputs["embedding"].name, fed)
    np.testing.assert_allclose(answered, expected, atol=1e-5)
