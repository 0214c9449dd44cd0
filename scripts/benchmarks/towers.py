"""Training a pair of towers of base size, beside the same in PyTorch's transformers.

    python scripts/benchmarks/towers.py                            batches of 8, one thread, then all cores
    python scripts/benchmarks/towers.py --threads 1 --rounds 5     with one thread
    python scripts/benchmarks/towers.py --depth 1 --batch 2        towers of one block each

ViT-B/16 at 224 px and BERT-base on 32 tokens, random weights of which all are trained, each with a projection to 256:
a step of `DualEncoder` (forward pass, InfoNCE, backward pass, gradients clipped by their norm, AdamW) beside the same
of transformers' `ViTModel` and `BertModel` (`scaled_dot_product_attention`, fused AdamW); and the forward pass alone,
as in inference. In training both drop a tenth of BERT's numbers and none of ViT's. Success is a table of medians over
the rounds. How they are measured stands in pytorch.py; tests/pytorch/test_towers.py compares the losses of both.

The arithmetic of a step is counted from the shapes, see `forward_gflop`, and on either side held against a large matrix
product of the same process and threads: where the two libraries' products differ in speed, so do the steps. Needs
PyTorch and transformers: `pip install -e ".[pytorch]" transformers`.
"""

import argparse
import functools
import importlib.util
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZE, PATCH, WIDTH, HEADS, DEPTH = 224, 16, 768, 12, 12
VOCABULARY, LENGTH, EMBEDDING = 30522, 32, 256
STEP, FORWARD = "training step", "forward pass"
STEPS, WARM_UP = 1, 1


def measure(threads=None, batch=8, rounds=5, depth=DEPTH):
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}, for each of the numbers of threads: 1 and all.

    Args:
        threads: list of numbers of threads.
        batch: pairs of a step.
        rounds: turns of each side, two or more.
        depth: blocks of each tower.

    Raises:
        ModuleNotFoundError: PyTorch or transformers is not installed; says how to.
    """
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(
                f'Expected {module}, to measure beside. Install it: pip install -e ".[pytorch]" transformers'
            )
    command = [__file__, "--batch", str(batch), "--depth", str(depth)]
    return [
        row
        for number in threads or dict.fromkeys((1, os.cpu_count()))
        for row in sides.rows(command, f"{{}}, batch {batch}", number, STEPS, rounds)
    ]


def forward_gflop(depth=DEPTH):
    """GFLOP of the forward pass of a picture, of a text, and of the picture's patches alone, counted from shapes.

    Matrix products only, a multiplication and an addition two operations. A block of width W takes of each of its T
    tokens 8 W^2 for queries, keys, values and output, 16 W^2 for the feed-forward part of 4 W, and 4 T W for the scores
    and the sums of attention. Normalisations, softmax and GELU are left out, about a hundredth.
    """
    patches = (SIZE // PATCH) ** 2
    image, text = (
        depth * tokens * (24 * WIDTH**2 + 4 * tokens * WIDTH) + 2 * WIDTH * EMBEDDING
        for tokens in (patches + 1, LENGTH)
    )
    projected = 2 * patches * 3 * PATCH**2 * WIDTH
    return (image + projected) / 1e9, text / 1e9, projected / 1e9


def _forms(parameters, step, forward, batch, depth):
    image, text, projected = forward_gflop(depth)
    whole = batch * (image + text)
    # The derivative takes each product twice, by the weights and by the input, but pixels have no derivative.
    return {
        STEP: sides.Form(parameters, step, gflop=3 * whole - batch * projected),
        FORWARD: sides.Form(parameters, forward, gflop=whole),
    }


def ours(batch_file, batch, depth):
    """A step and the forward pass of `DualEncoder`; writes the batch."""
    import numpy as np
    import tensorflow as tf
    from benchmarks.pytorch_systems import count_parameters

    from mmkeras.encoders import bert_text_encoder, vit_image_encoder
    from mmkeras.models import DualEncoder

    sizes = {"depth": depth, "heads": HEADS, "embedding_dim": EMBEDDING}
    image = vit_image_encoder(SIZE, SIZE, patch=PATCH, token_width=WIDTH, mean=0.5, deviation=0.5, **sizes)
    text = bert_text_encoder(VOCABULARY, LENGTH, width=WIDTH, class_id=None, **sizes)
    model = DualEncoder(image, text)
    model.compile()
    generator = np.random.default_rng(0)
    arrays = {
        "image": generator.integers(0, 256, (batch, SIZE, SIZE, 3), "uint8"),
        "token_ids": generator.integers(1, VOCABULARY, (batch, LENGTH), "int32"),
        "image_id": np.arange(batch),
    }
    np.savez(batch_file, **arrays)
    pairs = {name: tf.constant(values) for name, values in arrays.items()}
    forward = tf.function(lambda given: model(given, training=False))
    step = functools.partial(model.train_on_batch, pairs)
    return _forms(count_parameters(model), step, functools.partial(forward, pairs), batch, depth)


def theirs(batch_file, batch, depth):
    """The same in PyTorch."""
    import numpy as np
    import torch

    from tests.pytorch.towers import PyTorchTowers

    arrays = np.load(batch_file)
    pairs = [torch.from_numpy(arrays[name]) for name in ("image", "token_ids")]
    model = PyTorchTowers(SIZE, PATCH, WIDTH, HEADS, depth, VOCABULARY, LENGTH, EMBEDDING)
    step, forward = (functools.partial(method, *pairs) for method in (model.step, model.embed))
    return _forms(model.count_parameters(), step, forward, batch, depth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="pairs of a step")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side, two or more")
    parser.add_argument("--depth", type=int, default=DEPTH, help="blocks of each tower")
    parser.add_argument("--threads", type=int, action="append", metavar="N")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, file = options.side
        (threads,) = options.threads
        sides.set_threads(side, threads)
        sides.serve(side, {"ours": ours, "theirs": theirs}[side](file, options.batch, options.depth), threads, WARM_UP)
    else:
        print(f"{'of ViT-B/16 and BERT-base':58} {'median':>7} {'unit':8} ratio  over")
        for row in measure(options.threads, options.batch, options.rounds, options.depth):
            print(f"{row['what']:58} {row['value']:7.3g} {row['unit']:8} {row['ratio']:5.2f}  {row['yardstick']}")
