"""What stands in a converted network: its operators, and the names of those that are not built in."""

import collections
import struct

from tensorflow.lite.tools import flatbuffer_utils

from mmkeras.errors import MmkerasError

TOKENIZE = "TFText>FastSentencepieceTokenize"
MEDIAPIPE_TOKENIZE = "TFSentencepieceTokenizeOp"  # what MediaPipe's resolver calls the same kernel
PAD_RAGGED = "RaggedTensorToTensor"
TEXT_OPERATORS = {TOKENIZE, PAD_RAGGED}
# A network that reads its weights from variables has lost them: nothing fills these on a device.
VARIABLES = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"}


def tokenizer_operators():
    """Return tensorflow-text's registerers of the operators of its tokenizers, for an interpreter or a converter."""
    from tensorflow_text import tflite_registrar

    return tflite_registrar.SELECT_TFTEXT_OPS


def parsed(network):
    """Return a network's flatbuffer as objects."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(network))


def kind_of(model, operator):
    """The name of an operator of a parsed network: `CONV_2D`, or what a custom one is called."""
    code = model.operatorCodes[operator.opcodeIndex]
    return code.customCode.decode() if code.customCode else flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)


def operators(network):
    """Count a network's operators by name, in all its subgraphs: dict, sorted."""
    model = parsed(network)
    counted = collections.Counter(kind_of(model, operator) for graph in model.subgraphs for operator in graph.operators)
    return dict(sorted(counted.items()))


def custom_operators(network):
    """The names of the operators that are not built into TFLite, as a set."""
    return {code.customCode.decode() for code in parsed(network).operatorCodes if code.customCode}


def for_mediapipe(network):
    """Return a network that takes strings with the tokenizer's operator under the name that MediaPipe Tasks knows.

    The kernel and its model are the same; only the name differs. It is shorter, and is written over the old one in
    place, so that everything else, the alignment of the weights too, stays as the converter laid it.

    Raises:
        MmkerasError: a network without the operator.
    """
    old = struct.pack("<I", len(TOKENIZE)) + TOKENIZE.encode() + b"\0"
    new = struct.pack("<I", len(MEDIAPIPE_TOKENIZE)) + MEDIAPIPE_TOKENIZE.encode()
    if old not in network:
        raise MmkerasError(f"Expected an operator {TOKENIZE}. Received: {', '.join(operators(network))}")
    return network.replace(old, new.ljust(len(old), b"\0"))


def without_mediapipe(network):
    """Return a network of MediaPipe's with the tokenizer's operator under tensorflow-text's name, for its kernels."""
    model = parsed(network)
    flatbuffer_utils.rename_custom_ops(model, {MEDIAPIPE_TOKENIZE: TOKENIZE})
    return flatbuffer_utils.convert_object_to_bytearray(model)
