"""CLIP's tokenizer in Hugging Face's library, of the parts of its published file, with rules learnt here."""

import functools
import json

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, processors, trainers

from ..hard_texts import PIECES, names

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
PARTS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
LENGTH = 77


@functools.cache
def clip_reference(size=3000, alphabet=True):
    """A tokenizer of `size` ids; without its alphabet it has no ids for bytes that its texts do not have."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(PARTS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    letters = pre_tokenizers.ByteLevel.alphabet() if alphabet else []
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BEGIN, END],
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    # Each letter at an end too: CLIP has an id for each byte there.
    ends = [chr(code) for code in range(0x21, 0x250)] + ["漢 字 あ ア 각 🐕 ☃ ͏ א ا अ ก Ა 𐐀 \U0010ffff"]
    tokenizer.train_from_iterator([*names(), *PIECES * 3, *(ends if alphabet else [])], trainer)
    begin, end = (tokenizer.token_to_id(token) for token in (BEGIN, END))
    tokenizer.post_processor = processors.RobertaProcessing((END, end), (BEGIN, begin), False, False)
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH, pad_id=end, pad_token=END)
    tokenizer.encode_special_tokens = True  # what a text spells is text
    return tokenizer


def vocabulary_and_merges(reference):
    """What `BytePairTokenizer` takes of it: the pieces in the order of their ids, and the rules."""
    model = json.loads(reference.to_str())["model"]
    merges = [" ".join(rule) if isinstance(rule, list) else rule for rule in model["merges"]]
    return sorted(model["vocab"], key=model["vocab"].get), merges
