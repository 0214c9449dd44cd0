"""One loaded version of one SavedModel, run as TensorFlow Serving runs it."""

import re
import time

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_NAMES, ServingError
from mmkeras.serving.xla_functions import signatures_that_need_xla


class Servable:
    """Load a SavedModel and run its signatures; it knows nothing of any model.

    Signatures run in a graph session, as they do on TensorFlow Serving: that gives a run a deadline of its own beside
    other threads (eager functions have none), the operations' errors their text, and inputs no shape check but those of
    the operations. tensorflow_text is imported for its operations, where it is installed.

    Args:
        path: `pathlib.Path` of the version folder, which holds saved_model.pb.
        name: model name.
        version: integer.

    Attributes:
        signatures: dict from signature name to SignatureDef (of `mmkeras.serving.protos`).
        load_seconds: how long loading took.

    Raises:
        MmkerasError: the folder holds no SavedModel that can be loaded.
    """

    def __init__(self, path, name, version):
        started = time.monotonic()
        import tensorflow

        try:
            import tensorflow_text  # noqa: F401  importing it registers its operations
        except ImportError:
            pass
        self.path = path
        self.name = name
        self.version = version
        self._tensorflow = tensorflow
        self._graph = tensorflow.Graph()
        self._session = tensorflow.compat.v1.Session(graph=self._graph)
        logger = tensorflow.get_logger()
        level = logger.level
        # The loader calls itself deprecated; it is the one that fills a session.
        logger.setLevel("ERROR")
        try:
            self._load()
        except Exception as error:  # whatever is wrong in a folder: OSError, OpError, DecodeError, KeyError, ...
            self._session.close()
            reason = str(error).strip() or type(error).__name__
            raise MmkerasError(
                f"Expected {path} to hold a SavedModel with the tag 'serve' that loads. Received: {reason}"
            ) from error
        finally:
            logger.setLevel(level)
        self.load_seconds = time.monotonic() - started

    def run(self, signature_name, feeds, aliases, seconds=None):
        """Return a list of arrays, one for each output alias.

        Args:
            signature_name: a key of `signatures`.
            feeds: dict from input alias to array of the signature's dtype.
            aliases: output aliases.
            seconds: the run is cancelled after so long; never where None.

        Raises:
            ServingError: with the code and the text of the operation that failed.
        """
        if signature_name in self._need_xla:
            raise ServingError("INTERNAL", "XLA compilation disabled")
        signature = self.signatures[signature_name]
        fetches = [self._tensor(signature.outputs[alias].name) for alias in aliases]
        feed_dict = {self._feeds[signature.inputs[alias].name]: array for alias, array in feeds.items()}
        milliseconds = 0 if seconds is None else max(int(seconds * 1000), 1)
        options = self._tensorflow.compat.v1.RunOptions(timeout_in_ms=milliseconds)
        try:
            return self._session.run(fetches, feed_dict, options=options)
        except self._tensorflow.errors.OpError as error:
            raise ServingError(STATUS_NAMES.get(error.error_code, "UNKNOWN"), _own_words(error.message)) from error
        except UnicodeDecodeError as error:  # the operation's text quotes bytes of the request that are no UTF-8
            text = error.object.decode(errors="replace")
            raise ServingError("INVALID_ARGUMENT", _own_words(text)) from error
        except (ValueError, TypeError, RuntimeError, MemoryError) as error:
            # Of inputs that are no placeholders Python checks the shape.
            code = "INVALID_ARGUMENT" if str(error).startswith("Cannot feed value of shape") else "INTERNAL"
            raise ServingError(code, str(error)) from error

    def close(self):
        """Free the session; `run` must not be called any more."""
        self._session.close()

    def _load(self):
        from tensorflow.core.protobuf import saved_model_pb2

        tf1 = self._tensorflow.compat.v1
        saved_model = saved_model_pb2.SavedModel.FromString((self.path / "saved_model.pb").read_bytes())
        meta_graph = next((graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags), None)
        if meta_graph is None:
            raise ValueError(f"tags {[list(graph.meta_info_def.tags) for graph in saved_model.meta_graphs]}")
        self.signatures = {
            name: protos.SignatureDef.FromString(signature.SerializeToString())
            for name, signature in meta_graph.signature_def.items()
        }
        self._need_xla = signatures_that_need_xla(meta_graph)
        inputs = {info.name: info.dtype for signature in self.signatures.values() for info in signature.inputs.values()}
        placeholders = {node.name for node in meta_graph.graph_def.node if node.op == "Placeholder"}
        # Python checks what is fed against a placeholder's shape, the server does not: feed placeholders of free shape.
        # What is computed from another signature's input must stay as it is.
        with self._graph.as_default():
            self._feeds = {
                name: tf1.placeholder(dtype, name="fed_input")
                for name, dtype in inputs.items()
                if name.partition(":")[0] in placeholders
            }
            tf1.saved_model.load(self._session, ["serve"], str(self.path), input_map=self._feeds)
            self._feeds |= {name: self._tensor(name) for name in inputs if name and name not in self._feeds}
        self._graph.finalize()

    def _tensor(self, name):
        """Return the graph's tensor "node:index"."""
        node, _, index = name.partition(":")
        outputs = self._graph.get_operation_by_name(node).outputs
        if int(index or 0) >= len(outputs):
            kind = self._graph.get_operation_by_name(node).type
            raise ServingError(
                "OUT_OF_RANGE",
                f"Node '{node}' (type: '{kind}', num of outputs: {len(outputs)}) does not have output {index or 0}",
            )
        return outputs[int(index or 0)]


def _own_words(message):
    """Return the operation's text without the frame that TensorFlow's Python puts around it."""
    message = message.partition("\n\nOriginal stack trace for")[0]
    message = re.sub(r"\AGraph execution error:\s*", "", message)
    frame = r"\ADetected at node.*?(<stack traces unavailable>\n|\n(?=Node: '))(Node: '[^']*'\n)?"
    return re.sub(frame, "", message, flags=re.DOTALL)
