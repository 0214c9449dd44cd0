"""Features that several processes compute, one of which is killed: no work is lost but the last of it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

PROCESS = """
import sys, time
from pathlib import Path
import keras, numpy as np
from mmkeras.data import cached_rows
from mmkeras.encoders import FrozenFeatures
from mmkeras.preprocessing import ImagePreprocessor

place, first, last, pause = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
cached_rows.SHARD_BYTES = 64 * 5 * 4  # 64 pictures
read_bytes, read = Path.read_bytes, []
Path.read_bytes = lambda self: (read.append(self), read_bytes(self))[1]

class Slow(FrozenFeatures):
    computed = 0

    def _features(self, pixels):
        features = super()._features(pixels)
        self.computed += len(pixels)
        print(self.computed, flush=True)
        time.sleep(pause)
        return features

inputs = keras.Input((4, 6, 3))
outputs = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
backbone = keras.Model(inputs, outputs)
backbone.set_weights([np.arange(360, dtype="float32").reshape(72, 5) % 7 / 100, np.zeros(5, "float32")])
loader = Slow(backbone, ImagePreprocessor(4, 6), place / "cache")
paths = [place / f"{row}.png" for row in range(first, last)]
read.clear()
print("start", flush=True)
features = loader.load(paths)
print("end", loader.computed, len(read), flush=True)
np.save(place / f"{first}-{last}-{len(read)}.npy", features)
"""


@pytest.fixture
def place(tmp_path):
    """A folder with 640 pictures that were written long ago."""
    pixels = np.random.default_rng(0).integers(0, 256, (640, 4, 6, 3), "uint8")
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
        os.utime(tmp_path / f"{row}.png", (1e9, 1e9))
    return tmp_path


def start(place, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, place, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """How many pictures a process computed, and how many it read."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    _, computed, read = out.splitlines()[-1].split()
    return int(computed), int(read)


def rows_in_shards(place):
    counts = []
    for file in place.rglob("cache/features-*/*.cache"):
        with open(file, "rb") as stream:
            stream.seek(65)
            with np.load(stream) as arrays:
                counts.append(len(arrays["rows"]))
    return counts


@pytest.mark.slow
def test_a_killed_process_loses_its_last_shard_alone(place):
    process = start(place, 0, 640, 0.2)
    for line in process.stdout:
        if line.strip() == "352":  # five shards of 64 were written, a batch of the sixth was computed
            process.kill()
            break
    process.wait(30)
    kept = rows_in_shards(place)
    assert kept == [64] * 5
    assert end(start(place, 0, 640, 0)) == (640 - 320, 640 - 320)
    assert end(start(place, 0, 640, 0)) == (0, 0)
    computed, known = (np.load(place / f"0-640-{read}.npy") for read in (320, 0))
    assert np.array_equal(computed, known) and np.isfinite(computed).all()


@pytest.mark.slow
def test_processes_that_compute_at_once_lose_nothing(place):
    processes = [start(place, 0, 400, 0.05), start(place, 240, 640, 0.05)]
    for process in processes:
        computed, read = end(process)
        assert computed > 0 and read == 400
    assert end(start(place, 0, 640, 0)) == (0, 0)
    both, one, other = (np.load(place / name) for name in ("0-640-0.npy", "0-400-400.npy", "240-640-400.npy"))
    assert np.array_equal(both[:400], one) and np.array_equal(both[240:], other)
