"""`model_message`: what a SentencePiece model's bytes are read and written with."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory

_MODULE = "sentencepiece.sentencepiece_model_pb2"


@functools.cache
def model_message() -> Any:
    """Return the protobuf class `ModelProto` of the installed sentencepiece.

    The module of generated code that sentencepiece brings cannot be imported where protobuf is older than what
    generated it: sentencepiece 0.2.3 asks for protobuf 7, Apache Beam for 6. The description of the message within that
    module suits both, so it is read without running the module, and goes into a pool of its own.

    Raises:
        ImportError: sentencepiece has no such description.
    """
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise ImportError(f"{_MODULE} is missing: sentencepiece is not whole")
    for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            pool = descriptor_pool.DescriptorPool()
            pool.AddSerializedFile(ast.literal_eval(node.args[0]))
            return message_factory.GetMessageClass(pool.FindMessageTypeByName("sentencepiece.ModelProto"))
    raise ImportError(f"{_MODULE} holds no description of a SentencePiece model")
