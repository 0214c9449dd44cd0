"""Running a converted network in this process: what it answers, and how long it takes."""

import time
import warnings

import numpy as np

from mmkeras.export.tflite.operators import (
    MEDIAPIPE_TOKENIZE,
    custom_operators,
    tokenizer_operators,
    without_mediapipe,
)

_WARM_UP, _ROUNDS = 20, 200


class NetworkRunner:
    """A converted network of any kind, on the interpreter and the kernels that TensorFlow brings.

    Args:
        network: bytes.
        text_preprocessor: makes the ids of a network of the kind `ids`.
        threads: how many threads the interpreter takes.
    """

    def __init__(self, network, text_preprocessor, threads=1):
        from tensorflow.lite.python.interpreter import InterpreterWithCustomOps

        if MEDIAPIPE_TOKENIZE in custom_operators(network):
            network = without_mediapipe(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the interpreter moves to LiteRT
            self._interpreter = InterpreterWithCustomOps(
                custom_op_registerers=tokenizer_operators(), model_content=network, num_threads=threads
            )
        self._run = self._interpreter.get_signature_runner("encode_text")
        self._text_preprocessor = text_preprocessor
        (self._input,) = self._run.get_input_details()

    def inputs(self, texts):
        """Return what the network takes of each text: dicts of arrays of one row."""
        if self._input == "token_ids":
            return [{"token_ids": row[np.newaxis]} for row in self._text_preprocessor(texts).numpy()]
        # Objects: an array of bytes drops zeros at an end.
        encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
        return [{"text": np.array([text], object)} for text in encoded]

    def encode_text(self, texts):
        """Embed texts: float32 (N, D)."""
        return np.concatenate([self._run(**row)["embedding"] for row in self.inputs(texts)])

    def median_seconds(self, texts):
        """Return the median time of one text, its ids made beforehand where the network takes these."""
        rows = self.inputs(texts)
        seconds = []
        for call in range(_WARM_UP + _ROUNDS):
            row = rows[call % len(rows)]
            started = time.perf_counter()
            self._run(**row)
            seconds.append(time.perf_counter() - started)
        return float(np.median(seconds[_WARM_UP:]))
