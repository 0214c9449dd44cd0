"""Texts of the embedded data set's kind, and strings that tell tokenizers apart."""

import random
import unicodedata


def names(count=600):
    """Real text of the embedded data set's kind: Unicode names, and some with letters beyond ASCII."""
    found = [unicodedata.name(chr(code)) for code in range(0x20, 0x2FFF) if unicodedata.name(chr(code), "")]
    found = random.Random(0).sample(found, count)
    return found + ["Ein Café in Zürich", "naïve façade\twith tab", "two\nlines", "ΑΒΓ αβγ", "日本語 の 文"]


def hard_strings():
    """Strings that tell tokenizers apart."""
    chosen = random.Random(1)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x590, 0x700), (0x900, 0x980), (0x2000, 0x2070)]
    blocks += [
        (0x3040, 0x3100),
        (0x4E00, 0x4F00),
        (0xAC00, 0xAD00),
        (0xFE00, 0xFE10),
        (0xFF00, 0xFFF0),
        (0x1F300, 0x1F650),
    ]
    strings = []
    for _ in range(400):
        used = chosen.sample(blocks, 3) + [(0x41, 0x5B)]
        strings.append("".join(chr(chosen.randrange(*chosen.choice(used))) for _ in range(chosen.randrange(1, 30))))
    controls = [chr(code) for code in [*range(1, 32), 0x7F, *range(0x80, 0xA0), 0x200B, 0x200D, 0x2028, 0xFEFF, 0xFFFD]]
    strings += [f"a{control}B {control}" for control in controls]
    strings += [
        "",
        " ",
        "\t\n\r",
        "\u3000",
        "\u00a0x",
        "x" * 3000,
        "LATIN" * 400,
        "▁",
        "a▁b",
        "▁▁ ",
        "<s> </s> <unk> <pad>",
    ]
    strings += [
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫🇷",
        "e\u0301\u0301\u0301",
        "İIıi",
        "ﬁ ß ſ K",
        "\U0010ffff",
        "ＡＢＣ",
        "A  B   C ",
        "…",
        "\0",
        "a\0b",
    ]
    spaces = " \t\n\r▁\u3000\u00a0\u2028aBé"
    strings += ["".join(chosen.choices(spaces, k=chosen.randrange(1, 9))) for _ in range(200)]
    return strings + names(100)


PIECES = [
    *("the", "dog", "runs", "Two", "dachshunds", "PEOPLE", "naïve", "façade", "Zürich", "can't", "it's"),
    *("they'll", "I'd"),
    *("we've", "O'Neil's", "100%", "3.14", "1,000,000", "$5.99", "#42", "a/b", "e-mail@x.org", "http://x.y/z?q=1&r=2"),
    *("e\u0301", "E\u0301", "n\u0303", "a\u0323\u0307", "\u1e69", "\u00c5", "\u212b", "\u0344", "\u0301"),
    *("日本語", "漢字", "中文字符", "かな", "カナ", "한국어", "각", "\u1100\u1161\u11a8", "\uf900", "\U00020000"),
    *("🐕", "👩‍👩‍👧‍👦", "🇩🇪", "❤️", "👍🏽", "☃", "…", "—", "“x”", "«y»", "¿z?", "·", "№", "™", "½", "²", "Ⅷ", "٣", "१"),
    *("İstanbul", "ISTANBUL", "ıi", "ΣΑΣ", "σς", "ὈΔΥΣΣΕΎΣ", "straße", "STRASSE", "ẞ", "ﬁn", "ﬃ", "ſ", "ŉ"),
    *("ǅ", "K", "Ω"),
    *("\0", "a\0b", "\x01", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u00ad", "\ufffd", "\ufeff", "\u200b", "\u200d"),
    *("\u2028", "\u2029", "\u202e", "\u00a0", "\u1680", "\u3000", "\u2009", "\u180e", "\ue000", "\U0010ffff", "\ufffe"),
    *("[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "<s>", "</s>", "<pad>", "<unk>"),
    *("<|endoftext|>", "<|startoftext|>"),
    *("##s", "##", "</w>", "<bos>", "<eos>", "<mask>", "▁", "▁x", "<0x41>", "''", "'S", "'LL", "ſ't", "\\"),
    *("`", "^_^", "~"),
    *("हिन्दी", "ไทย", "עברית", "العربية", "مُحَمَّد", "Việt", "Việt", "ქართული", "Ქ", "ᏣᎳᎩ", "ꭰ", "𝐀", "𐐀", "𞤀"),
    *("\u1c89", "\ua7cb", "\U00016ea0", "\u088f", "\U0001fae8", "\U00011938", "\u2e52", "\U00010ead", "\u0897"),
]


def hard_texts(count=10_000):
    """Texts in which every kind of character stands beside every other, in the order of their making: `count` str."""
    chosen = random.Random(2)
    letters = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0xE00), (0x1E00, 0x2070)]
    letters += [(0x1000, 0x1E00), (0x2070, 0x3100), (0x3100, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000)]
    texts = [
        *hard_strings(),
        *("x" * length for length in (99, 100, 101, 399, 400, 401)),
        *("é" * length for length in (99, 100, 101)),
        *(
            "漢" * 3000,
            "🐕" * 800,
            "a b " * 800,
            "ab" * 1500,
            "'s" * 700,
            "1" * 2000,
            "!" * 2000,
            " " * 3000,
            "e\u0301" * 101,
        ),
        *PIECES,
    ]
    while len(texts) < count:
        kind = chosen.random()
        if kind < 0.55:
            parts = chosen.choices(PIECES, k=chosen.randrange(1, 9))
        elif kind < 0.8:
            parts = [chr(chosen.randrange(*chosen.choice(letters))) for _ in range(chosen.randrange(1, 12))]
        else:
            parts = chosen.choices(PIECES, k=3) + [chr(chosen.randrange(*chosen.choice(letters))) for _ in range(3)]
            chosen.shuffle(parts)
        texts.append(chosen.choice(("", " ", "  ", " ")).join(parts))
    return texts[:count]
