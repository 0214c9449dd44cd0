"""`mmkeras embed`: pictures a second beside direct calls of the same SavedModel, and what it takes of memory.

    python scripts/benchmarks/embedding.py                     some fifteen minutes
    python scripts/benchmarks/embedding.py speed               a few minutes

`speed`: JPEGs of 224 px in tars, embedded by a network that takes about as long as their decoding. One process of
`EmbeddingJob.run`, its model loaded before, beside a loop of direct calls of the same signature of the same SavedModel
in a process of its own, over batches of the same pictures that are in memory already; then two of each at a time, as
workers 0/2 and 1/2. The turns alternate, ratios are medians over them. Success: ratios above 0.9. `memory`: the peaks
of processes that embed 5,000 and 20,000 of the pictures, and the slope between the two, bytes a picture; the yardstick
is a picture's pixels, 150,528 bytes. Success: below 0.02.
"""

import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peak import peak
from benchmarks.pictures_from_disk import PIXELS, SIDE, write_pictures

ROOT = Path(__file__).resolve().parents[2]
PICTURES, ROUNDS, BATCH = 2_000, 7, 64
FEW, MANY = 5_000, 20_000
IN_A_TAR = 500
SIGNATURE = "encode_image_tolerant"


def write_model(folder):
    """Export an untrained model of pictures of 224 px; return the version's folder."""
    from mmkeras.data import Glyphs
    from mmkeras.export import export_saved_model
    from mmkeras.models import DualEncoder

    preset = {
        "format": 2,
        "model": "DualEncoder",
        "image_preprocessor": {"height": SIDE, "width": SIDE},
        "image_encoder": {"kind": "conv", "widths": [8, 16, 32], "embedding_dim": 256},
        "text_preprocessor": {"vocabulary_size": 300, "sequence_length": 16},
        "text_encoder": {"kind": "bag_of_tokens", "width": 64, "embedding_dim": 256},
    }
    model = DualEncoder.from_preset(preset, texts=Glyphs().split("dev").texts)
    export_saved_model(model, Path(folder) / "1")
    return Path(folder) / "1"


def write_tars(folder, count):
    """Write JPEGs as tars in which each has its caption; return their folder."""
    captions = write_pictures(Path(folder) / "files", count)
    tars = Path(folder) / "tars"
    tars.mkdir()
    pictures = sorted(captions.parent.glob("*.jpg"))
    for start in range(0, count, IN_A_TAR):
        with tarfile.open(tars / f"{start // IN_A_TAR:05}.tar", "w") as tar:
            for picture in pictures[start : start + IN_A_TAR]:
                tar.add(picture, picture.name)
                picture.unlink()
    return tars


def serve(side, model, tars, worker, workers):
    """Print a line when ready, then for each line that comes the seconds of embedding this worker's pictures."""
    from mmkeras.data.stores import OpenPlaces
    from mmkeras.embeddings import EmbeddingJob, EncoderSettings
    from mmkeras.embeddings.corpus import Corpus
    from mmkeras.embeddings.plan import read_rows, write_plan
    from mmkeras.embeddings.shard_embedding import batches_of

    settings = EncoderSettings(str(model), SIGNATURE)
    encoder = settings.opened()
    EncoderSettings.open = EncoderSettings.opened  # the model is loaded once, on both sides
    type(encoder).close = lambda self: None
    with tempfile.TemporaryFile() as stream:
        plan = write_plan(Corpus(tars), stream, IN_A_TAR, worker, workers)
        places = OpenPlaces()
        batches = [
            [places.read(row.place) for row in batch]
            for shard in plan.shards
            for batch in batches_of(read_rows(stream, shard, plan.columns), BATCH)
        ]
    encoder.encode(batches[0])
    count = sum(map(len, batches))
    print(json.dumps(count), flush=True)
    for _ in sys.stdin:
        with tempfile.TemporaryDirectory() as to:
            start = time.perf_counter()
            if side == "embed":
                EmbeddingJob(
                    model, tars, to, signature=SIGNATURE, worker=worker, workers=workers, rows_per_shard=IN_A_TAR
                ).run()
            else:
                function = encoder._functions[SIGNATURE]
                constant = encoder._tensorflow.constant
                for batch in batches:
                    {name: value.numpy() for name, value in function(image_bytes=constant(batch)).items()}
            print(json.dumps(time.perf_counter() - start), flush=True)


class _Processes:
    """Processes of one side, which take their turns at once."""

    def __init__(self, side, model, tars, workers):
        command = [sys.executable, __file__, "--serve", side, str(model), str(tars)]
        self._processes = [
            subprocess.Popen(
                [*command, str(worker), str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for worker in range(workers)
        ]
        self.counts = [self._answer(process) for process in self._processes]

    def rate(self):
        """Pictures a second of a turn of all of them."""
        for process in self._processes:
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(self.counts) / max(self._answer(process) for process in self._processes)

    def close(self):
        for process in self._processes:
            process.stdin.close()
            process.wait()

    @staticmethod
    def _answer(process):
        line = process.stdout.readline()
        if not line:
            sys.exit(f"A process of the benchmark ended with exit code {process.wait()}")
        return json.loads(line)


def _speed(model, tars, workers, rounds):
    sides = {side: _Processes(side, model, tars, workers) for side in ("embed", "direct")}
    try:
        turns = [{side: processes.rate() for side, processes in sides.items()} for _ in range(rounds)]
    finally:
        for processes in sides.values():
            processes.close()
    ratios = [one["embed"] / one["direct"] for one in turns]
    low, _, high = statistics.quantiles(ratios, n=4)
    direct = statistics.median(one["direct"] for one in turns)
    return {
        "what": f"embed, processes: {workers}, pictures of {SIDE} px in tars",
        "value": statistics.median(one["embed"] for one in turns),
        "unit": "images/s",
        "yardstick": f"direct calls {direct:.3g} images/s (half of the ratios {low:.2f} to {high:.2f})",
        "ratio": statistics.median(ratios),
    }


def _peak(model, tars):
    command = [sys.executable, __file__, "--peak", str(model), str(tars)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(done.stdout.splitlines()[-1])


def measure(sections=("speed", "memory"), pictures=PICTURES, sizes=(FEW, MANY), rounds=ROUNDS):
    """Return one row a measurement, as `scripts/benchmark.py` prints them; of more `pictures` than a tar has."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        model = write_model(f"{scratch}/model")
        if "speed" in sections:
            tars = write_tars(f"{scratch}/speed", pictures)
            rows += [_speed(model, tars, workers, rounds) for workers in (1, 2)]
        if "memory" in sections:
            few, many = (_peak(model, write_tars(f"{scratch}/{count}", count)) for count in sizes)
            slope = (many - few) / (sizes[1] - sizes[0])
            rows.append(
                {
                    "what": f"embed: peaks of {few / 2**20:,.0f} and {many / 2**20:,.0f} MiB; slope",
                    "value": slope,
                    "unit": "bytes a picture",
                    "yardstick": PIXELS,
                    "ratio": slope / PIXELS,
                }
            )
    return rows


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:5], *map(int, sys.argv[5:]))
    elif sys.argv[1:2] == ["--peak"]:
        from mmkeras.embeddings import EmbeddingJob

        with tempfile.TemporaryDirectory() as folder:
            EmbeddingJob(sys.argv[2], sys.argv[3], folder, signature=SIGNATURE).run()
        print(peak())
    else:
        for line in measure(sys.argv[1:] or ("speed", "memory")):
            print(f"{line['what']}: {line['value']:,.4g} {line['unit']} ({line['ratio']:.3g} x {line['yardstick']})")
