"""The table of a model's weights by part, for the report and the model card."""

PARTS = {
    "image_encoder": "Image encoder",
    "text_encoder": "Text encoder",
    "both_encoders": "Shared by both encoders",
    "rest": "The rest of the model",
    "teacher": "Teacher, for training alone",
    "queue": "Queue, for training alone",
}


def size_table(info):
    """Rows of the table of sizes.

    Args:
        info: dict, what `run.json` holds: `parameters` and `parameter_bytes`, dicts by part.

    Returns:
        list of dicts: `name`, `weights`, their number, and `megabytes`, millions of bytes, as a string; the last row is
        the sum. Empty for a run of a version that remembered no bytes.
    """
    counts, sizes = info.get("parameters"), info.get("parameter_bytes")
    if not counts or not sizes:
        return []
    rows = [(PARTS.get(part, part), count, sizes[part]) for part, count in counts.items()]
    rows.append(("Together", sum(counts.values()), sum(sizes.values())))
    return [{"name": name, "weights": count, "megabytes": f"{size / 1e6:,.2f}"} for name, count, size in rows]
