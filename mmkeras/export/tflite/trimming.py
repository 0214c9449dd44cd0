"""What a converted network holds that no runtime reads, taken out."""

import flatbuffers
import numpy as np

from mmkeras.export.tflite.operators import parsed

_IDENTIFIER = b"TFL3"  # of a .tflite file, behind its first four bytes
_ALIGNMENT = 16  # bytes, of weights: the schema's force_align, on which kernels may rely


def trimmed(network):
    """Return a network without the names of its inner values, and with equal arrays, such as rows of zeros, once.

    The names of inputs and outputs stay, and so do the signature's, by which it is called. It answers what it did.

    Args:
        network: bytes of a .tflite file, with nothing appended.

    Returns:
        bytes, the same for equal networks.
    """
    model = parsed(network)
    model.description = None
    for graph in model.subgraphs:
        called = {*graph.inputs.tolist(), *graph.outputs.tolist()}
        for place, tensor in enumerate(graph.tensors):
            if place not in called:
                tensor.name = None
    builder = _Builder(len(network))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Writes an array that it wrote before by a reference, and bytes, which weights are, aligned."""

    def __init__(self, size):
        super().__init__(size)
        self._written = {}

    def CreateNumpyVector(self, x):  # noqa: N802 - the name that the generated code calls
        key = x.dtype.str, x.tobytes()
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(_ALIGNMENT, x.size)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]
