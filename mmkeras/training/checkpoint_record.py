"""What a run began with: the published models, with the digests of their files, noted and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmkeras.encoders.checkpoints import Checkpoint
from mmkeras.encoders.checkpoints.names import find_checkpoint, is_checkpoint, revision_of
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import Preset

if TYPE_CHECKING:
    from mmkeras.training.run import Run


def record_checkpoints(run: Run, preset: Preset) -> list[dict[str, Any]]:
    """Note in `run.json` which published models a preset is built upon, or compare them with those noted there.

    Args:
        run: `Run`.
        preset: its `Preset`.

    Returns:
        list of dicts, one a model: its `name`, the `revision` (the commit, where the Hub's cache tells), its `licence`
        as its card states it, and `files`, from each file's name to its SHA-256.

    Raises:
        MmkerasError: a model whose files are not those that the run began with.
    """
    found = [_described(name) for name in preset.checkpoints if is_checkpoint(name)]  # others are of Keras
    before = {each["name"]: each for each in run.info.get("checkpoints", ())}
    for each in found:
        known = before.get(each["name"], each)["files"]
        if changed := sorted(file for file in {**known, **each["files"]} if known.get(file) != each["files"].get(file)):
            raise MmkerasError(
                f"{each['name']} is not what the run {run.folder} began with: {', '.join(changed)} changed. Restore "
                "it, or start a new run"
            )
    if found != run.info.get("checkpoints", []):
        run.update(checkpoints=found)
    return found


def _described(name):
    folder = find_checkpoint(name)
    checkpoint = Checkpoint(folder)
    return {
        "name": name,
        "revision": revision_of(folder),
        "licence": checkpoint.licence,
        "files": dict(checkpoint.digests),
    }
