"""The same work on Apache Beam: shards are small, workers need little, flags reach the runner."""

import json
import pickle
import sys

import pytest

from mmkeras.embeddings import EmbeddingJob, EncoderSettings, encoder_settings, list_parts
from mmkeras.embeddings.beam_pipeline import pipeline_options
from mmkeras.embeddings.corpus import Corpus
from mmkeras.embeddings.plan import write_plan
from mmkeras.embeddings.shard_worker import ShardWorker
from mmkeras.errors import MmkerasError

from ..test_client_distribution import alone, client_files, client_setup  # noqa: F401
from .conftest import COUNT

REASON = "Apache Beam is not installed: pip install 'mmkeras[beam]'"


@pytest.fixture(scope="module")
def beam():
    return pytest.importorskip("apache_beam", reason=REASON)


@pytest.fixture(autouse=True)
def no_model_before(monkeypatch):
    monkeypatch.setattr(encoder_settings, "_OPENED", {})


def test_the_direct_runner_writes_what_one_process_writes(beam, tiny_version, photos, tmp_path, monkeypatch):
    opened = []
    open_it = EncoderSettings.open
    monkeypatch.setattr(EncoderSettings, "open", lambda self: opened.append(self) or open_it(self))
    job = EmbeddingJob(tiny_version, photos, tmp_path / "beam", rows_per_shard=2)
    summary = job.run_on_beam(["--runner", "DirectRunner"])
    assert (summary.rows, summary.failed, summary.files, summary.written) == (COUNT, 2, 6, 6)
    assert len(opened) == 1  # by the one process that there is
    assert [file.name for file in (tmp_path / "beam").iterdir() if file.name.startswith(".")] == []
    EmbeddingJob(tiny_version, photos, tmp_path / "here", rows_per_shard=2).run()
    on_beam, here = (list_parts(tmp_path / folder) for folder in ("beam", "here"))
    assert [file.name for file in on_beam] == [file.name for file in here]
    assert [file.read_bytes() for file in on_beam] == [file.read_bytes() for file in here]
    on_beam[1].unlink()
    assert job.run_on_beam(["--runner", "DirectRunner"]).written == 1


def test_what_a_worker_says_is_told_as_one_line(beam, tiny_version, photos, tmp_path, monkeypatch):
    job = EmbeddingJob(tiny_version, photos, tmp_path / "to", rows_per_shard=2)
    monkeypatch.setattr(ShardWorker, "__call__", lambda self, shard: refuse(shard.name))
    with pytest.raises(MmkerasError, match="^The pipeline failed: part-0000._of-00006.parquet cannot be written$|^The"):
        job.run_on_beam(["--runner", "DirectRunner"])
    assert list((tmp_path / "to").iterdir()) == []
    with pytest.raises(MmkerasError, match="NoSuchRunner"):
        job.run_on_beam(["--runner", "NoSuchRunner"])


def refuse(name):
    raise MmkerasError(f"{name} cannot be written")


@pytest.mark.parametrize(
    ("flags", "view", "expected"),
    [
        (
            ["--runner=FlinkRunner", "--flink_master=host:8081", "--parallelism=4", "--environment_type=LOOPBACK"],
            ["FlinkRunnerOptions", "PortableOptions"],
            {"runner": "FlinkRunner", "flink_master": "host:8081", "environment_type": "LOOPBACK"},
        ),
        (
            ["--runner", "SparkRunner", "--spark_master_url", "spark://host:7077", "--spark_version", "3"],
            ["SparkRunnerOptions"],
            {"runner": "SparkRunner", "spark_master_url": "spark://host:7077", "spark_version": "3"},
        ),
        (
            ["--runner", "DataflowRunner", "--project", "p", "--region", "r1", "--temp_location", "gs://b/t"]
            + ["--sdk_container_image", "image:1", "--max_num_workers", "64"],
            ["GoogleCloudOptions", "WorkerOptions"],
            {"project": "p", "region": "r1", "temp_location": "gs://b/t", "sdk_container_image": "image:1"}
            | {"max_num_workers": 64},
        ),
    ],
    ids=["Flink", "Spark", "Dataflow"],
)
def test_flags_of_an_engine_reach_it(beam, tiny_version, photos, tmp_path, monkeypatch, flags, view, expected):
    """From the command line to what Beam reads, options of ours before and after them."""
    from apache_beam.options import pipeline_options as of_beam

    from mmkeras.cli import main

    given = []
    monkeypatch.setattr(EmbeddingJob, "run_on_beam", lambda self, flags: given.append(flags) or sys.exit(7))
    command = ["embed", tiny_version, photos, "--to", tmp_path / "to", "--rows-per-shard", 5, *flags, "--thumbnails"]
    with pytest.raises(SystemExit, match="7"):
        main(list(map(str, command)))
    options = pipeline_options(given[0])
    seen = {}
    for name in ["StandardOptions", *view]:
        seen |= vars(options.view_as(getattr(of_beam, name)))["_visible_options"].__dict__
    assert expected.items() <= {key: seen[key] for key in expected}.items()


def test_a_flag_without_a_runner_is_a_mistake(tiny_version, photos, tmp_path, capsys):
    from mmkeras.cli import main

    assert main(["embed", str(tiny_version), str(photos), "--to", str(tmp_path / "to"), "--parallelism=4"]) == 2
    assert "Unrecognized arguments: --parallelism=4. Flags of Apache Beam go with --runner" in capsys.readouterr().err


# --- What travels, and what a worker needs ---


def test_a_shard_travels_in_a_few_hundred_bytes_however_many_rows_it_has(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": f"text {row}"}) for row in range(5000)))
    with open(tmp_path / "plan", "wb") as stream:
        plan = write_plan(Corpus(tmp_path / "t.jsonl", modality="text"), stream, 5000)
    assert len(pickle.dumps(plan.shards[0])) < 500
    settings = EncoderSettings("model", "encode_text")
    assert len(pickle.dumps(ShardWorker(settings, str(tmp_path / "plan"), str(tmp_path), plan.columns))) < 1500


def test_a_worker_needs_the_client_alone(alone, client_files, tiny_version, photos, tmp_path):  # noqa: F811
    """With the client's files and the libraries, and where nothing of ours imports Keras."""
    with open(tmp_path / "plan", "wb") as stream:
        plan = write_plan(Corpus(photos), stream, 6)
    settings = EncoderSettings(str(tiny_version), "encode_image_tolerant")
    worker = ShardWorker(settings, str(tmp_path / "plan"), str(tmp_path / "to"), plan.columns)
    packed = pickle.dumps((worker, plan.shards))
    (tmp_path / "packed").write_bytes(packed)
    code = f"""
import builtins, json, pickle, sys

real = builtins.__import__
def guarded(name, globals=None, *rest, **named):
    if name.partition(".")[0] == "keras" and (globals or {{}}).get("__name__", "").startswith("mmkeras"):
        raise ImportError("mmkeras imports keras")
    return real(name, globals, *rest, **named)
builtins.__import__ = guarded
worker, shards = pickle.load(open({str(tmp_path / "packed")!r}, "rb"))
names = [worker(shard) for shard in shards]
print(json.dumps([names, sorted(name for name in sys.modules if name.startswith("mmkeras"))]))
"""
    done = alone("-c", code)
    assert done.returncode == 0, done.stderr
    names, modules = json.loads(done.stdout.splitlines()[-1])
    assert names == [file.name for file in list_parts(tmp_path / "to")] == [shard.name for shard in plan.shards]
    rooms = {name.split(".")[1] for name in modules if "." in name}
    assert not rooms & {"encoders", "models", "layers", "training", "preprocessing", "export", "evaluation", "losses"}
    assert "mmkeras/embeddings/shard_worker.py" in client_files
