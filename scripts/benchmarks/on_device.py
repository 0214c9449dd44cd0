"""The text encoder on LiteRT beside float32 Keras and, where it is installed, ONNX Runtime: latency, size, fidelity,
memory.

    python scripts/benchmarks/on_device.py runs/mine                 some minutes
    python scripts/benchmarks/on_device.py runs/mine --rounds 5 --json figures.json

All are given the same ids, one text a call, and are asked in turn, so that another load on the machine meets each.
ONNX Runtime needs `pip install onnxruntime onnx tf2onnx`: its float32 network is tf2onnx's, its int8 one
`quantize_dynamic` of that. Without them its rows are left out, and why is printed. Success is two tables: the least
median over the rounds, at one and two threads, the bytes of the network, and the least cosine with Keras; and the
resident memory of a process with each at one thread (`resident_memory.py` says how it is taken; Linux only), with
`mmkeras.on_device.TextEncoder` beside them, which makes the ids too.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import resident_memory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TEXTS, CALLS = 64, 200


def main():
    """Measure a run's text encoder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    options = parser.parse_args()
    from mmkeras.console import print_table

    figures = measure(options.run, options.rounds)
    shown = [
        (row["what"], str(row["threads"]), f"{row['ms']:.3f}", f"{row['bytes']:,}", f"{row['least_cosine']:.5f}")
        for row in figures["calls"]
    ]
    print_table("One text", ("runtime and precision", "threads", "ms", "bytes", "least cosine"), shown)
    shown = [(row["what"], f"{row['added']:.1f}", f"{row['whole']:.1f}") for row in figures["memory"]]
    if shown:
        print_table("Resident memory, MiB", ("runtime and precision", "by the model", "whole process"), shown)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(run, rounds=3):
    """Return `calls`, a dict a runtime, precision and number of threads, and `memory`, without the threads."""
    from mmkeras.encoders.frozen_features import picture_loader
    from mmkeras.export.tflite.conversion import convert
    from mmkeras.on_device.model_file import packed
    from mmkeras.training import Run

    run = Run(run)
    model = run.load_model()
    preprocessor = model.text_preprocessor
    loader = picture_loader(model.image_encoder, model.image_preprocessor)
    texts = list(run.load_data("dev", loader).texts[:TEXTS])
    training = list(run.load_data("train", loader).texts[:400])
    ids = preprocessor(texts).numpy()
    expected = model.encode_text(texts)
    contenders, kept = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for precision in ("float32", "float16", "dynamic", "int8"):
            network = convert(model.text_encoder, preprocessor, "ids", precision, training)
            for threads in (1, 2):
                contenders.append((f"LiteRT {precision}", threads, len(network), _litert(network, threads)))
            file = folder / f"{precision}.tflite"
            file.write_bytes(network)
            kept.append((f"LiteRT {precision}", "litert", file))
            if precision == "dynamic":
                sizes = {"embedding_dim": model.embedding_dim, "sequence_length": preprocessor.sequence_length}
                settings = {"kind": "ids", "precision": precision, "space_id": "", **sizes}
                file = folder / "dynamic_ids.tflite"
                file.write_bytes(packed(network, settings, preprocessor.model))
                kept.append(("mmkeras.on_device.TextEncoder, dynamic", "text_encoder", file))
        for what, file in _onnx(model.text_encoder, preprocessor.sequence_length, folder):
            for threads in (1, 2):
                contenders.append((f"ONNX Runtime {what}", threads, file.stat().st_size, _session(file, threads)))
            kept.append((f"ONNX Runtime {what}", "onnx", file))
        model.text_encoder.save(folder / "text_encoder.keras")
        kept.append(("Keras float32", "keras", folder / "text_encoder.keras"))
        floats = sum(int(np.prod(weight.shape)) * 4 for weight in model.text_encoder.weights)
        contenders.append(("Keras float32", "all", floats, lambda row: model._embed_text(row)["embedding"].numpy()))
        medians = [[] for _ in contenders]
        for _ in range(rounds):
            for times, (_, _, _, embed) in zip(medians, contenders, strict=True):
                times.append(_median(embed, ids))
        calls = [
            {
                "what": what,
                "threads": threads,
                "ms": min(times) * 1000,
                "bytes": size,
                "least_cosine": float(
                    min(np.dot(embed(row[None])[0], e) for row, e in zip(ids, expected, strict=True))
                ),
            }
            for times, (what, threads, size, embed) in zip(medians, contenders, strict=True)
        ]
        return {"calls": calls, "memory": resident_memory.measure(kept)}


def _median(embed, ids):
    seconds = []
    for call in range(CALLS):
        row = ids[call % len(ids)][np.newaxis]
        started = time.perf_counter()
        embed(row)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[CALLS // 10 :])


def _litert(network, threads):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=network, num_threads=threads).get_signature_runner("encode_text")
    return lambda row: runner(token_ids=row)["embedding"]


def _onnx(text_encoder, length, folder):
    """Yield (precision, file) of the ONNX networks that can be made here."""
    try:
        import tensorflow as tf
        import tf2onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        print(f"ONNX Runtime: left out. {error}", file=sys.stderr)
        return
    spec = [tf.TensorSpec([1, length], tf.int32, name="token_ids")]
    embed = tf.function(lambda token_ids: text_encoder(token_ids, training=False)["embedding"], input_signature=spec)
    tf2onnx.convert.from_function(embed, input_signature=spec, output_path=str(folder / "float32.onnx"))
    yield "float32", folder / "float32.onnx"
    quantize_dynamic(folder / "float32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)
    yield "int8", folder / "int8.onnx"


def _session(file, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda row: session.run(None, {"token_ids": row})[0]


if __name__ == "__main__":
    main()
