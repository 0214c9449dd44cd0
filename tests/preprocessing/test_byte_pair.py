"""CLIP's ids: against Hugging Face's own library, for hard texts, and the merging against its definition."""

import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import normalizers

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import BytePairTokenizer
from mmkeras.preprocessing.byte_pairs import BytePairMerger

from ..hard_texts import hard_texts
from .clip_reference import BEGIN, END, LENGTH, clip_reference, vocabulary_and_merges
from .tokenizer_checks import check_counts, check_everywhere, check_normalized, check_words


@pytest.fixture(scope="module")
def tokenizer():
    return BytePairTokenizer(*vocabulary_and_merges(clip_reference()), LENGTH)


def composed(texts):
    """Texts in NFC by Python, and how many of them the reference composes otherwise."""
    reference = normalizers.NFC()
    pairs = [(reference.normalize_str(text), unicodedata.normalize("NFC", text)) for text in texts]
    return [python for _, python in pairs], sum(rust != python for rust, python in pairs)


@pytest.mark.parametrize("alphabet", [True, False])
def test_ids_equal_those_of_the_published_tokenizer(alphabet):
    reference = clip_reference(alphabet=alphabet)
    tokenizer = BytePairTokenizer(*vocabulary_and_merges(reference), LENGTH)
    texts, reordered = composed(hard_texts())
    assert reordered <= 5  # marks newer than the reference's Unicode, in another order than Unicode's
    received = tokenizer(hard_texts()).numpy()
    expected = np.array([encoding.ids for encoding in reference.encode_batch(texts)], np.int32)
    differing = np.flatnonzero((received != expected).any(axis=1))
    assert [texts[row] for row in differing] == []
    assert len(np.unique(received)) > 800


def test_a_text_cannot_spell_special_ids(tokenizer):
    ids = tokenizer([f"a {END} b{BEGIN}"])[0].numpy().tolist()
    stop = ids.index(tokenizer.end_id)
    assert stop > 6 and tokenizer.begin_id not in ids[1:]
    assert [word for word, _ in tokenizer.words(ids)] == ["a", "<|", "endoftext", "|>", "b", "<|", "startoftext", "|>"]


def test_the_same_everywhere_and_nothing_is_kept(tokenizer, tmp_path):
    fresh = BytePairTokenizer(tokenizer.vocabulary, tokenizer.merges, LENGTH)
    used = check_everywhere(tokenizer, tmp_path, fresh)
    assert not [name for name in used if "Table" in name or "VarHandle" in name]
    assert {name for name in used if "Text" in name or "UTF8" in name} == {"NormalizeUTF8"}


def test_counts_words_and_normalisation(tokenizer):
    vocabulary = (tokenizer.vocabulary, tokenizer.merges)
    check_counts(BytePairTokenizer(*vocabulary, 24), BytePairTokenizer(*vocabulary, 700, pad="!"))
    check_normalized(tokenizer)
    check_words(tokenizer, hard_texts(300))
    assert tokenizer.normalized(["  It's\u3000100%\nCAFE\u0301 "]) == ["it 's 1 0 0 % café"]
    found = [word for word, _ in tokenizer.words(tokenizer(["Two DACHSHUNDS, they'll be 日本語!"])[0])]
    assert found == ["two", "dachshunds", ",", "they", "'ll", "be", "日本語", "!"]
    cut = BytePairTokenizer(*vocabulary, 5)
    assert [span for _, span in cut.words(cut(["zzzzzzzzqqqqqqqq"])[0])] == [range(1, 4)]


def test_of_a_long_text_the_end_stays(tokenizer):
    begin, end = tokenizer.begin_id, tokenizer.end_id
    short = BytePairTokenizer(tokenizer.vocabulary, tokenizer.merges, 4, pad="!")
    ids = short(["a b c", "", "a"]).numpy()
    sign = tokenizer.vocabulary.index("!")
    assert ids[0, [0, 3]].tolist() == [begin, end] and ids[1].tolist() == [begin, end, sign, sign]
    assert sign not in short.special_ids and short.words(ids[2]) == [("a", range(1, 2))]


def test_rules_as_a_file_is_written(tokenizer):
    text = "#version: 0.2\r\n" + "".join(f"{rule}\r\n" for rule in tokenizer.merges)
    again = BytePairTokenizer("\n".join(tokenizer.vocabulary) + "\n", text, LENGTH)
    assert again.merges == tokenizer.merges and again.vocabulary == tokenizer.vocabulary


def by_definition(words, rules):
    """Byte-pair encoding: the lowest rank's leftmost place, one after the other."""
    rank = {pair: (number, merged) for number, (pair, merged) in enumerate(rules)}
    found = []
    for word in words:
        word = list(word)
        while places := [(*rank[pair], place) for place, pair in enumerate(zip(word, word[1:])) if pair in rank]:  # noqa: B905
            _, merged, place = min(places, key=lambda one: (one[0], one[2]))
            word[place : place + 2] = [merged]
        found.append(word)
    return found


def drawn_rules(chosen, proper):
    """Rules over a few letters; those that are not proper make an id twice, late once."""
    lengths, rules, pairs = dict.fromkeys(range(3), 1), [], set()
    while len(rules) < 25:
        pair = chosen.choice(list(lengths)), chosen.choice(list(lengths))
        length = lengths[pair[0]] + lengths[pair[1]]
        if pair in pairs or length > 8:
            continue
        same = [] if proper else [number for number, own in lengths.items() if own == length and number > 2]
        merged = chosen.choice(same) if same and chosen.random() < 0.4 else len(lengths)
        pairs.add(pair)
        lengths[merged] = length
        rules.append((pair, merged))
    return rules


@pytest.mark.parametrize("proper", [True, False])
def test_merging_is_what_its_definition_says(proper):
    chosen = random.Random(4)
    in_turn = 0
    for _ in range(30):
        rules = drawn_rules(chosen, proper)
        merger = BytePairMerger(*zip(*((*pair, merged) for pair, merged in rules), strict=True), 8)
        in_turn += merger._in_turn
        words = [[chosen.randrange(3) for _ in range(chosen.choice((1, 2, 5, 9, 40, 120)))] for _ in range(12)]
        words += [[0] * 37, [1] * 64 + [2], [0] + [1] * 65, [0, 1] * 30, [2] * 20 + [0] + [2] * 33, [1]]
        number = np.repeat(np.arange(len(words)), [len(word) for word in words]).astype(np.int32)
        ids, kept = merger(tf.constant(np.concatenate(words), tf.int32), tf.constant(number))
        received = [ids.numpy()[kept.numpy() == word].tolist() for word in range(len(words))]
        assert received == by_definition(words, rules)
    assert (in_turn > 20) != proper and (in_turn == 0) == proper


def test_merging_takes_few_steps():
    """A word of any length, as clients may send one: the steps follow from the rules, not from its length."""
    merger = BytePairMerger([0, 2, 3], [0, 2, 3], [2, 3, 4], 8)
    steps = []
    step = merger._step
    merger._step = lambda *given: steps.append(1) or step(*given)
    ids, _ = merger(tf.zeros(8000, tf.int32), tf.zeros(8000, tf.int32))
    assert ids.numpy().tolist() == [4] * 1000 and len(steps) <= 5
    empty, _ = merger(tf.zeros(0, tf.int32), tf.zeros(0, tf.int32))
    assert empty.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": ["a", "b", "ab", END]}, r"special token begin='<\|startoftext\|>'.*4 pieces"),
        ({"vocabulary": [BEGIN, END, "a", "a"]}, "3: 'a' again"),
        ({"merges": ["a b c"]}, "two pieces. Received: 0: 'a b c'"),
        ({"merges": ["a b", "ab a"]}, "Received: 1: 'ab a', without 'aba'"),
        ({"pad": "<pad>"}, "pad='<pad>'"),
        ({"sequence_length": 2}, "3 or more.*sequence_length=2"),
    ],
)
def test_what_does_not_fit_is_told(changes, message):
    arguments = {"vocabulary": [BEGIN, END, "a", "b", "ab"], "merges": ["a b"], "sequence_length": 8, **changes}
    with pytest.raises(MmkerasError, match=message):
        BytePairTokenizer(**arguments)
