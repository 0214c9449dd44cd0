"""The options of `mmkeras index` and its commands, with what `--help` says of them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

INDEX_EXAMPLES = """examples:
  mmkeras index build embeddings --to index              of what mmkeras embed wrote; --kind ivf: by faiss
  mmkeras index add index more-embeddings                items that are not there yet
  mmkeras index update index changed-embeddings          replace items of the same ids, add the others
  mmkeras index remove index a.jpg b.jpg                 or: --where "split = 'old'"; or: --ids-from FILE
  mmkeras index merge index other-index
  mmkeras index compact index                            without the removed ones, in one piece; --kind hnsw
  mmkeras index info index                               how many, of which space, what can be filtered by
  mmkeras index search index --id a.jpg                  what is like it
  mmkeras index search index --text "a dog" --where "price < 30" --model photos

Who searches an index while it changes finds what was there when it was opened. One command at a time changes it.
"""


def add_index_commands(command: Callable[..., argparse.ArgumentParser], group: Any, server: str) -> None:
    """Declare the commands of `mmkeras index`.

    Args:
        command: function that adds a command by name and summary to a group, and returns its parser.
        group: the group of the commands.
        server: the address that is asked where none is given.
    """

    def index_command(name, summary):
        examples = [line for line in INDEX_EXAMPLES.splitlines() if f" index {name} " in line]
        return command(
            f"index {name}",
            summary,
            group,
            epilog="\n".join(["examples:", *examples]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    build = index_command("build", "Make an index of what mmkeras embed wrote.")
    _embeddings(build)
    build.add_argument("--to", type=Path, required=True, metavar="INDEX", help="folder to write; must not exist")
    _kind(build, "how it is searched (default: exact up to 200,000 items and without faiss, else ivf)", "auto")
    build.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="of its numbers (default float32); float16 takes half the bytes, int8 a quarter",
    )

    add = index_command("add", "Add items; one that is there already is an error.")
    _index(add)
    _embeddings(add)

    update = index_command("update", "Replace items of the same ids, and add the others.")
    _index(update)
    _embeddings(update)

    remove = index_command("remove", "Remove items.")
    _index(remove)
    remove.add_argument("ids", nargs="*", metavar="ID", help="of the items")
    remove.add_argument("--ids-from", type=Path, metavar="FILE", help="a file with an id a line")
    _where(remove, "all items for which this is true")

    merge = index_command("merge", "Add the items of other indexes.")
    _index(merge)
    merge.add_argument("others", type=Path, nargs="+", metavar="OTHER", help="index folders of the same space")
    merge.add_argument("--replace", action="store_true", help="replace items of the same ids; otherwise an error")

    compact = index_command("compact", "Write an index in one piece, without what was removed.")
    _index(compact)
    _kind(compact, "how it is searched from now on (default: as before)", None)

    info = index_command("info", "Say what is in an index, and how it is searched.")
    _index(info)
    info.add_argument("--json", action="store_true", help="print JSON, for programs")

    search = index_command("search", "Find items like one that is there, or by a text or a picture.")
    _index(search)
    by = search.add_mutually_exclusive_group(required=True)
    by.add_argument("--id", metavar="ID", help="an item of the index, which is not among the results itself")
    by.add_argument("--text", help="a text, which a served model embeds")
    by.add_argument("--picture", type=Path, metavar="FILE", help="a picture, which a served model embeds")
    search.add_argument(
        "--in",
        dest="modality",
        choices=("image", "text"),
        help="which embeddings to search (default: images, by a picture texts, where there are any)",
    )
    search.add_argument("-k", "--k", type=int, default=5, help="results (default 5)")
    _where(search, "only items for which this is true")
    search.add_argument("--exact", action="store_true", help="search an approximate index exactly")
    search.add_argument("--json", action="store_true", help="print JSON, for programs")
    search.add_argument("--server", default=server, metavar="HOST:PORT", help=f"default {server}")
    search.add_argument("--model", help="name of the served model (default: the only one in savedmodels/)")


def _index(parser):
    parser.add_argument("index", type=Path, metavar="INDEX", help="index folder")


def _embeddings(parser):
    parser.add_argument(
        "embeddings", type=Path, metavar="EMBEDDINGS", help="a folder of part-*.parquet, or one such file"
    )


def _kind(parser, what, default):
    parser.add_argument("--kind", choices=("auto", "exact", "ivf", "hnsw"), default=default, help=what)


def _where(parser, what):
    parser.add_argument(
        "--where", metavar="EXPRESSION", help=f"{what}, in SQLite's words: \"category = 'shoe' AND price < 30\""
    )
