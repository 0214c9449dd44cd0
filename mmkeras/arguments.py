"""What commands are given: found and checked without TensorFlow, so that a mistake is told at once."""

from pathlib import Path

from mmkeras.errors import MmkerasError


def finished_run(folder):
    """Return the `Run` of a folder, of which there must be a trained model.

    Raises:
        MmkerasError: the folder is no run, or training has not finished.
    """
    from mmkeras.training.run import Run

    run = Run(folder)
    run.check_finished()
    return run


def check_names(recipe):
    """Look for what a `Recipe` names: its preset, its data and the run that it begins with.

    Raises:
        MmkerasError: one of them is not there.
    """
    from mmkeras.data.sources import check_source

    recipe.load_preset()
    check_source(recipe.data)
    if recipe.initial_weights:
        finished_run(recipe.initial_weights)


def only_model(folder):
    """Return the name of the one served model in a folder such as `savedmodels`.

    Raises:
        MmkerasError: there is none, or more than one.
    """
    folders = Path(folder).glob("*")
    models = sorted(path.name for path in folders if path.is_dir() and not path.name.startswith("."))
    if len(models) != 1:
        found = ", ".join(models) or "none"
        raise MmkerasError(f"Which model? Name it with --model; there are in {folder}/: {found}")
    return models[0]
