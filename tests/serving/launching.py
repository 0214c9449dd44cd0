"""`serve` in a process of its own, and the files that it takes."""

import json
import subprocess
import sys

SERVE = "import sys, json; from mmkeras.serving.launch import serve; sys.exit(serve(**json.loads(sys.argv[1])))"


def start(**arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, json.dumps(arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def write_configs(folder, model_path):
    """A models.config, a batching.config and a monitoring.config; {argument of serve: path}."""
    contents = {
        "config_file": f'model_config_list {{ config {{ name: "half" base_path: "{model_path}" '
        'model_platform: "tensorflow" } }',
        "batching_file": "max_batch_size { value: 8 } batch_timeout_micros { value: 1000 }",
        "monitoring_file": 'prometheus_config { enable: true path: "/metrics" }',
    }
    for argument, content in contents.items():
        (folder / argument).write_text(content)
    return {argument: str(folder / argument) for argument in contents}
