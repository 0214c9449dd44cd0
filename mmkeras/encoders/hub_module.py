"""`HubModule`: one function of a SavedModel from TensorFlow Hub, with the variables that it uses."""

import hashlib
from pathlib import Path

import tensorflow as tf

from mmkeras.errors import MmkerasError

# All that belongs to a SavedModel; the folder of a handle may hold other things.
PARTS = ("saved_model.pb", "saved_model.pbtxt", "fingerprint.pb", "tfhub_module.pb", "variables", "assets")
PARTS += ("assets.extra",)


class HubModule:
    """A SavedModel as `tensorflow_hub.load` gives it, narrowed to one function from one tensor to one tensor.

    The function is the loaded object itself, where it can be called, else a signature: the one that is asked for,
    `serving_default`, `default` (of the old TF1 format), or the only one.

    Args:
        handle: path of a folder or URL, as `tensorflow_hub.load` takes it. It names the module in errors.
        signature: the name of a signature to use, even where the object can be called.
        output_key: which entry of a dict of outputs is taken. It may be left out where there is one alone, or one that
            is called "default".
        folder: where the files lie, in place of where the handle leads.
        placeholders: dict from a variable's position, as `variables` tells it, to the `tf.Variable` that takes its
            place and keeps its value.

    Call arguments:
        inputs: tensor.
        training: bool, handed on where the function takes it.

    Returns:
        tensor.

    Raises:
        MmkerasError: no SavedModel there, no such signature or output, or inputs that the function does not take.
    """

    def __init__(self, handle, signature=None, output_key=None, folder=None, placeholders=None):
        import tensorflow_text  # noqa: F401  registers the operations that many sentence encoders hold

        tensorflow_hub = _tensorflow_hub()
        if (devices := tf.distribute.get_strategy().num_replicas_in_sync) > 1:
            raise MmkerasError(
                "Expected another network than a hub module where several devices train, on which TensorFlow does not "
                f"run its functions: one of keras.applications or a published model. Received: {handle!r} on {devices}"
            )
        self.handle = handle
        self.folder = Path(folder) if folder else _resolve(handle)
        self._created = []
        placeholders = placeholders or {}
        values = {position: variable.numpy() for position, variable in placeholders.items()}

        def create(next_creator, **kwargs):
            # The order of a file's variables is the file's own, so that positions in it are names that never clash.
            placeholder = placeholders.get(len(self._created))
            self._created.append(next_creator(**kwargs) if placeholder is None else placeholder)
            return self._created[-1]

        try:
            with tf.init_scope(), tf.variable_creator_scope(create):
                self.loaded = tensorflow_hub.load(str(self.folder))
        except Exception as error:  # protobuf's, TensorFlow's and Python's own, by what is wrong with the files
            raise MmkerasError(f"Hub handle {handle!r}: the SavedModel cannot be loaded: {_line(error)}") from error
        for position, value in values.items():
            placeholders[position].assign(value)
        self.output_key = output_key
        self.signature = self._choose(signature)
        self._function = self.loaded.signatures[self.signature] if self.signature else self.loaded.__call__
        self._input_name, self._takes_training = None, False
        if self.signature:
            names = list(self._function.structured_input_signature[1])
            if len(names) != 1:
                raise MmkerasError(
                    f"Hub handle {handle!r}: expected a signature with one input. "
                    f"Received: {self.signature!r} takes {', '.join(names) or 'none'}"
                )
            self._input_name = names[0]
        elif hasattr(self._function, "function_spec"):
            spec = self._function.function_spec.fullargspec
            self._takes_training = "training" in [*spec.args, *spec.kwonlyargs]

    def __call__(self, inputs, training=False):
        arguments = {"training": bool(training)} if self._takes_training else {}
        if self._input_name:
            outputs = self._function(**{self._input_name: inputs})
        else:
            outputs = self._function(inputs, **arguments)
        if not isinstance(outputs, dict):
            if self.output_key is not None or isinstance(outputs, (list, tuple)):
                found = "a list" if isinstance(outputs, (list, tuple)) else "one tensor"
                raise MmkerasError(
                    f"Hub handle {self.handle!r}: expected {'a dict' if self.output_key else 'a tensor or a dict'} of "
                    f"outputs. Received: {found}, output_key={self.output_key!r}"
                )
            return outputs
        key = self.output_key
        if key is None:
            key = next(iter(outputs)) if len(outputs) == 1 else "default"
        if key not in outputs:
            raise MmkerasError(
                f"Hub handle {self.handle!r}: expected output_key to be one of {', '.join(sorted(outputs))}. "
                f"Received: output_key={self.output_key!r}"
            )
        return outputs[key]

    @property
    def variables(self):
        """The variables that the function uses: list of (position in the file, `tf.Variable`, whether it trains).

        The position is `None` for those of the TF1 format, which are made out of sight.
        """
        used = {id(one): one for function in self._concrete_functions() for one in function.variables}
        listed = list(getattr(self.loaded, "variables", None) or used.values())
        trainable = {id(one) for one in getattr(self.loaded, "trainable_variables", None) or () if one.trainable}
        if not hasattr(self.loaded, "trainable_variables"):
            trainable = {id(one) for one in listed if one.trainable}
        # The old format keeps its functions' variables to itself; there all that it lists count as used.
        chosen = [one for one in listed if id(one) in used or not used]
        position = {id(one): place for place, one in enumerate(self._created)}
        return [(position.get(id(one)), one, id(one) in trainable) for one in chosen]

    @property
    def regularization_losses(self):
        """Functions without arguments, each of a scalar that training may add to the loss."""
        return list(getattr(self.loaded, "regularization_losses", None) or ())

    def probe(self, inputs):
        """Run one row and return the output, or tell what the function takes in place of `inputs`."""
        try:
            output = self(inputs)
        except MmkerasError:
            raise
        except Exception as error:  # ValueError where no trace fits, TensorFlow's own from inside the graph
            reason = "" if "matching concrete function" in str(error) else f" ({_line(error)})"
            raise MmkerasError(
                f"Hub handle {self.handle!r}: expected a module that takes {_spec(inputs)}. "
                f"Received: it takes {self._accepted()}{reason}"
            ) from error
        if not isinstance(output, tf.Tensor) or output.shape.rank < 1 or output.shape[0] != 1:
            raise MmkerasError(
                f"Hub handle {self.handle!r}: expected a tensor with one row for one row of inputs. "
                f"Received: {_spec(output) if isinstance(output, tf.Tensor) else type(output).__name__}"
            )
        return output

    def _concrete_functions(self):
        return getattr(self._function, "concrete_functions", None) or [self._function]

    def _accepted(self):
        specs = []
        for function in self._concrete_functions():
            positional, named = function.structured_input_signature
            tensors = [one for one in tf.nest.flatten([positional, named]) if isinstance(one, tf.TensorSpec)]
            text = " and ".join(_spec(one) for one in tensors)
            specs += [] if text in specs else [text]
        return " or ".join(specs)

    def _choose(self, signature):
        """Return the name of the signature to use, `None` for the object itself."""
        signatures = sorted(getattr(self.loaded, "signatures", ()))
        if signature is None and callable(self.loaded):
            return None
        usual = ["serving_default", "default", *(signatures if len(signatures) == 1 else ())]
        wanted = [signature] if signature else usual
        for name in wanted:
            if name in signatures:
                return name
        raise MmkerasError(
            f"Hub handle {self.handle!r}: expected signature to be one of {', '.join(signatures) or 'none'}"
            f"{'' if signature else ' (the module itself cannot be called)'}. Received: signature={signature!r}"
        )


def saved_model_parts(folder):
    """Return the files of a SavedModel in `folder`, as paths relative to it, sorted."""
    folder = Path(folder)
    files = []
    for part in PARTS:
        found = folder / part
        files += [found] if found.is_file() else [path for path in found.rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder) for path in files)


def saved_model_digest(folder):
    """Return what tells one SavedModel from another: a SHA-256 of its files, hexadecimal.

    Of the values, which may take gigabytes, only TensorFlow's own checksums are read: they stand in the index.
    """
    digest = hashlib.sha256()
    for path in saved_model_parts(folder):
        if ".data-" not in path.name:
            digest.update(f"{path.as_posix()}\0".encode())
            digest.update(hashlib.sha256((Path(folder) / path).read_bytes()).digest())
    return digest.hexdigest()


def _tensorflow_hub():
    try:
        import tensorflow_hub
    except ImportError as error:
        raise ImportError(
            f"Hub handles need tensorflow-hub, and its 0.16 setuptools below 82: pip install 'setuptools<82' ({error})"
        ) from error
    return tensorflow_hub


def _resolve(handle):
    """Return the folder that a handle leads to, downloaded where it is a URL."""
    if not isinstance(handle, str) or not handle:
        raise MmkerasError(f"Expected a hub handle: the path of a folder or a URL. Received: handle={handle!r}")
    folder = Path(handle)
    if "://" in handle:
        try:
            folder = Path(_tensorflow_hub().resolve(handle))
        except Exception as error:  # urllib's, tarfile's, TensorFlow's
            raise MmkerasError(f"Hub handle {handle!r} cannot be downloaded: {_line(error)}") from error
    if not folder.is_dir():
        raise MmkerasError(f"Expected a hub handle: the path of a folder or a URL. There is no folder {handle!r}")
    if not any((folder / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise MmkerasError(f"Hub handle {handle!r} is no SavedModel: expected a saved_model.pb in it. Found: {found}")
    return folder


def _spec(tensor):
    shape = "any shape" if tensor.shape.rank is None else str(tuple("N" if d is None else d for d in tensor.shape))
    return f"{tensor.dtype.name} {shape}".replace("'", "")


def _line(error):
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
