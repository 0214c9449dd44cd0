"""Encoders on modules from TensorFlow Hub, and the Keras 3 layer that they are made of."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers

from mmkeras.encoders.embedding_head import embedding_head, hidden_layers
from mmkeras.encoders.hub_module import HubModule, saved_model_digest, saved_model_parts
from mmkeras.errors import MmkerasError
from mmkeras.tensors import Tensor, TensorLike

# Scale and offset that bring 0..255 to what modules of pictures were trained on; those of TensorFlow Hub take 0..1.
SCALES = {"0..1": (1 / 255, 0.0), "-1..1": (1 / 127.5, -1.0), "0..255": (1.0, 0.0)}

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
            stand_ins = [
                tf.Variable(tf.zeros(shape, dtype), name=name.partition(":")[0], trainable=trains)
                for _, name, shape, dtype, trains in weights
            ]
            self._add_weights(stand_ins, [trains for *_, trains in weights])
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
        stand_ins = dict(zip(places, (weight.value for weight in self._module_weights), strict=True))
        stand_ins.pop(None, None)
        module = HubModule(self.handle, self.signature, self.output_key, folder, stand_ins)
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


def hub_image_encoder(
    handle: str,
    height: int,
    width: int,
    channels: int = 3,
    scale: Literal["0..1", "-1..1", "0..255"] = "0..1",
    trainable: bool = False,
    signature: str | None = None,
    output_key: str | None = None,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    name: str = "image_encoder",
) -> keras.Model:
    """A module of pictures from TensorFlow Hub with an MLP behind it.

    A module that returns vectors gives no tokens. One that returns feature maps gives their cells as tokens, and their
    mean to the MLP.

    Args:
        handle: path of a folder or URL.
        height: px, as the module takes it; so `width` and `channels`.
        width: px.
        channels: of the pictures.
        scale: what the module takes: "0..1", as those of TensorFlow Hub do, "-1..1" or "0..255".
        trainable: whether training changes the module.
        signature: see `HubLayer`.
        output_key: see `HubLayer`.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        name: the model's name.

    Returns:
        `keras.Model` from `image`, uint8 or float 0..255 (B, height, width, channels).

    Raises:
        MmkerasError: as `HubLayer`, another scale, or a module whose outputs are neither (N, W) nor (N, h, w, W).
    """
    if scale not in SCALES:
        raise MmkerasError(f"Expected a scale of {', '.join(SCALES)}. Received: scale={scale!r}")
    # === Layers ===
    image = keras.Input((height, width, channels), name="image")
    pixels = layers.Rescaling(*SCALES[scale], dtype="float32", name="rescaling")(image)
    output = HubLayer(handle, trainable, signature, output_key, name="hub")(pixels)
    _check_output(handle, output, ranks=(2, 4))
    outputs = {}
    if len(output.shape) == 4:
        outputs["tokens"] = layers.Reshape((-1, output.shape[-1]), name="tokens")(output)
        output = layers.GlobalAveragePooling2D(name="pooling")(output)

    # === Functional Model ===
    outputs["embedding"] = embedding_head(hidden_layers(output, hidden, dropout), embedding_dim)
    return keras.Model(image, outputs, name=name)


def hub_text_encoder(
    handle: str,
    vocabulary_size: int | None = None,
    sequence_length: int | None = None,
    trainable: bool = False,
    signature: str | None = None,
    output_key: str | None = None,
    hidden: Sequence[int] = (1024,),
    embedding_dim: int | None = 256,
    dropout: float = 0.1,
    name: str = "text_encoder",
) -> keras.Model:
    """A sentence encoder from TensorFlow Hub, from strings to vectors, with an MLP behind it.

    The module holds its own tokenizer, so that the preprocessing before it is a `StringPreprocessor`.

    Args:
        handle: path of a folder or URL.
        vocabulary_size: `None`, as a `StringPreprocessor` has it; taken so that all text encoders are built alike.
        sequence_length: not used.
        trainable: whether training changes the module.
        signature: see `HubLayer`.
        output_key: see `HubLayer`.
        hidden: units of each hidden layer.
        embedding_dim: D; `None` leaves the projection out.
        dropout: rate after each hidden layer.
        name: the model's name.

    Returns:
        `keras.Model` from `text`, string (B,). It has no tokens.

    Raises:
        MmkerasError: as `HubLayer`, a preprocessor of token ids, or a module whose outputs are not (N, W).
    """
    if vocabulary_size is not None:
        raise MmkerasError(
            "Expected a StringPreprocessor before a text encoder of kind 'hub', which takes strings. "
            f"Received: a text_preprocessor of token ids, vocabulary_size={vocabulary_size}"
        )
    # === Layers ===
    text = keras.Input((), dtype="string", name="text")
    output = HubLayer(handle, trainable, signature, output_key, name="hub")(text)
    _check_output(handle, output, ranks=(2,))

    # === Functional Model ===
    embedding = embedding_head(hidden_layers(output, hidden, dropout), embedding_dim)
    return keras.Model(text, {"embedding": embedding}, name=name)


def _check_output(handle, output, ranks):
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
