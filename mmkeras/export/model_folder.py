"""The folder of a served model, which holds its versions."""

from pathlib import Path

from mmkeras.errors import MmkerasError


def check_model_folder(to):
    """Return the path of a model's folder, `savedmodels/NAME`, which need not be there yet.

    Raises:
        MmkerasError: a path without a name, or a version's own folder.
    """
    to = Path(to)
    if not to.name or to.name.isdigit():
        raise MmkerasError(f"Expected the folder of a model, such as savedmodels/glyphs. Received: {to}")
    return to
