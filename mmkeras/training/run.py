"""`Run`: the folder that holds one experiment, from its settings to its trained model."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import mmkeras
from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.models.model_file import load_model_file
from mmkeras.printable import mmkeras_command
from mmkeras.training.recipe import Recipe

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.data.picture_loader import PictureLoader
    from mmkeras.data.sources import Source
    from mmkeras.models.image_text_model import ImageTextModel

RUN_FORMAT = 2  # of the folder's layout; raised when an older reader could misread it
LIBRARIES = ("tensorflow", "keras", "tensorflow-text", "numpy")


class Run:
    """A run folder.

    It holds `run.json`, `log.csv`, `tensorboard/`, `checkpoint.npz`, `model.keras`, `metrics.json` and `report.html`.

    `run.json` holds the format, the recipe's name and settings, the folder in which the run was started, so that its
    relative paths are found from elsewhere, the versions of the libraries, the devices that train, digests of the
    training data and of the whole source, whether the run has finished, `before_training`, what the model retrieved of
    the dev split before its first step, and for comparisons `training_seconds`, the wall time of its epochs, and in the
    end the number of `parameters` by part, and their `parameter_bytes`.

    Args:
        folder: an existing run folder; see `Run.create` for a new one.

    Raises:
        MmkerasError: no run folder, or one of another format.

    Example:
        >>> run = Run("runs/glyphs_dual_encoder")
        >>> run.load_model().encode_text(["GREEK SMALL LETTER OMEGA"])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            self.info: dict[str, Any] = json.loads(self._info_file.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MmkerasError(f"{folder} is no run folder: it has no run.json") from error
        except ValueError as error:  # no JSON, no UTF-8
            raise MmkerasError(f"{self._info_file} is damaged: {error}") from error
        if not isinstance(self.info, dict):
            raise MmkerasError(f"{self._info_file} is damaged: expected an object. Received: {self.info!r}")
        if self.info.get("format") != RUN_FORMAT:
            raise MmkerasError(
                f"{folder} has format {self.info.get('format')}, written by mmkeras {self.info.get('mmkeras')}; "
                f"mmkeras {mmkeras.__version__} reads format {RUN_FORMAT}. Use that version, or train again"
            )

    @classmethod
    def create(cls, folder: str | os.PathLike[str], recipe_name: str, recipe: Recipe) -> Self:
        """Make a new run folder.

        Raises:
            MmkerasError: `folder` holds something already.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MmkerasError(f"{folder} is not empty. Resume it with --resume, or choose another folder with --out")
        info = {
            "format": RUN_FORMAT,
            "mmkeras": mmkeras.__version__,
            "recipe": recipe_name,
            "settings": dataclasses.asdict(recipe),
            "started_in": str(Path.cwd()),
            "versions": {
                "python": platform.python_version(),
                **{library: metadata.version(library) for library in LIBRARIES},
            },
            "data_digest": None,
            "finished": False,
            "training_seconds": 0.0,
        }
        _write_json(folder / "run.json", info)
        run = cls(folder)
        run.recipe = recipe
        return run

    def discard(self) -> None:
        """Remove the folder where it holds nothing but the settings, so that its name can be used again."""
        if list(self.folder.iterdir()) == [self._info_file]:
            self._info_file.unlink()
            self.folder.rmdir()

    @property
    def _info_file(self) -> Path:
        return self.folder / "run.json"

    @functools.cached_property
    def recipe(self) -> Recipe:
        """The `Recipe` with which the run was started; relative paths are found from where it was, too."""
        return Recipe.from_settings(_located(self.info["settings"], self.info.get("started_in", "")))

    @property
    def finished(self) -> bool:
        """Whether training ended and `model.keras` was written."""
        return self.info["finished"]

    def file(self, name: str) -> Path:
        """Return the path of a file of this run."""
        return self.folder / name

    def update(self, **entries: Any) -> None:
        """Write entries of `run.json`."""
        self.info.update(entries)
        _write_json(self._info_file, self.info)

    def check_data(self, data: PairedData) -> None:
        """Remember the training data's digest, or compare it with the one remembered.

        Raises:
            MmkerasError: the data is not what the run began with.
        """
        from mmkeras.data.stored_pictures import StoredPictures

        digest = hashlib.sha256()
        labels = [label for label in (data.label, data.text_label) if label is not None]
        names = list(data.label_names) if data.text_features else [*data.texts, *data.label_names]
        features = [data.texts] if data.text_features else []
        words = "\n".join(names).encode()
        pictures = data.pictures.digest.encode() if isinstance(data.pictures, StoredPictures) else data.images
        for part in (pictures, *features, data.image_id, data.text_image_id, data.pairs, words, *labels):
            digest.update(part)  # type: ignore[arg-type]
        if self.info["data_digest"] is None:
            self.update(data_digest=digest.hexdigest(), source_digest=self._source_digest)
        elif self.info["data_digest"] != digest.hexdigest():
            raise MmkerasError(
                f"The data {data.name} changed since the run {self.folder} began; resuming would not end with the "
                "weights of an uninterrupted run. Restore the data, or start a new run"
            )

    def check_devices(self, described: dict[str, Any]) -> None:
        """Remember the devices that train, or compare their number with the one remembered.

        Args:
            described: `Devices.described`.

        Raises:
            MmkerasError: another number than the run began with.
        """
        began = self.info.get("devices", {"count": 1} if self.info["data_digest"] else None)
        if began is None:
            self.update(devices=described)
        elif began["count"] != described["count"]:
            raise MmkerasError(
                f"The run {self.folder} began with {began['count']} for its devices, and would go on with "
                f"{described['count']}: it would not end with the weights of an uninterrupted run. Resume it where "
                "TensorFlow shows as many (CUDA_VISIBLE_DEVICES=0,1 shows two GPUs), or start a new run"
            )

    def changed_data(self) -> str:
        """Return a note where the data are not those that the run began with, any split of them; else an empty text."""
        before = self.info.get("source_digest")
        if not before or before == self._source_digest:
            return ""
        return (
            f"{self.recipe.data} changed since the run began: pictures, captions or splits are others. What is "
            "measured and exported is what is there now"
        )

    @property
    def _source_digest(self):
        return getattr(self.source, "digest", None)

    @functools.cached_property
    def source(self) -> Source:
        """The data set that the run is about; its records are read once."""
        from mmkeras.data.sources import open_source

        recipe = self.recipe
        targets: Any = recipe.targets
        reading = {key: getattr(recipe, key) for key in ("skip_unreadable", "pictures_outside", "memory_mib")}
        return open_source(recipe.data, recipe.image_folder or None, targets, **reading)

    def load_data(self, split: str, loader: PictureLoader | None, unread: bool = False, limit: int = 0) -> PairedData:
        """Load one split of the data that the run is about, see `load_splits`."""
        return self.load_splits([split], loader, unread, limit)[0]

    def load_splits(
        self, splits: Sequence[str], loader: PictureLoader | None, unread: bool = False, limit: int = 0
    ) -> list[PairedData]:
        """Load splits of the data that the run is about.

        Args:
            splits: `train` (the recipe's `train_split`), `dev`, `test` or `all`.
            loader: what `picture_loader` returns for the model, or its `ImagePreprocessor`; `None` for a
                model over feature vectors.
            unread: whether pictures are not read before somebody looks at them; then there are no features of them.
            limit: only the first so many of each, where the recipe's own `limit` is no less; 0 is all of them.
        """
        limits = [one for one in (limit, self.recipe.limit) if one]
        names = [self.recipe.train_split if split == "train" else split for split in splits]
        return self.source.splits(names, loader, min(limits, default=0), unread)

    def check_finished(self) -> None:
        """Raise a `MmkerasError` that says how to go on, where training has not finished."""
        if not self.finished:
            raise MmkerasError(
                f"The run {self.folder} has not finished. "
                f"Finish it with: {mmkeras_command('train', '--resume', self.folder)}"
            )

    def load_model(self) -> ImageTextModel:
        """Load the trained model, as `mmkeras.load_model` does: ready to embed, and not compiled.

        Raises:
            MmkerasError: the run has not finished, or its model cannot be read.
        """
        self.check_finished()
        return load_model_file(self.file("model.keras"))


def _located(settings, started_in):
    """Settings with relative paths as they were meant in the folder in which the run was started.

    A file of the same name in the folder from which a command is given is another one; it is taken where there is none
    in the other, as when a tree was moved.
    """
    if not started_in or Path(started_in) == Path.cwd():
        return settings

    def found(key, value):
        name = isinstance(value, str) and (value in ("", "glyphs") or value.startswith("tfds:"))
        # A preset is a file by its ending; a folder may be called as one of ours.
        if name or not isinstance(value, str) or (key == "preset" and not value.endswith(".json")):
            return value
        if key == "backbone" and "+" in value and not _is_there(value):
            return "+".join(found(key, each) for each in value.split("+"))
        there = str(Path(started_in) / value)
        if _is_there(there) or _is_there(value):
            return there if _is_there(there) else value
        return value if key in named else there

    named = ("backbone", "text_backbone", "pretrained")  # a name is no path
    paths = ("data", "image_folder", "preset", "initial_weights", *named)
    return settings | {key: found(key, settings[key]) for key in paths if key in settings}


def _is_there(path):
    """Whether there is a file or folder, one within an archive, or for a pattern of tars their folder."""
    before = re.split(r"[*?\[{]", path)[0]
    folder = Path(path if before == path else os.path.dirname(before))
    return os.path.exists(path) or folder.exists() or any(parent.is_file() for parent in folder.parents)


def _write_json(file, content):
    with replacing_file(file) as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n")
