"""The memory of a training step: plain, by sub-batches, with blocks computed again, and both.

    python scripts/benchmarks/training_memory.py 1024 --sub-batch 64

prints one line a way: the peak of a process of its own, in MiB, less what it held before the first step, and the
seconds of a step after it. The plain step of a batch of 1,024 takes 12 GiB. Encoders are a vision transformer (64 px,
patches of 8, six blocks of width 192) and a BERT (24 tokens, four blocks of width 192), on random pictures and texts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peak import peak

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
VOCABULARY, LENGTH, STEPS = 8000, 24, 2


def measure(batch, sub_batch, ways=("plain", "recomputed", "by parts", "by parts, recomputed"), depth=None):
    """Return rows {"what", "value", "unit", "seconds", "loss"}: the peak beyond what was held before.

    Args:
        batch: pairs of a step.
        sub_batch: pairs of a part.
        ways: which of the four are measured.
        depth: blocks of both encoders, in place of six and four.
    """
    rows = []
    for way in ways:
        settings = [batch, sub_batch if "parts" in way else 0, int("recomputed" in way), depth or 0]
        result = subprocess.run(
            [sys.executable, __file__, "--child", *map(str, settings)], capture_output=True, text=True, check=True
        )
        rows.append({"what": f"batch of {batch}, {way}", "unit": "MiB", **json.loads(result.stdout.splitlines()[-1])})
    return rows


def _child(batch, sub_batch, recompute, depth):
    sys.path.insert(0, str(ROOT))
    import keras
    import numpy as np
    import tensorflow as tf

    from mmkeras.encoders import bert_text_encoder, vit_image_encoder
    from mmkeras.models import DualEncoder
    from mmkeras.models.recomputation import recompute_blocks

    keras.utils.set_random_seed(0)
    sizes = {"heads": 3, "embedding_dim": 128, "dropout": 0.1}
    image = vit_image_encoder(64, 64, patch=8, token_width=192, depth=depth or 6, **sizes)
    text = bert_text_encoder(VOCABULARY, LENGTH, width=192, depth=depth or 4, **sizes)
    model = DualEncoder(image, text, sub_batch=sub_batch)
    if recompute:
        recompute_blocks(model)
    model.compile()
    generator, ids = np.random.default_rng(0), np.arange(batch)
    pairs = {
        "image": generator.integers(0, 256, (batch, 64, 64, 3), "uint8"),
        "token_ids": generator.integers(4, VOCABULARY, (batch, LENGTH)).astype("int32"),
        "image_id": ids,
        "text_id": ids,
    }
    data, before = tf.data.Dataset.from_tensors(pairs).repeat(), peak()
    model.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
    start = time.perf_counter()
    loss = model.fit(data, steps_per_epoch=STEPS, verbose=0, shuffle=False).history["loss"][0]
    seconds = (time.perf_counter() - start) / STEPS
    print(json.dumps({"value": (peak() - before) / 2**20, "seconds": seconds, "loss": loss}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(*map(int, sys.argv[2:]))
    else:
        parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
        parser.add_argument("batch", type=int, help="pairs of a step")
        parser.add_argument("--sub-batch", type=int, default=64, help="pairs of a part")
        given = parser.parse_args()
        for row in measure(given.batch, given.sub_batch):
            print(f"{row['what']}: {row['value']:,.0f} MiB, {row['seconds']:.1f} s a step, loss {row['loss']:.4f}")
