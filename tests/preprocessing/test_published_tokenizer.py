"""Tokenizers from folders as Hugging Face's hub has them, written here."""

import json

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from mmkeras.errors import MmkerasError
from mmkeras.models.preset import Preset
from mmkeras.preprocessing import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from mmkeras.preprocessing.published_tokenizer import published_tokenizer

from ..hard_texts import hard_texts, names
from .clip_reference import END, clip_reference, vocabulary_and_merges
from .test_sentencepiece_tokenizer import GEMMA, SIGLIP, learnt_of
from .test_wordpiece import reference_of, vocabulary_of

BERT_SETTINGS = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "model_max_length": 512,
    "never_split": None,
}
SIGLIP_SETTINGS = {
    "tokenizer_class": "SiglipTokenizer",
    "do_lower_case": True,
    "pad_token": "</s>",
    "sp_model_kwargs": {},
}


def folder_of(root, settings, config=None, **files):
    """A folder of the files of a model, those of a double underscore with a dot."""
    folder = root / "model"
    folder.mkdir(exist_ok=True)
    for name, content in {"tokenizer_config__json": settings, "config__json": config, **files}.items():
        if content is not None:
            content = json.dumps(content) if isinstance(content, dict) else content
            file = folder / name.replace("__", ".")
            file.write_bytes(content) if isinstance(content, bytes) else file.write_text(content, "utf-8")
    return folder


def same(one, other):
    texts = hard_texts(600)
    np.testing.assert_array_equal(one(texts), other(texts))
    return one.get_config() == other.get_config()


@pytest.fixture(scope="module")
def bert():
    return reference_of()


def test_bert_by_either_file(bert, tmp_path):
    lines = "\n".join(vocabulary_of(bert)) + "\n"
    config = {"model_type": "bert", "max_position_embeddings": 64}
    by_lines = published_tokenizer(folder_of(tmp_path, BERT_SETTINGS, config, vocab__txt=lines))
    assert isinstance(by_lines, WordPieceTokenizer) and by_lines.sequence_length == 64
    folder = folder_of(tmp_path, BERT_SETTINGS, config, tokenizer__json=bert.to_str())
    assert same(published_tokenizer(folder), WordPieceTokenizer(lines, 64))
    # Settings go over what tokenizer.json says, as transformers has it.
    cased = published_tokenizer(folder_of(tmp_path, BERT_SETTINGS | {"do_lower_case": False}, config), 16)
    assert not cased.lower and cased.sequence_length == 16
    # Sentence encoders tell a shorter length; the texts a shorter one still.
    folder = folder_of(tmp_path, BERT_SETTINGS, config, sentence_bert_config__json={"max_seq_length": 40})
    assert published_tokenizer(folder).sequence_length == 40
    fitted = published_tokenizer(folder, texts=names(50))
    assert fitted.sequence_length == np.ceil(np.quantile(fitted.count_ids(names(50)), 0.99)) < 40
    assert published_tokenizer(folder, texts=["a"]).sequence_length == 8
    with pytest.raises(MmkerasError, match="up to 40.*sequence_length=41"):
        published_tokenizer(folder, 41)


def test_mpnet_names_its_tokens_otherwise(tmp_path):
    lines = "\n".join(["<s>", "<pad>", "</s>", "[UNK]", "a", "b", "<mask>"])
    settings = {"tokenizer_class": "MPNetTokenizer", "cls_token": {"content": "<s>", "lstrip": False}}
    config = {"model_type": "mpnet", "max_position_embeddings": 514}
    tokenizer = published_tokenizer(folder_of(tmp_path, settings, config, vocab__txt=lines))
    assert tokenizer.sequence_length == 512 and tokenizer.mask_id == 6
    assert tokenizer(["a b z"])[0, :6].numpy().tolist() == [0, 4, 5, 3, 2, 1]


def test_minilm_as_it_is_published(real_data):
    folder = real_data / "all_minilm_l6_v2"
    tokenizer = published_tokenizer(folder)
    assert (tokenizer.sequence_length, tokenizer.vocabulary_size, tokenizer.mask_id) == (512, 30522, 103)
    texts = names(300)
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    preset = Preset.load("dual_encoder_glyphs").settings
    preset["text_preprocessor"] = {"kind": "published", "checkpoint": str(folder), "sequence_length": None}
    fitted = Preset.load(preset).build_text_preprocessor(texts)
    reference.enable_truncation(fitted.sequence_length)
    reference.enable_padding(length=fitted.sequence_length)
    assert 8 <= fitted.sequence_length < 40
    np.testing.assert_array_equal(fitted(texts), [encoding.ids for encoding in reference.encode_batch(texts)])


def test_clip_by_either_files(tmp_path):
    reference = clip_reference()
    vocabulary, merges = vocabulary_and_merges(reference)
    settings = {"tokenizer_class": "CLIPTokenizer", "pad_token": END, "add_prefix_space": False, "model_max_length": 77}
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    rules = "#version: 0.2\n" + "\n".join(merges) + "\n"
    folder = folder_of(tmp_path, settings, {"model_type": "clip"}, vocab__json=ids, merges__txt=rules)
    by_rules = published_tokenizer(folder)
    assert isinstance(by_rules, BytePairTokenizer) and by_rules.sequence_length == 77
    by_json = published_tokenizer(folder_of(tmp_path, settings, tokenizer__json=reference.to_str()))
    assert same(by_rules, by_json)
    described = json.loads(reference.to_str())
    described["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+"
    with pytest.raises(MmkerasError, match=r"tokenizer.json: expected the pattern of words.*\\p{L}\+"):
        published_tokenizer(folder_of(tmp_path, settings, tokenizer__json=described))


def test_siglip(tmp_path):
    model = learnt_of(SIGLIP)
    config = {"model_type": "siglip", "text_config": {"max_position_embeddings": 64}}
    folder = folder_of(tmp_path, SIGLIP_SETTINGS, config, spiece__model=model)
    expected = SentencePieceTokenizer(model, 64, add_eos=True, normalization="canonical", pad_id=1)
    assert same(published_tokenizer(folder), expected)
    with pytest.raises(MmkerasError, match="do_lower_case to be True"):
        published_tokenizer(folder_of(tmp_path, SIGLIP_SETTINGS | {"do_lower_case": False}))
    (folder / "spiece.model").unlink()
    with pytest.raises(MmkerasError, match=r"Expected spiece\.model"):
        published_tokenizer(folder_of(tmp_path, SIGLIP_SETTINGS))


def gemma_json(model):
    """The same model as `tokenizer.json` has it: rules of pairs in the order of the scores of what they make."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(number) for number in range(processor.vocab_size())]
    symbols = GEMMA["user_defined_symbols"]
    ids = {piece: number for number, piece in enumerate(pieces)}
    normal = {piece for piece in pieces[len(symbols) + 4 :] if not piece.startswith("<0x")}
    merges = [
        (ids[piece], piece[:cut], piece[cut:])
        for piece in normal
        for cut in range(1, len(piece))
        if piece[:cut] in normal and piece[cut:] in normal
    ]
    tokenizer = tokenizers.Tokenizer(
        models.BPE(ids, [rule[1:] for rule in sorted(merges)], byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<s>", "<unk>"])
    tokenizer.add_tokens([tokenizers.AddedToken(symbol, normalized=False) for symbol in symbols])
    return json.loads(tokenizer.to_str().replace('"</s>"', '"<eos>"').replace('"<s>"', '"<bos>"'))


def test_siglip2_by_either_file(tmp_path):
    settings = {
        "tokenizer_class": "GemmaTokenizer",
        "model_max_length": 64,
        "padding_side": "right",
        "add_eos_token": True,
    }
    folder = folder_of(tmp_path, settings, {"model_type": "siglip"}, tokenizer__model=learnt_of(GEMMA))
    by_model = published_tokenizer(folder)
    assert isinstance(by_model, SentencePieceTokenizer) and by_model.normalization == "lower"
    assert (by_model.sequence_length, by_model.pad_id, by_model.end_id) == (64, 0, 1)
    (folder / "tokenizer.model").unlink()
    by_json = published_tokenizer(folder_of(tmp_path, settings, tokenizer__json=gemma_json(learnt_of(GEMMA))))
    assert not same(by_model, by_json)  # the models differ in their scores
    with pytest.raises(MmkerasError, match="model_type siglip or siglip2.*'gemma'"):
        published_tokenizer(folder_of(tmp_path, settings, {"model_type": "gemma"}))


@pytest.mark.parametrize(
    ("settings", "files", "message"),
    [
        ({"tokenizer_class": "LlamaTokenizer"}, {}, "another kind.*CLIPTokenizer.*tokenizer_class=LlamaTokenizer"),
        (
            {"tokenizer_class": "BertTokenizer", "auto_map": {"x": "y.py"}},
            {},
            "config.json names code.*auto_map",
        ),
        ({"tokenizer_class": "BertTokenizer", "dropout_words": 0.1}, {}, "tokenizer_config.json.*dropout_words=0.1"),
        ({"tokenizer_class": "BertTokenizer", "padding_side": "left"}, {}, "padding_side to be 'right'.*'left'"),
        ({"tokenizer_class": "BertTokenizer"}, {}, "vocab.txt cannot be read"),
        ({"tokenizer_class": "BertTokenizer"}, {"tokenizer__json": "{"}, "tokenizer.json cannot be read"),
        ({"tokenizer_class": "BertTokenizer"}, {"tokenizer__json": "[]"}, "tokenizer.json: expected an object"),
        ({"tokenizer_class": "CLIPTokenizer"}, {}, "vocab.json and merges.txt"),
        (None, {"tokenizer__pkl": b"x"}, r"Expected a tokenizer in .*tokenizer\.pkl.*not read"),
        (None, {}, "Expected a tokenizer in .*Received: none"),
        (None, {"vocab__txt": "a\nb"}, r"special token unknown='\[UNK\]'"),
    ],
)
def test_what_is_not_known_is_refused_by_name(settings, files, message, tmp_path):
    with pytest.raises(MmkerasError, match=message):
        published_tokenizer(folder_of(tmp_path, settings, **files))


def test_words_that_were_added_are_refused(bert, tmp_path):
    described = json.loads(bert.to_str())
    described["added_tokens"].append({"id": bert.get_vocab_size(), "content": "newword", "special": False})
    with pytest.raises(MmkerasError, match="tokenizer.json has a token that was added as a word.*'newword'"):
        published_tokenizer(folder_of(tmp_path, BERT_SETTINGS, tokenizer__json=described))
    with pytest.raises(MmkerasError, match="Expected the folder of a published model"):
        published_tokenizer(tmp_path / "none")
