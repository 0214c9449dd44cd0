"""What stands in for `tensorflow_model_server` on the PATH: it opens the ports of its flags and answers nobody.

The environment's STAND_IN is a JSON object: `log`, a file for its flags and its end; `seconds` to its ports; `says`,
lines of its log; `exit_code`, to end with in place of ports; `no_http`, not to open the HTTP port; `deaf`, not to hear
SIGTERM; `lives`, the seconds after which it ends by itself, with 7.
"""

import json
import os
import signal
import socket
import sys
import time

told = json.loads(os.environ["STAND_IN"])


def write(text):
    with open(told["log"], "a") as log:
        log.write(text + "\n")


def end(*_):
    write("terminated")
    sys.exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if told.get("deaf") else end)
write(json.dumps(sys.argv[1:]))
for line in told.get("says", []):
    print(line, file=sys.stderr, flush=True)
time.sleep(told.get("seconds", 0))
if "exit_code" in told:
    sys.exit(told["exit_code"])
flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
listeners = []
for name in ["port"] if told.get("no_http") else ["port", "rest_api_port"]:
    if name in flags:
        listeners.append(socket.create_server(("", int(flags[name]))))
if "grpc_socket_path" in flags:
    listeners.append(socket.socket(socket.AF_UNIX))
    listeners[-1].bind(flags["grpc_socket_path"])
    listeners[-1].listen()
write("open")
time.sleep(told.get("lives", 60))
sys.exit(7)
