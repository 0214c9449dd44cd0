"""The table of characters: against the library whose ids it reproduces, and every character of Unicode."""

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from mmkeras.preprocessing.characters import CharacterMap, bert_characters

CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def test_the_table_is_what_its_script_writes(repository):
    spec = importlib.util.spec_from_file_location("unicode_tables", repository / "scripts" / "unicode_tables.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert json.loads(Path(script.FILE).read_text()) == script.tables()


@pytest.mark.parametrize(
    ("lower", "strips", "splits"), [(True, True, True), (False, False, False), (True, False, True)]
)
def test_every_character_becomes_what_it_becomes_there(lower, strips, splits):
    reference, parts = BertNormalizer(True, splits, strips, lower), BertPreTokenizer()
    changed = bert_characters(lower, strips, splits)
    differing = []
    for start in range(0, len(CHARACTERS), 100_000):
        texts = [f"a{one}b" for one in CHARACTERS[start : start + 100_000]]
        received = changed(tf.constant([text.encode() for text in texts])).numpy()
        for text, found in zip(texts, received, strict=True):
            expected = [word for word, _ in parts.pre_tokenize_str(reference.normalize_str(text))]
            if found.decode().split() != expected:
                differing.append(text)
    assert differing == []


def test_a_map_replaces_removes_and_keeps():
    changed = CharacterMap(
        {ord("A"): [ord("a")], ord("-"): [], ord("ß"): [ord("s"), ord("s")], ord("."): [32, ord("."), 32]}
    )
    texts = ["A-Z", "", "--", "Straße", "日本.", "\0A"]
    assert [text.decode() for text in changed(tf.constant(texts)).numpy()] == [
        *("aZ", "", "", "Strasse", "日本 . ", "\0a"),
    ]
    assert changed(tf.constant([b"\xff\xfeA\xc3"])).numpy()[0].decode() == "\ufffd\ufffda\ufffd"
    decoded = changed.decoded(tf.constant(texts))
    np.testing.assert_array_equal(decoded.row_lengths(), [2, 0, 0, 7, 5, 2])


def test_lower_case_is_pythons_in_every_locale(repository):
    """In a process of a Turkish locale TensorFlow's own operation makes a dotless i of I."""
    texts = ["TITLE IİıiŞ", "ΣΑΣ ΟΔΟΣ. Σ", "ΑΣ-Α ΑΣ'Α ΑΣ\u0301 ΣΣ", "STRASSE ẞ Ǆ ᏣᎳᎩ 𐐀", "\0A", "ΑΣ\nΑΣ\n"]
    chosen = random.Random(3)
    texts += ["".join(chosen.choices("ΣΣΣΑσα ʰ'.ªⅧⓐ-\u0301\u0345\u00ad1漢\n", k=12)) for _ in range(2000)]
    program = (
        "import json, sys, tensorflow as tf; from mmkeras.preprocessing.characters import lower_case; "
        "print(json.dumps([text.decode() for text in lower_case(tf.constant(json.loads(sys.argv[1]))).numpy()]))"
    )
    environment = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "PYTHONPATH": str(repository)}
    asked = [sys.executable, "-c", program, json.dumps(texts)]
    ran = subprocess.run(asked, capture_output=True, text=True, env=environment, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [text.lower() for text in texts]
