import numpy as np
import pytest

from mmkeras.encoders import (
    FusionEncoder,
    bert_text_encoder,
    load_bert,
    load_deit,
    resize_position_embedding,
    vit_image_encoder,
)
from mmkeras.errors import MmkerasError
from mmkeras.layers import MaskedLanguageHead

from .published_transformers import bert_shapes, deit_shapes, random_arrays

DEIT = random_arrays(deit_shapes(width=8, depth=2, patch=4, patches=4))
BERT = random_arrays(bert_shapes(width=8, depth=4, vocabulary=12))


def image_encoder(side=8, **settings):
    return vit_image_encoder(side, side, **{"patch": 4, "depth": 2, "token_width": 8, "heads": 2, **settings})


def text_encoder(depth=2, **settings):
    settings = {"vocabulary_size": 12, "sequence_length": 9, "width": 8, "heads": 2, **settings}
    return bert_text_encoder(depth=depth, **settings)


def fusion_encoder(depth=2):
    fusion = FusionEncoder(depth, heads=2)
    fusion.build((None, None, 8), (None, None, 6))
    return fusion


def values(*models):
    return {variable.path: variable.numpy() for model in models for variable in model.weights}


def test_a_pretrained_vit_serves_other_sizes():
    encoder = image_encoder(16)
    load_deit(encoder, DEIT)
    expected = resize_position_embedding(DEIT["pos_embed"][0], (2, 2), (4, 4))
    np.testing.assert_array_equal(encoder.get_layer("patch_embedding").position_embedding, expected)


def test_all_but_the_projection_is_loaded():
    encoder = image_encoder()
    before = values(encoder)
    load_deit(encoder, DEIT)
    kept = {path for path, value in values(encoder).items() if np.array_equal(value, before[path])}
    assert kept == {"projection/kernel", "projection/bias"}


def test_bert_is_shared_out_between_text_fusion_and_head():
    text, fusion, head = text_encoder(), fusion_encoder(), MaskedLanguageHead(12)
    head.build((None, 8))
    before = values(text, fusion, head)
    load_bert(text, BERT, fusion, head)
    after = values(text, fusion, head)
    kept = {path for path in after if np.array_equal(after[path], before[path])}
    assert all("context_" in path or path.startswith("projection/") for path in kept)
    assert len(kept) == 2 * 10 + 2
    layer = "bert.encoder.layer.{}.attention.self.query.weight"
    blocks = [text.get_layer("block_0"), text.get_layer("block_1"), *fusion.blocks]
    for index, block in enumerate(blocks):
        kernel = np.asarray(block.attention.query_dense.kernel).reshape(8, 8)
        np.testing.assert_array_equal(kernel, BERT[layer.format(index)].T)
    np.testing.assert_array_equal(head.bias, BERT["cls.predictions.bias"])
    np.testing.assert_array_equal(head.dense.kernel, BERT["cls.predictions.transform.dense.weight"].T)


def test_the_first_positions_and_types_are_taken():
    text = text_encoder(depth=4, types=1)
    load_bert(text, BERT)
    embedding = text.get_layer("embedding")
    np.testing.assert_array_equal(embedding.position_embedding, BERT["bert.embeddings.position_embeddings.weight"][:10])
    np.testing.assert_array_equal(embedding.type_embedding, BERT["bert.embeddings.token_type_embeddings.weight"][:1])


def test_a_bert_without_prefix_and_heads_is_read_too():
    bare = {name.removeprefix("bert."): value for name, value in BERT.items() if not name.startswith("cls.")}
    bare = {name.replace(".gamma", ".weight").replace(".beta", ".bias"): value for name, value in bare.items()}
    one, other = text_encoder(4), text_encoder(4)
    load_bert(one, BERT)
    load_bert(other, {**bare, "embeddings.position_ids": np.arange(12)[None]})
    for variable, value in values(one).items():
        if not variable.startswith("projection"):
            np.testing.assert_array_equal(values(other)[variable], value)


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_files_hold_the_same(ending, tmp_path):
    file = tmp_path / f"weights{ending}"
    half = {name: value.astype("float16") for name, value in DEIT.items()}
    if ending == ".npz":
        np.savez(file, **half)
    else:
        pytest.importorskip("safetensors.numpy").save_file(half, file)
    encoder = image_encoder()
    load_deit(encoder, str(file))
    bias = encoder.get_layer("block_1").expand.bias
    assert bias.dtype == "float32"
    np.testing.assert_array_equal(bias, half["blocks.1.mlp.fc1.bias"].astype("float32"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.1.norm1.bias": None}, "Expected blocks.1.norm1.bias in the weights"),
        ({"dist_token": np.zeros((1, 1, 8))}, "There is no place for dist_token of the weights"),
        ({"norm.bias": np.zeros(9)}, r"Expected norm.bias of shape \(8,\), as .* Received: \(9,\) in the weights"),
        ({"norm.bias": np.zeros(9), "norm.weight": np.zeros(7)}, "of another shape too: norm"),
        ({"pos_embed": np.zeros((1, 6, 8))}, r"Expected pos_embed of shape \(1, 5, 8\).* Received: \(1, 6, 8\)"),
        ({"pos_embed": np.zeros(3)}, r"Expected pos_embed of shape \(1, 5, 8\).* Received: \(3,\)"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_changed(change, message):
    arrays = {name: value for name, value in {**DEIT, **change}.items() if value is not None}
    encoder = image_encoder()
    before = values(encoder)
    with pytest.raises(MmkerasError, match=message):
        load_deit(encoder, arrays)
    for path, value in values(encoder).items():
        np.testing.assert_array_equal(value, before[path])


def test_another_number_of_blocks_is_told():
    with pytest.raises(MmkerasError, match=r"no place for encoder.layer.3.attention.* and 12 more"):
        load_bert(text_encoder(1), BERT, fusion_encoder(2))
    with pytest.raises(MmkerasError, match=r"Expected encoder.layer.4.attention.output.LayerNorm.bias, .* and 12 more"):
        load_bert(text_encoder(3), BERT, fusion_encoder(2))


def test_the_first_blocks_alone_are_taken_where_that_is_said():
    text = text_encoder(2)
    load_bert(text, BERT, partial=True)
    kernel = np.asarray(text.blocks[1].expand.kernel)
    np.testing.assert_array_equal(kernel, BERT["bert.encoder.layer.1.intermediate.dense.weight"].T)
    with pytest.raises(MmkerasError, match="Expected encoder.layer.4"):
        load_bert(text_encoder(5), BERT, partial=True)


def test_another_vocabulary_and_too_few_positions_are_told():
    with pytest.raises(MmkerasError, match=r"Expected embeddings.word_embeddings.weight of shape \(13, 8\)"):
        load_bert(text_encoder(4, vocabulary_size=13), BERT)
    with pytest.raises(MmkerasError, match=r"Expected embeddings.position_embeddings.weight of shape \(21, 8\)"):
        load_bert(text_encoder(4, sequence_length=20), BERT)


@pytest.mark.slow
def test_weights_of_the_published_shapes_fill_albef():
    """DeiT-base at 224 px into ViT-B/16 at 256, bert-base-uncased into six blocks of text and six of fusion."""
    encoder = vit_image_encoder(256, 256)
    zeros = {name: np.zeros(shape, "float16") for name, shape in deit_shapes(768, 12, 16, 14 * 14).items()}
    load_deit(encoder, zeros)
    assert encoder.get_layer("patch_embedding").position_embedding.shape == (257, 768)
    text, fusion, head = bert_text_encoder(30522, 25, class_id=101), FusionEncoder(), MaskedLanguageHead(30522)
    fusion.build((None, None, 768), (None, None, 768))
    head.build((None, 768))
    load_bert(
        text,
        {name: np.zeros(shape, "float16") for name, shape in bert_shapes(768, 12, 30522, 512).items()},
        fusion,
        head,
    )
    # BERT-base's 109,482,240 without its pooler and 486 of its positions, with six looks at the picture, a projection.
    looks = 6 * (4 * (768 * 768 + 768) + 2 * 768)
    expected = 109_482_240 - (768 * 768 + 768) - 486 * 768 + looks + 768 * 256 + 256
    assert text.count_params() + fusion.count_params() == expected
    last = fusion.blocks[5]
    assert np.abs(last.contract.kernel).max() == 0 < np.abs(last.context_attention.key_dense.kernel).max()
