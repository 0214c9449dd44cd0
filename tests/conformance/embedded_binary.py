"""What stands in for TensorFlow Serving's binary: the embedded server, started with the flags that the suite gives."""

import signal
import sys
import threading

from mmkeras.errors import MmkerasError
from mmkeras.serving import EmbeddedServer

flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
try:
    server = EmbeddedServer(
        config_file=flags["model_config_file"],
        port=int(flags["port"]),
        rest_port=int(flags["rest_api_port"]),
        batching_file=flags.get("batching_parameters_file"),
        monitoring_file=flags.get("monitoring_config_file"),
        ssl_file=flags.get("ssl_config_file"),
        allow_reload_config=["/"],  # as the stock server has it, and no bounds either
        max_rows=None,
        max_text_bytes=None,
        max_threads=int(flags["grpc_max_threads"]) if "grpc_max_threads" in flags else None,
    ).start()
except MmkerasError as error:
    sys.exit(f"Failed to start server. Error: {error}")
while not ended.wait(0.1):  # a wait without end is not interrupted by signals
    pass
server.stop()
