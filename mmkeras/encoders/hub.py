"""`HubLayer`: a module from TensorFlow Hub as a layer of Keras 3."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from mmkeras.encoders.hub_module import HubModule, saved_model_digest, saved_model_parts
from mmkeras.errors import MmkerasError
from mmkeras.tensors import Tensor, TensorLike

# Digest to the layer that has the files, so that a copy of a layer finds them without its handle.
_LAYERS_WITH_FILES = weakref.WeakValueDictionary()


@keras.saving.register_keras_serializable("mmkeras")
class HubLayer(layers.Layer):
    """A module from TensorFlow Hub, or any SavedModel, as a layer of Keras 3.

    Its variables are the layer's weights, so that optimizers, checkpoints and digests see them. A `.keras` file holds
    the module's files too, and an exported SavedModel its graph: neither needs the handle again. A frozen layer runs
    the module in inference mode. One that is trained hands `training` on, where the module takes it, and adds the
    module's regularisation losses to its own. The module computes in float32 under any dtype policy.

    A SavedModel is a program: load a module, and a `.keras` file with one inside, only from those whom you trust.

    Args:
        handle: path of a folder or URL, as `tensorflow_hub.load` takes it.
        trainable: whether training changes the module's trainable variables.
        signature: name of the signature to use; by default the module itself is called, where it can be.
        output_key: which entry of a dict of outputs; see `HubModule`.
        contents: what `get_config` writes of a module that was loaded: with it the layer is built without one, and its
            files follow from the `.keras` file.

    Call arguments:
        inputs: tensor, as the module takes it.
        training: bool.

    Returns:
        tensor.

    Raises:
        MmkerasError: no module there, inputs that it does not take, nothing in it to train, or files that are gone.

    Example:
        >>> text = keras.Input((), dtype="string")
        >>> embedding = HubLayer("https://tfhub.dev/google/nnlm-en-dim128/2")(text)  # (B, 128)
    """

    contents: dict[str, Any]
    _module: HubModule | None
    _own_folder: tempfile.TemporaryDirectory[str] | None

    def __init__(
        self,
        handle: str,
        trainable: bool = False,
        signature: str | None = None,
        output_key: str | None = None,
        contents: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, **{**kwargs, "dtype": "float32"})
        self.handle = handle
        self.signature = signature
        self.output_key = output_key
        self.contents = contents
        self._module = None
        self._own_folder = None
        self._module_weights = ()
        folder = self._find_files()
        if contents is None or folder is not None:
            self._load(folder)
        else:
            weights = contents["weights"]
            placeholders = [
                tf.Variable(tf.zeros(shape, dtype), name=name.partition(":")[0], trainable=trains)
                for _, name, shape, dtype, trains in weights
            ]
            self._add_weights(placeholders, [trains for *_, trains in weights])
        if trainable and (used := self._module.signature if self._module else signature):
            raise MmkerasError(
                f"Hub handle {handle!r}: expected a module that can be called, to train it: a signature knows no "
                f"training. Received: trainable=True, signature={used!r}"
            )
        if trainable and not self._trainable_variables:
            raise MmkerasError(
                f"Hub handle {handle!r}: expected trainable variables. Received: trainable=True, and "
                f"{len(self._module_weights)} variables that are fixed"
            )
        for weight in self._trainable_variables:  # they were made after Keras told the layer's
            weight.trainable = trainable

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        if "output_shape" not in self.contents:
            if self._module is None:
                raise self._files_are_missing()
            row = [1, *(size or 1 for size in inputs.shape[1:])]
            probe = tf.fill(row, "text") if inputs.dtype == "string" else tf.zeros(row, inputs.dtype)
            output = self._module.probe(probe)
            self.contents = {**self.contents, "output_shape": output.shape[1:].as_list()}
            self.contents["output_dtype"] = output.dtype.name
        return keras.KerasTensor((inputs.shape[0], *self.contents["output_shape"]), self.contents["output_dtype"])

    def call(self, inputs: TensorLike, training: bool | None = None) -> Tensor:
        if self._module is None:
            raise self._files_are_missing()
        training = bool(training) and self.trainable
        if training:
            for loss in self._module.regularization_losses:
                self.add_loss(loss())
        return self._module(inputs, training=training)

    def get_config(self) -> dict[str, Any]:
        own = ("handle", "trainable", "signature", "output_key")
        contents = keras.tree.map_structure(lambda value: value, dict(self.contents))
        return {**super().get_config(), **{name: getattr(self, name) for name in own}, "contents": contents}

    def save_assets(self, folder: str) -> None:
        if self._module is None:
            raise self._files_are_missing()
        source = self._module.folder
        if not source.is_dir() or saved_model_digest(source) != self.contents["digest"]:
            raise MmkerasError(
                f"Hub handle {self.handle!r}: the module's files in {source} are gone or no longer those that were "
                "loaded, so the model cannot be saved with them. Put them back and save again"
            )
        _copy(source, folder)

    def load_assets(self, folder: str | None) -> None:
        if self._module is not None:
            return
        if folder is None or not saved_model_parts(folder):
            raise self._files_are_missing()
        # Keras takes its folder away when it has loaded; a later save needs the files again.
        self._own_folder = tempfile.TemporaryDirectory(prefix="mmkeras-hub-")
        _copy(folder, self._own_folder.name)
        self._load(self._own_folder.name)

    def _find_files(self):
        """Return where the files lie that `contents` describes, `None` where no place is known."""
        if self.contents is None:
            return None
        digest = self.contents["digest"]
        if (other := _LAYERS_WITH_FILES.get(digest)) is not None and other._module.folder.is_dir():
            self._own_folder = other._own_folder  # lives as long as the last that uses it
            return other._module.folder
        if Path(self.handle).is_dir() and saved_model_digest(self.handle) == digest:
            return Path(self.handle)
        return None

    def _load(self, folder):
        places = [weight[0] for weight in self.contents["weights"]] if self._module_weights else []
        placeholders = dict(zip(places, (weight.value for weight in self._module_weights), strict=True))
        placeholders.pop(None, None)  # variables of the TF1 format have no position
        module = HubModule(self.handle, self.signature, self.output_key, folder, placeholders)
        variables = module.variables
        if not self._module_weights:
            self._add_weights([variable for _, variable, _ in variables], [trains for _, _, trains in variables])
        for weight, (_, variable, _) in zip(self._module_weights, variables, strict=True):
            if weight.value is not variable:  # of the TF1 format, whose variables nothing can stand in for
                variable.assign(weight.value)
                weight._initialize(variable)
        if self.contents is None:
            weights = [
                [place, one.name, one.shape.as_list(), one.dtype.name, trains] for place, one, trains in variables
            ]
            self.contents = {"digest": saved_model_digest(module.folder), "weights": weights}
        self._module = module
        # An export follows attributes to find what the graph holds beside variables: tables and their files.
        self.loaded = module.loaded
        _LAYERS_WITH_FILES[self.contents["digest"]] = self

    def _add_weights(self, variables, trainable):
        with keras.name_scope(self.name):
            self._module_weights = tuple(
                keras.Variable(
                    variable,
                    trainable=trains,
                    autocast=False,
                    name=variable.name.partition(":")[0].replace("/", "_"),
                )
                for variable, trains in zip(variables, trainable, strict=True)
            )

    def _files_are_missing(self):
        return MmkerasError(
            f"Hub handle {self.handle!r}: this layer was built from a config alone, and the files that it was made of "
            "are not there. Load the whole model from its .keras file, or build the layer from the handle"
        )


def check_hub_output(handle: str, output: keras.KerasTensor, ranks: Iterable[int]) -> None:
    """Check that a module returns floats of one of these ranks.

    Raises:
        MmkerasError: it does not.
    """
    if len(output.shape) not in ranks or not output.dtype.startswith(("float", "bfloat")):
        shapes = " or ".join({2: "(N, W)", 4: "(N, h, w, W)"}[rank] for rank in ranks)
        received = str(tuple("N" if size is None else size for size in output.shape)).replace("'", "")
        raise MmkerasError(
            f"Hub handle {handle!r}: expected a module whose outputs are floats {shapes}. "
            f"Received: {output.dtype} {received}"
        )


def _copy(source, target):
    for path in saved_model_parts(source):
        (Path(target) / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(source) / path, Path(target) / path)
