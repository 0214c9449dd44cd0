"""The options of `mmkeras embed`."""

import argparse
from pathlib import Path

EXAMPLES = """examples:
  mmkeras embed savedmodels/photos captions.csv --images photos --to embeddings
  mmkeras embed savedmodels/photos photos --to embeddings --thumbnails    a folder of pictures, without captions
  mmkeras embed savedmodels/photos captions.csv --to texts --signature encode_text
  mmkeras embed photos captions.csv --to embeddings --server 127.0.0.1:8500
  mmkeras embed savedmodels/photos shards --to embeddings --shard $SLURM_ARRAY_TASK_ID/64
  mmkeras embed savedmodels/photos shards --to embeddings --runner FlinkRunner --flink_master=localhost:8081

A run that was cut off goes on when the same command is given again. Flags that are not listed here go to Apache Beam
with --runner; write them last.
"""


def add_embed_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command `embed`.

    Args:
        parser: of the command.
    """
    parser.set_defaults(engine_flags=())  # what is not known here is Beam's
    parser.add_argument(
        "model", metavar="savedmodels/NAME", help="the model's folder, or a version's; with --server its name there"
    )
    parser.add_argument("source", metavar="SOURCE", help="pictures or texts, a file or folder in any layout")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the Parquet files go")
    parser.add_argument("--images", metavar="PLACE", help="where the pictures lie, a folder, a zip or a tar")
    parser.add_argument(
        "--signature",
        default="encode_image_tolerant",
        metavar="NAME",
        help="what embeds: encode_image_tolerant (default), encode_image, or encode_text for all captions",
    )
    parser.add_argument("--version", type=int, metavar="N", help="of the model (default: the newest)")
    parser.add_argument("--server", default="", metavar="HOST:PORT", help="ask a server; nothing is loaded here")
    parser.add_argument(
        "--shard",
        default="0/1",
        metavar="I/N",
        help="be worker I, from 0 to N - 1, of N that share the work: files I, I + N, ... are written",
    )
    parser.add_argument(
        "--rows-per-shard", type=int, default=10_000, metavar="N", help="rows of a file (default 10000)"
    )
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="rows that the model is given at a time")
    parser.add_argument("--thumbnails", action="store_true", help="keep a small picture of each to be looked at")
    parser.add_argument(
        "--pictures-outside", action="store_true", help="let names of pictures lead out of --images, by ../ or links"
    )
    parser.add_argument("--runner", metavar="NAME", help="a runner of Apache Beam, such as FlinkRunner")
