"""How much memory a text encoder takes on each runtime; `benchmarks/on_device.py` asks for it.

    python scripts/benchmarks/resident_memory.py litert text_encoder.tflite

runs one contender in this process and prints, as JSON, two figures in MiB of resident memory: `added`, by which the
process grows from the moment when the runtime is imported to that when the model is loaded and has answered 20 calls,
and `whole`, all that it has then, Python and the runtime included. Pages of a mapped file count as far as they were
read. Linux only: /proc/self/status says it.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
STATUS = Path("/proc/self/status")
CALLS, TOKENS = 20, 16  # tokens of a text where a network takes any number


def measure(contenders):
    """Measure each contender in a process of its own.

    Args:
        contenders: list of (what, name of a contender below, file).

    Returns:
        List of dicts of what, `added` and `whole`, MiB; empty where there is no /proc/self/status.
    """
    if not STATUS.exists():
        print("Memory: left out. It is read from /proc/self/status, which Linux alone has", file=sys.stderr)
        return []
    rows = []
    for what, name, file in contenders:
        command = [sys.executable, __file__, name, str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{what}: {done.stderr[-2000:]}")
        rows.append({"what": what, **json.loads(done.stdout.splitlines()[-1])})
    return rows


def litert():
    """LiteRT with a bare network over ids."""
    from ai_edge_litert.interpreter import Interpreter

    def load(file):
        run = Interpreter(model_path=file, num_threads=1).get_signature_runner("encode_text")
        row = np.ones(run.get_input_details()["token_ids"]["shape"], np.int32)
        return lambda: run(token_ids=row)

    return load


def onnx():
    """ONNX Runtime with a network over ids."""
    import onnxruntime

    def load(file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        row = np.ones(session.get_inputs()[0].shape, np.int32)
        return lambda: session.run(None, {"token_ids": row})

    return load


def keras_function():
    """Keras with a text encoder of ours over ids, as a traced function."""
    import keras
    import tensorflow as tf

    import mmkeras.encoders.text  # noqa: F401 - registers the layers

    def load(file):
        encoder = keras.saving.load_model(file, compile=False)
        row = tf.ones((1, encoder.inputs[0].shape[1] or TOKENS), tf.int32)
        run = tf.function(lambda token_ids: encoder(token_ids, training=False)["embedding"])
        return lambda: run(row).numpy()

    return load


def text_encoder():
    """`mmkeras.on_device.TextEncoder`, from a string."""
    import ai_edge_litert.interpreter  # noqa: F401
    import sentencepiece  # noqa: F401

    from mmkeras.on_device import TextEncoder

    def load(file):
        encoder = TextEncoder(file)
        return lambda: encoder.encode_text(["greek small letter omega with tonos"])

    return load


CONTENDERS = {"litert": litert, "onnx": onnx, "keras": keras_function, "text_encoder": text_encoder}


def of_this_process(name, file):
    """Run a contender here."""
    load = CONTENDERS[name]()
    before = _resident()
    call = load(str(file))
    for _ in range(CALLS):
        call()
    whole = _resident()
    return {"added": whole - before, "whole": whole}


def _resident():
    """MiB of this process that are in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in CONTENDERS:
        sys.exit(f"usage: resident_memory.py {{{','.join(CONTENDERS)}}} FILE\n\n{__doc__}")
    sys.path.insert(0, str(ROOT))
    print(json.dumps(of_this_process(*sys.argv[1:])))
