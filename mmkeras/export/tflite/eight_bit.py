"""What becomes an integer in a network of full 8-bit integers, and what does not."""

from mmkeras.export.tflite.operators import kind_of, parsed

# What gains from 8-bit arithmetic, and what only moves values about. All else stays float in `int8`.
INTEGER_KINDS = {
    "CONCATENATION",
    "CONV_2D",
    "FULLY_CONNECTED",
    "GATHER",
    "GELU",
    "REDUCE_MAX",
    "RESHAPE",
    "TRANSPOSE",
}


def float_nodes(calibrated):
    """Name what stays float when a calibrated network is brought to 8-bit integers.

    Tables, convolutions and dense layers become integers. Additions, normalisations, masks, softmax and the products of
    attention stay float: they are a small part of the work, and in 8 bits they cost more than they save
    (`docs/on-device.md`). The quantiser gives the two sides of a mask one range: with -10,000 in it all scores of an
    attention would be one number.

    Args:
        calibrated: bytes, a network with the ranges of its values.

    Returns:
        List of names of the operators' first outputs.
    """
    model = parsed(calibrated)
    names = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            if kind_of(model, operator) not in INTEGER_KINDS:
                names.append(graph.tensors[operator.outputs[0]].name.decode())
    return names
