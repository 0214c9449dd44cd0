"""serving/embedding/: the Job fits Kubernetes' schemas, the array's line runs under bash, and Spark writes a table."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from mmkeras.cli import COMMANDS
from mmkeras.command_options import command_parser

from ..embeddings.conftest import encoded
from .test_kubernetes import KUBERNETES


@pytest.fixture
def job(serving, yaml):
    return yaml.safe_load((serving / "embedding" / "job.yaml").read_text())


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": f"text {row}"}) for row in range(6)))
    return tmp_path / "t.jsonl"


def parsed(arguments):
    """The options of an `mmkeras embed` that somebody wrote down."""
    return command_parser(COMMANDS).parse_args(arguments)


def test_the_job_fits_its_schema_and_its_pods_share_the_work(job):
    schemas = pytest.importorskip(
        "kubernetes_validate", reason='kubernetes-validate is not installed: pip install -e ".[test]"'
    )
    schemas.validate(job, KUBERNETES, strict=True)
    broken = json.loads(json.dumps(job))
    broken["spec"]["completion"] = 1
    with pytest.raises(schemas.ValidationError):
        schemas.validate(broken, KUBERNETES, strict=True)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    options = parsed(container["args"])
    assert container["command"] == ["mmkeras"] and spec["completionMode"] == "Indexed"
    assert options.shard == f"$(JOB_COMPLETION_INDEX)/{spec['completions']}"
    assert spec["parallelism"] <= spec["completions"] and spec["template"]["spec"]["restartPolicy"] == "Never"
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in spec["template"]["spec"]["volumes"]
    }
    for path, read_only in ((options.model, True), (options.source, True), (str(options.to), False)):
        assert mounts["/" + path.split("/")[1]] is read_only
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.fixture
def on_path(tmp_path):
    """An environment in which `mmkeras` is the tree's."""
    program = tmp_path / "bin" / "mmkeras"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mmkeras.cli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}


def submit(serving, on_path, *arguments, **variables):
    script = [shutil.which("bash"), str(serving / "embedding" / "slurm.sh"), *map(str, arguments)]
    environment = {name: value for name, value in on_path.items() if not name.startswith("SLURM_")}
    return subprocess.run(script, env={**environment, **variables}, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_a_task_of_the_array_embeds_its_share(serving, on_path, tiny_version, texts, tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'mmkeras[parquet]'")
    command = (tiny_version.parent, texts, "--to", tmp_path / "to", "--signature", "encode_text")
    command += ("--rows-per-shard", "2")
    done = submit(serving, on_path, *command, SLURM_ARRAY_TASK_ID="1", WORKERS="2")
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["part-00001-of-00003.parquet"]
    done = submit(serving, on_path, *command)
    assert done.returncode != 0 and "submit this with sbatch" in done.stderr


def test_the_array_has_as_many_tasks_as_there_are_workers(serving):
    script = (serving / "embedding" / "slurm.sh").read_text()
    assert "#SBATCH --array=0-63\n" in script and "${WORKERS:-64}" in script


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed: pip install pyspark")
@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed: pip install pandas")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17, and there is no java here")
def test_spark_writes_a_table(serving, tiny_version, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install 'mmkeras[parquet]'")
    (tmp_path / "in").mkdir()
    for number in range(5):
        (tmp_path / "in" / f"{number}.png").write_bytes(b"no picture" if number == 3 else encoded(number))
    command = [sys.executable, str(serving / "embedding" / "spark_embed.py"), "--master", "local[2]"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYSPARK_PYTHON": sys.executable}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [*command, str(tiny_version), str(tmp_path / "in"), str(tmp_path / "table")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Embedded: 5 pictures, 1 of them failed" in done.stdout
    rows = {row["id"].rpartition("/")[2]: row for row in parquet.read_table(tmp_path / "table").to_pylist()}
    assert set(rows) == {f"{number}.png" for number in range(5)}
    assert rows["3.png"]["embedding"] is None and rows["3.png"]["error"].startswith("expected a JPEG")
    assert sum(x * x for x in rows["0.png"]["embedding"]) == pytest.approx(1, abs=1e-5)
    assert len({row["space_id"] for row in rows.values()}) == 1
