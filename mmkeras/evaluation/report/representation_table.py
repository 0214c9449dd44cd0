"""The mean average precision of raw representations as people read it, by direction and standardisation."""

from mmkeras.evaluation.measuring.evaluate import REPRESENTATION
from mmkeras.metrics.representation import NORMALIZE

DIRECTIONS = (
    ("text_to_image", "Text to picture"),
    ("image_to_text", "Picture to text"),
    ("text_to_all", "Text to all"),
    ("image_to_all", "Picture to all"),
)


def representation_table(metrics):
    """Rows of the table of raw representations, empty where they were not measured.

    Args:
        metrics: flat dict of `evaluate`.

    Returns:
        list of dicts: `name` of a direction and `maps`, its figures with nothing, the queries and both sides
        standardised, as strings; a form that is not measured is a dash.
    """
    table = []
    for direction, name in DIRECTIONS:
        found = [metrics.get(f"{REPRESENTATION}{direction}_map_{normalize}") for normalize in NORMALIZE]
        if any(value is not None for value in found):
            table.append({"name": name, "maps": ["–" if value is None else f"{value:.3f}" for value in found]})
    return table
