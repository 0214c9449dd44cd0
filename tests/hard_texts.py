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
