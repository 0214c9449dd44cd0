"""The options of a search page, of `mmkeras search-server` and of `mmkeras serve --ui`, with what `--help` says."""

import argparse
from pathlib import Path

UI_PORT = 8080
SEARCH_SERVER_EXAMPLES = """examples:
  mmkeras search-server --model photos                       before a server on 127.0.0.1:8500, with the indexes of
                                                             savedmodels/photos, each version's own
  mmkeras search-server --server tf-serving:8500 --model photos --index index --feedback feedback.jsonl
  mmkeras search-server --model photos --label canary --port 8081
  curl -s 127.0.0.1:8080/api/search -H 'Content-Type: application/json' -d '{"text": "a dog", "k": 5}'

It follows the version that the model server answers with, and answers nothing while no index is of that version's
space. It knows no users: on another address than 127.0.0.1 whoever reaches the port may search.
"""


def add_search_server_options(parser: argparse.ArgumentParser, server: str) -> None:
    """Declare the options of `mmkeras search-server`.

    Args:
        parser: of the command.
        server: the address that is asked where none is given.
    """
    parser.add_argument("--server", default=server, metavar="HOST:PORT", help=f"the model server (default {server})")
    parser.add_argument("--model", help="name of the served model (default: the only one in savedmodels/)")
    parser.add_argument(
        "--index",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="index folders, of which those of the answering version's space are searched; or a model's folder, whose "
        "versions have their own (default: savedmodels/MODEL)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, metavar="N", help="ask this version (default: the server's choice)")
    which.add_argument("--label", help="ask the version of this label")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=UI_PORT, help=f"default {UI_PORT}; 0 for a free one")
    parser.add_argument(
        "--allowed-host",
        nargs="+",
        default=(),
        metavar="NAME",
        help="names that a proxy on this machine is asked by and passes on; on a loopback address others are refused",
    )
    _feedback(parser)
    parser.add_argument(
        "--max-upload", type=float, default=10.0, metavar="MB", help="the largest picture to search by (default 10)"
    )
    parser.add_argument(
        "--concurrent", type=int, default=16, metavar="N", help="searches at a time; others are refused (default 16)"
    )


def add_ui_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `mmkeras serve` by which a page to search with stands beside the server.

    Args:
        parser: of the command.
    """
    parser.add_argument(
        "--ui",
        type=int,
        nargs="?",
        const=UI_PORT,
        metavar="PORT",
        help=f"also serve a page to search the model's index with (default port {UI_PORT})",
    )
    _feedback(parser)


def _feedback(parser):
    parser.add_argument(
        "--feedback",
        type=Path,
        metavar="FILE.jsonl",
        help="append the page's verdicts on results, as pairs to train on",
    )
