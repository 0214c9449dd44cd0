"""Pictures found by a text without a server: what an exact search finds, in one space only."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.on_device import DeviceSearch, TextEncoder
from mmkeras.search import EmbeddingIndex, IndexWriter

pytestmark = pytest.mark.usefixtures("litert")


@pytest.fixture(scope="module")
def search(tiny_device):
    return DeviceSearch(tiny_device / "text_encoder_dynamic_ids.tflite", tiny_device / "index")


def test_it_finds_the_pictures_nearest_to_the_text(search):
    assert search.index.precision == "int8"
    text = "greek small letter omega"
    found = search(text, k=4)
    (expected,) = search.index.search(search.encoder.encode_text([text]), "image", 4)
    assert found == expected and [result.rank for result in found] == [1, 2, 3, 4]


def test_the_index_holds_the_models_pictures(search, tiny_version):
    exact = EmbeddingIndex(tiny_version / "assets.extra" / "index")
    queries = search.encoder.encode_text(["digit one", "upwards arrow"])
    for ours, theirs in zip(search.index.search(queries, "image"), exact.search(queries, "image"), strict=True):
        np.testing.assert_allclose([r.score for r in ours], [r.score for r in theirs], atol=0.02)


def test_an_index_of_another_space_is_refused(search, tmp_path):
    IndexWriter("b" * 64).write(tmp_path / "index", [{"id": "1", "text": ""}], image_embeddings=np.eye(16)[:1])
    with pytest.raises(MmkerasError, match="cannot be compared"):
        DeviceSearch(search.encoder, tmp_path / "index")


def test_an_index_without_pictures_is_told(search, tmp_path):
    writer = IndexWriter(search.encoder.space_id, "float16")
    writer.write(tmp_path / "index", [{"id": "1", "text": "x"}], text_embeddings=np.eye(16)[:1])
    with pytest.raises(MmkerasError, match="Expected a modality of this index, text"):
        DeviceSearch(search.encoder, tmp_path / "index")("x")


def test_an_encoder_is_taken_as_it_is(search, tiny_device):
    assert DeviceSearch(search.encoder, search.index).encoder is search.encoder
    assert isinstance(search.encoder, TextEncoder) and search.encoder.precision == "dynamic"


def test_a_picture_of_the_index_finds_itself(search, tiny_device, tiny_version):
    both = DeviceSearch(search.encoder, search.index, tiny_device / "image_encoder_dynamic_pixels.tflite")
    exported = EmbeddingIndex(tiny_version / "assets.extra" / "index")  # which keeps the pictures
    items = [item for item in exported.items if item.get("picture")][:10]
    best = [both.by_picture(exported.picture(item), k=1)[0] for item in items]
    assert min(result.score for result in best) > 0.99
    texts = {result.item["id"]: result.item["text"] for result in best}
    assert sum(item["id"] in texts for item in items) >= 9  # two glyphs may look alike
    assert both("digit one", k=2) == search("digit one", k=2)


def test_only_items_for_which_an_expression_is_true(search):
    found = search("digit one", k=1000, where="text LIKE '%digit%'")
    assert 0 < len(found) < search.index.count
    assert all("digit" in result.item["text"].lower() for result in found)


def test_what_a_search_lacks_is_told(search, tiny_device):
    pixels = tiny_device / "image_encoder_dynamic_pixels.tflite"
    with pytest.raises(MmkerasError, match="Received: image_encoder=None"):
        search.by_picture("photo.jpg")
    with pytest.raises(MmkerasError, match="Received: encoder=None"):
        DeviceSearch(None, search.index, pixels)("a dog")
    with pytest.raises(MmkerasError, match="Received: neither"):
        DeviceSearch(None, search.index)
