"""The card of encoders for devices."""

_CARD = """# Encoders for devices

{system}, trained with mmkeras {mmkeras}: {what} {embedding_dim} numbers of unit length in the space
`{space_id}`. Compare them with embeddings of that space only.{takes}

| file | bytes | least cosine with Keras | mean | median ms |
|---|---|---|---|---|
{rows}

The cosines are over {examples}. The times are of one {one} and one thread of the machine that wrote this, on
TensorFlow's interpreter; {apart}.
{far}{index}
## Operators

{operators}
{left_out}"""

_INDEX = """
## Index

`index/` holds {items:,} items. Their embeddings are {precision}, {bytes:,} bytes; as float32 they would be
{float32_bytes:,} ({share:.3f}). Of the {k} pictures nearest to a {query} by float32, a search in it finds {recall:.4f},
mean over {queries} {query}s of the data's dev split.
"""
_TAKES = {
    "text": " {sequence_length} ids a text, of {vocabulary_size}; what is longer is cut.",
    "image": " Pictures become {height} x {width} pixels, aspect `{aspect}`, method `{method}`, antialias {antialias}.",
}
_EXAMPLES = {
    "text": "{} texts: of the data's dev split, and edge cases (empty, 10,000 characters, combining marks, emoji, zero "
    "bytes)",
    "image": "{} pictures: of the data's dev split, and edge cases (lying on its side, grey, transparent, a GIF)",
}
_APART = {
    "text": "those of `ids` leave the tokenizer out",
    "image": "those of `pixels` leave decoding and resizing out",
}


def far_from_keras(described):
    """Return a sentence on each file whose answers are further from Keras than its precision brings about.

    Args:
        described: dict, what `export_tflite` describes in `device.json`.
    """
    return [
        f"Do not take {name}: its least cosine with Keras is {file['cosine']['least']:.3f}, below "
        f"{file['least_cosine_expected']}. Another precision is closer"
        for name, file in described["files"].items()
        if file["cosine"]["least"] < file["least_cosine_expected"]
    ]


def device_card(described):
    """Return the card, Markdown, of what `export_tflite` describes in `device.json`."""
    rows, operators = [], []
    for name, file in described["files"].items():
        cosine = file["cosine"]
        rows.append(
            f"| `{name}` | {file['bytes']:,} | {cosine['least']:.5f} | {cosine['mean']:.5f} | "
            f"{file['median_milliseconds']:.3f} |"
        )
        counted = ", ".join(f"{kind} {count}" for kind, count in file["operators"].items())
        operators.append(f"- `{name}`: {counted}")
    encoders = described["encoders"]
    index = described.get("index", "")
    if index:
        query = "text" if "text" in encoders else "picture"
        index = _INDEX.format(**index, share=index["bytes"] / index["float32_bytes"], query=query)
    left_out = [f"- `{name}`: {reason}" for name, reason in described["left_out"].items()]
    settings = {"text": encoders.get("text"), "image": encoders.get("image", {}).get("image_preprocessor")}
    names = ["picture" if name == "image" else name for name in encoders]
    return _CARD.format(
        **{key: described[key] for key in ("system", "mmkeras", "embedding_dim", "space_id")},
        what=f"a {' or a '.join(names)} becomes",
        takes="".join(_TAKES[name].format(**settings[name]) for name in encoders),
        examples=", and ".join(_EXAMPLES[name].format(count) for name, count in described["examples"].items()),
        one=" or ".join(names),
        apart=", ".join(_APART[name] for name in encoders),
        rows="\n".join(rows),
        far="".join(f"\n{sentence}.\n" for sentence in far_from_keras(described)),
        index=index,
        operators="\n".join(operators),
        left_out="\n".join(["", "## Left out", "", *left_out, ""]) if left_out else "",
    )
