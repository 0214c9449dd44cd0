"""One loaded version of one SavedModel, run as TensorFlow Serving runs it."""

import time

from mmkeras.errors import MmkerasError, without_graph
from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_NAMES, ServingError
from mmkeras.serving.xla_functions import signatures_that_need_xla


class Servable:
    """Load a SavedModel and run its signatures; it knows nothing of any model.

    Signatures run in a graph session, as they do on TensorFlow Serving: that gives a run a deadline of its own beside
    other threads (eager functions have none), the operations' errors their text, and inputs no shape check but those of
    the operations. The session is called below `Session.run`, whose Python looks feeds and fetches up anew each time
    (0.2 ms a request, half as long as the network of the demo takes for a row of text) and puts words of its own around
    the errors. tensorflow_text is imported for its operations, where it is installed.

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
        from tensorflow.python.client import pywrap_tf_session

        try:
            import tensorflow_text  # noqa: F401  importing it registers its operations
        except ImportError:
            pass
        self.path = path
        self.name = name
        self.version = version
        self._tensorflow = tensorflow
        self._tf_session = pywrap_tf_session
        self._handles = {}
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
            ServingError: with the code and the text of the operation that failed, without what it quotes of the graph.
        """
        if signature_name in self._need_xla:
            raise ServingError("INTERNAL", "XLA compilation disabled")
        signature = self.signatures[signature_name]
        fetches = [self._handle(signature.outputs[alias].name) for alias in aliases]
        feed_dict = {self._handle(signature.inputs[alias].name): array for alias, array in feeds.items()}
        options = None
        try:
            if seconds is not None:
                deadline = self._tensorflow.compat.v1.RunOptions(timeout_in_ms=max(int(seconds * 1000), 1))
                options = self._tf_session.TF_NewBufferFromString(deadline.SerializeToString())
            return self._tf_session.TF_SessionRun_wrapper(self._session._session, options, feed_dict, fetches, [], None)
        except self._tensorflow.errors.OpError as error:
            code = STATUS_NAMES.get(error.error_code, "UNKNOWN")
            raise ServingError(code, without_graph(error.message)) from error
        except UnicodeDecodeError as error:  # the operation's text quotes bytes of the request that are no UTF-8
            raise ServingError("INVALID_ARGUMENT", without_graph(error.object.decode(errors="replace"))) from error
        except (ValueError, TypeError, RuntimeError, MemoryError) as error:
            raise ServingError("INTERNAL", str(error)) from error
        finally:
            if options is not None:
                self._tf_session.TF_DeleteBuffer(options)

    def close(self):
        """Free the session; `run` must not be called any more."""
        self._session.close()

    def _load(self):
        from tensorflow.core.protobuf import saved_model_pb2

        saved_model = saved_model_pb2.SavedModel.FromString((self.path / "saved_model.pb").read_bytes())
        meta_graph = next((graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags), None)
        if meta_graph is None:
            raise ValueError(f"tags {[list(graph.meta_info_def.tags) for graph in saved_model.meta_graphs]}")
        self.signatures = {
            name: protos.SignatureDef.FromString(signature.SerializeToString())
            for name, signature in meta_graph.signature_def.items()
        }
        self._need_xla = signatures_that_need_xla(meta_graph)
        with self._graph.as_default():
            self._tensorflow.compat.v1.saved_model.load(self._session, ["serve"], str(self.path))
        self._graph.finalize()

    def _handle(self, name):
        """Return the session's handle of the graph's tensor "node:index"."""
        if name not in self._handles:
            self._handles[name] = self._find(name)._as_tf_output()
        return self._handles[name]

    def _find(self, name):
        node, _, index = name.partition(":")
        outputs = self._graph.get_operation_by_name(node).outputs
        if int(index or 0) >= len(outputs):
            kind = self._graph.get_operation_by_name(node).type
            raise ServingError(
                "OUT_OF_RANGE",
                f"Node '{node}' (type: '{kind}', num of outputs: {len(outputs)}) does not have output {index or 0}",
            )
        return outputs[int(index or 0)]
