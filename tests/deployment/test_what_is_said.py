"""Flags, metrics, files and names that the deployment files speak of exist."""

import importlib
import json
import re

from mmkeras.serving.stock_server import StockServer
from tests.deployment.conftest import flags

# Of tensorflow_model_server 2.20.0. An unknown one is only logged, so a slip of the pen would go unnoticed.
FLAGS = """port rest_api_port rest_api_num_threads rest_api_timeout_in_ms rest_api_enable_cors_support model_name
model_base_path model_config_file model_config_file_poll_wait_seconds enable_batching batching_parameters_file
enable_per_model_batching_parameters num_load_threads num_unload_threads max_num_load_retries
load_retry_interval_micros file_system_poll_wait_seconds flush_filesystem_caches tensorflow_session_parallelism
tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism tensorflow_session_config_file platform_config_file
per_process_gpu_memory_fraction grpc_channel_arguments grpc_max_threads grpc_socket_path ssl_config_file
monitoring_config_file enable_model_warmup num_request_iterations_for_warmup enable_profiler saved_model_tags
xla_cpu_compilation_enabled mixed_precision thread_pool_factory_config_file enable_grpc_healthcheck_service
enable_serialization_as_tensor_content enable_signature_method_name_check
allow_version_labels_for_unavailable_models version""".split()
METRICS = {
    "request_count": "model_name status",
    "request_latency": "model_name API entrypoint le",
    "runtime_latency": "model_name API runtime le",
    "model_warmup_latency": "model_path status le",
    "model_warmup_records_read": "model_path status",
    "batching_session:queuing_latency": "thread_pool_name le",
    "batching_session:processed_batch_size": "le",
    "batching_session:input_batch_size": "le",
    "batching_session:padding_size": "execution_batch_size le",
}


def test_every_flag_is_one_of_the_servers(compose, pod, serving):
    (container,) = pod["spec"]["containers"]
    named = set(flags(container["args"])) | set(flags(compose["services"]["model-server"]["command"]))
    commented = re.findall(r"# - --(\w+)", (serving / "compose.yaml").read_text())
    # With an underscore: those of docker, kubectl and rsync have none.
    named |= set(commented) | set(re.findall(r"--([a-z]+(?:_[a-z]+)+)", (serving / "README.md").read_text()))
    assert len(named) > 12 and named - set(FLAGS) == set()


def test_every_flag_of_mmkeras_serve_is_one_of_the_servers(tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {}")
    paths = {"config_file": tmp_path / "models.config"}
    paths |= dict.fromkeys(("batching_file", "monitoring_file", "ssl_file", "socket_path"), tmp_path / "any")
    server = StockServer("tensorflow_model_server", "/models/glyphs", "glyphs", 8500, 8501, **paths)
    named = set(flags(server.command[1:]))
    assert len(named) > 12 and named - set(FLAGS) == set()


def test_the_dashboard_shows_metrics_that_the_server_has(serving, yaml):
    (source,) = yaml.safe_load((serving / "grafana" / "datasources.yaml").read_text())["datasources"]
    dashboard = json.loads((serving / "grafana" / "dashboards" / "model-server.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 6
    seen = set()
    for panel in panels:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == source["uid"]
            expression = target["expr"]
            assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")
            names = re.findall(r":tensorflow:serving:([\w:]+?)(?:_bucket|_sum|_count)?(?=[\[{]|$)", expression)
            # `request_count` is a counter of that name, no histogram's count.
            names = ["request_count" if name == "request" else name for name in names]
            assert names, expression
            grouped = ",".join(re.findall(r"by \(([^)]*)\)", expression))
            used = set(re.findall(r"(\w+)(?:!=|=~|=)\"", expression)) | set(re.findall(r"\w+", grouped))
            for name in names:
                assert used <= set(METRICS[name].split()), expression
            seen |= set(names)
    assert seen >= {"request_count", "request_latency", "runtime_latency", "batching_session:queuing_latency"}


def test_modules_and_files_that_the_readme_names_exist(repository, serving):
    text = (serving / "README.md").read_text()
    files = set(re.findall(r"(?<![\w/.-])((?:serving|scripts)/[\w./-]*\w)", text))
    assert len(files) > 8
    assert [file for file in sorted(files) if not (repository / file).exists()] == []
    for name in re.findall(r"`mmkeras\.([\w.]+)`", text):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(f"mmkeras.{module}"), attribute), name
