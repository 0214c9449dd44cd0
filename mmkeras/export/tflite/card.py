"""The card of a text encoder for devices."""

_CARD = """# Text encoder for devices

{system}, trained with mmkeras {mmkeras}: a text becomes {embedding_dim} numbers of unit length in the space
`{space_id}`. Compare them with embeddings of that space only. {sequence_length} ids a text, of {vocabulary_size}; what
is longer is cut.

| file | bytes | least cosine with Keras | mean | median ms a text |
|---|---|---|---|---|
{rows}

The cosines are over {texts} texts: of the data's dev split, and edge cases (empty, 10,000 characters, combining marks,
emoji, zero bytes). The times are of one thread of the machine that wrote this, on TensorFlow's interpreter; those of
`ids` leave the tokenizer out.
{index}
## Operators

{operators}
{left_out}"""

_INDEX = """
## Index

`index/` holds {items:,} items. Their embeddings are {precision}, {bytes:,} bytes; as float32 they would be
{float32_bytes:,} ({share:.3f}). Of the {k} pictures nearest to a text by float32, a search in it finds {recall:.4f},
mean over {queries} texts of the data's dev split.
"""


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
    index = described.get("index", "")
    if index:
        index = _INDEX.format(**index, share=index["bytes"] / index["float32_bytes"])
    left_out = [f"- `{name}`: {reason}" for name, reason in described["left_out"].items()]
    return _CARD.format(
        **{key: described[key] for key in ("system", "mmkeras", "embedding_dim", "space_id", "texts")},
        sequence_length=described["sequence_length"],
        vocabulary_size=described["vocabulary_size"],
        rows="\n".join(rows),
        index=index,
        operators="\n".join(operators),
        left_out="\n".join(["", "## Left out", "", *left_out, ""]) if left_out else "",
    )
