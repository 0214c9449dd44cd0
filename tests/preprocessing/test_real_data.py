"""Preprocessing on real pictures and captions, against Pillow and SentencePiece's own library."""

import io
import json
import zipfile

import numpy as np
import sentencepiece
from PIL import Image

from mmkeras.preprocessing import ImagePreprocessor, TextPreprocessor


def test_flickr8k_pictures_decode_as_pillow_decodes_them(real_data):
    with zipfile.ZipFile(real_data / "flickr8k" / "images_160.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[:10]
        pictures = [archive.read(name) for name in names]
    expected = np.stack([np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")) for picture in pictures])
    received = ImagePreprocessor(160, 160).load(pictures)
    assert len(received) == 10
    assert np.abs(received.astype(int) - expected).max() <= 2


def test_flickr8k_captions_tokenise_as_sentencepiece_does(real_data):
    lines = (real_data / "flickr8k" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    captions = [caption for line in lines[:400] for caption in json.loads(line)["captions"]]
    learnt, held_out = captions[:1000], captions[1000:]
    preprocessor = TextPreprocessor.train(learnt, vocabulary_size=1000, sequence_length=64)
    reference = sentencepiece.SentencePieceProcessor(model_proto=preprocessor.model)
    received = preprocessor(held_out).numpy()
    assert len(received) >= 500
    for row, caption in zip(received, held_out, strict=True):
        assert row[row > 0].tolist() == reference.encode(caption)[:64]
