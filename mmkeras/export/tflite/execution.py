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
_LONGEST = 5.0  # seconds, that rounds of a slow network may take


def rows_of(name, examples, preprocessor):
    """Return what a network takes of each example, a list of arrays of one row.

    Args:
        name: of the network's input: `token_ids`, `text` or `image`.
        examples: texts, str or bytes, or pixels of pictures, uint8 (H, W, C).
        preprocessor: makes the ids of texts.
    """
    if name == "token_ids":
        return list(preprocessor(examples).numpy()[:, np.newaxis])
    if name == "image":
        return [picture[np.newaxis] for picture in examples]
    # Objects: an array of bytes drops zeros at an end.
    encoded = [text if isinstance(text, bytes) else text.encode() for text in examples]
    return [np.array([text], object) for text in encoded]


class NetworkRunner:
    """A converted network of any kind, on the interpreter and the kernels that TensorFlow brings.

    Args:
        network: bytes.
        preprocessor: makes the ids of a network of the kind `ids`; others need none.
        threads: how many threads the interpreter takes.
    """

    def __init__(self, network, preprocessor=None, threads=1):
        from tensorflow.lite.python.interpreter import InterpreterWithCustomOps

        custom = custom_operators(network)
        if MEDIAPIPE_TOKENIZE in custom:
            network = without_mediapipe(network)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the interpreter moves to LiteRT
            self._interpreter = InterpreterWithCustomOps(
                custom_op_registerers=tokenizer_operators() if custom else [],
                model_content=network,
                num_threads=threads,
            )
        (signature,) = self._interpreter.get_signature_list()
        self._run = self._interpreter.get_signature_runner(signature)
        self._preprocessor = preprocessor
        (self._input,) = self._run.get_input_details()

    def encode(self, examples):
        """Embed texts, or pixels of pictures: float32 (N, D)."""
        rows = rows_of(self._input, examples, self._preprocessor)
        return np.concatenate([self._run(**{self._input: row})["embedding"] for row in rows])

    def median_seconds(self, examples):
        """Return the median time of one example, its ids made beforehand where the network takes these."""
        rows = rows_of(self._input, examples, self._preprocessor)
        seconds = []
        for call in range(_WARM_UP + _ROUNDS):
            if sum(seconds) > _LONGEST:
                break
            row = rows[call % len(rows)]
            started = time.perf_counter()
            self._run(**{self._input: row})
            seconds.append(time.perf_counter() - started)
        return float(np.median(seconds[min(_WARM_UP, len(seconds) // 2) :]))
