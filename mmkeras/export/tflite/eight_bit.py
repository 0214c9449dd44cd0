"""What becomes an integer in a network of full 8-bit integers, and what does not."""

import math

from mmkeras.export.tflite.operators import kind_of, parsed

# What gains from 8-bit arithmetic, and what only moves values about. All else stays float in `int8`.
INTEGER_KINDS = {
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "GATHER",
    "GELU",
    "PAD",
    "REDUCE_MAX",
    "RESHAPE",
    "TRANSPOSE",
}
# Of a network's weights, those of its first layers that stay float: all later layers compute on what these round.
_FIRST_SHARE = 0.003


def float_nodes(calibrated):
    """Name what stays float when a calibrated network is brought to 8-bit integers.

    Tables, convolutions and dense layers become integers. Additions, normalisations, masks, softmax and the products of
    attention stay float: they are a small part of the work, and in 8 bits they cost more than they save
    (`docs/on-device.md`). The quantiser gives the two sides of a mask one range: with -10,000 in it all scores of an
    attention would be one number. The first layers stay float where they are next to nothing of the network, as the
    first five convolutions of MobileNetV2 are: it brought the least cosine with Keras from .985 to .996.

    Args:
        calibrated: bytes, a network with the ranges of its values.

    Returns:
        List of names of the operators' first outputs.
    """
    model = parsed(calibrated)
    names = []
    for graph in model.subgraphs:
        weights = [_weights(model, graph, operator) for operator in graph.operators]
        passed, most = 0, _FIRST_SHARE * sum(weights)
        for operator, own in zip(graph.operators, weights, strict=True):
            passed += own
            if passed <= most or kind_of(model, operator) not in INTEGER_KINDS:
                names.append(graph.tensors[operator.outputs[0]].name.decode())
    return names


def _weights(model, graph, operator):
    """How many constant values an operator takes."""
    tensors = [graph.tensors[place] for place in operator.inputs if place >= 0]
    constant = [tensor for tensor in tensors if model.buffers[tensor.buffer].data is not None]
    return sum(math.prod(() if tensor.shape is None else tensor.shape.tolist()) for tensor in constant)
