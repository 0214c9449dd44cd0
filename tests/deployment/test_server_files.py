"""models.config, rollout/, batching.config and monitoring.config, each read by its message."""

from pathlib import PurePosixPath

from google.protobuf import text_format

from mmkeras.serving import Client, protos
from tests.deployment.conftest import ROLLOUT, read_models


def rollout_files(serving):
    return [serving / "rollout" / f"{name}.config" for name in ROLLOUT]


def test_models_files_name_models_at_absolute_paths(serving):
    assert sorted(serving.glob("rollout/*")) == rollout_files(serving)
    for file in (serving / "models.config", *rollout_files(serving)):
        (model,) = read_models(file).config
        assert (model.name, model.base_path, model.model_platform) == ("glyphs", "/models/glyphs", "tensorflow")
        assert PurePosixPath(model.base_path).is_absolute()
    assert read_models(serving / "models.config").config[0].model_version_policy.latest.num_versions == 1


def test_every_step_of_the_rollout_can_follow_and_be_taken_back(serving):
    steps = [read_models(file).config[0] for file in rollout_files(serving)]
    versions = [set(step.model_version_policy.specific.versions) for step in steps]
    labels = [dict(step.version_labels) for step in steps]
    assert versions == [{1}, {1, 2}, {1, 2}, {1, 2}, {2}]
    assert [label["stable"] for label in labels] == [1, 1, 1, 2, 2]
    for before, after in ((0, 1), (1, 2), (2, 3), (3, 4), (3, 2), (2, 1), (1, 0)):
        # A label may only be given to a version that is loaded already, and stable is always one that stays.
        assert set(labels[after].values()) <= versions[before] & versions[after], (ROLLOUT[before], ROLLOUT[after])
        assert labels[before]["stable"] in versions[after]


def test_the_batching_file(serving):
    batching = text_format.Parse((serving / "batching.config").read_text(), protos.BatchingParameters())
    largest, run = batching.max_batch_size.value, batching.max_execution_batch_size.value
    with Client("127.0.0.1:1", "glyphs") as client:
        assert largest == client.max_batch  # or requests of the client's default would be refused
    assert batching.enable_large_batch_splitting.value and 0 < run < largest
    # Padding repeats the first element: wrong answers for variable-length inputs.
    assert not batching.pad_variable_length_inputs
    assert not batching.allowed_batch_sizes or batching.allowed_batch_sizes[-1] == run
    assert min(batching.num_batch_threads.value, batching.max_enqueued_batches.value) > 0
    assert 0 < batching.batch_timeout_micros.value <= 10_000


def test_the_monitoring_file_is_where_prometheus_looks(serving, yaml, pod):
    monitoring = text_format.Parse(
        (serving / "monitoring.config").read_text(), protos.MonitoringConfig()
    ).prometheus_config
    assert monitoring.enable
    (job,) = yaml.safe_load((serving / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["metrics_path"] == monitoring.path
    assert job["static_configs"] == [{"targets": ["model-server:8501"]}]
    assert pod["metadata"]["annotations"]["prometheus.io/path"] == monitoring.path
