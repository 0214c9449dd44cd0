"""The options of each command of `mmkeras`, with what `--help` says of them."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from mmkeras import __version__
from mmkeras.arguments import DEFAULT_PRESET, DEFAULT_RECIPE, HALVES_RECIPE, PAIR_RECIPE
from mmkeras.embed_options import EXAMPLES as EMBED_EXAMPLES
from mmkeras.embed_options import add_embed_options
from mmkeras.index_options import INDEX_EXAMPLES, add_index_commands
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.search_options import SEARCH_SERVER_EXAMPLES, add_search_server_options, add_ui_options

DEFAULT_SERVER = "127.0.0.1:8500"

EXAMPLES = """examples:
  mmkeras recipes                                        what can be trained; recipes NAME: its settings
  mmkeras train captions.csv --images photos             train on your pictures; settings: epochs=2
  mmkeras train captions.csv --images photos --from google/siglip2-base-patch16-224
                                                         tune a published pair on them
  mmkeras train glyphs_dual_encoder --out runs/glyphs    train a recipe with data of its own
  mmkeras train --resume runs/glyphs                     go on where a run was cut off
  mmkeras data check captions.csv --images photos        what is in your data, and what is wrong with it
  mmkeras evaluate runs/glyphs                           metrics and an HTML report; --data FILE: on other data
  mmkeras compare runs/glyphs runs/other                 side by side; --html FILE for a page with curves
  mmkeras export runs/glyphs --to savedmodels/glyphs     the next version for TensorFlow Serving
  mmkeras parity savedmodels/glyphs                      does it answer what Keras answered?
  mmkeras gate savedmodels/photos --data captions.csv    is the new version no worse than the one before?
  mmkeras tflite runs/glyphs --out device                the encoders for phones and browsers
  mmkeras tflite runs/glyphs --web site                  a page that searches by itself, for any host of files
  mmkeras serve savedmodels/glyphs                       gRPC on 127.0.0.1:8500
  mmkeras serve savedmodels/photos --ui                  and a page to search with, on 127.0.0.1:8080
  mmkeras embed savedmodels/photos photos --to embeddings
                                                         all pictures of a folder, as Parquet files
  mmkeras query "greek small letter omega with tonos"    ask it; or: mmkeras query picture.png
  mmkeras index build embeddings --to index              an index that lives; mmkeras index --help has the rest
"""


DATA_CHECK_EXAMPLES = """examples:
  mmkeras data check captions.csv --images photos        pictures in a folder or a zip
  mmkeras data check captions.jsonl --html data.html     a page with figures and pictures
  mmkeras data check captions.jsonl --preset own.json    captions as the tokenizer of a preset cuts them
  mmkeras data check captions.jsonl --json | jq .problems

exit codes: 0 nothing to mend; 1 pictures or records that cannot be read, or a split without any;
2 a mistake in what was given
"""


def command_parser(commands: Mapping[str, Callable[[argparse.Namespace], int | None]]) -> argparse.ArgumentParser:
    """Return the parser of `mmkeras`; what it reads holds the `command` to call with it.

    Args:
        commands: dict from each command's name to its function.
    """
    parser = argparse.ArgumentParser(
        prog="mmkeras",
        description="Image-text embeddings with Keras 3: train, evaluate, export, serve, query.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmkeras {__version__}")
    added = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name, summary, group=None, **more):
        one = (added if group is None else group).add_parser(
            name.rpartition(" ")[2], help=summary, description=summary, **more
        )
        one.set_defaults(command=commands[name])
        return one

    def command_group(name, summary, **more):
        one = added.add_parser(name, help=summary, description=summary, **more)
        one.set_defaults(command=lambda options: one.print_help() or 2)
        return one.add_subparsers(title="commands", metavar="COMMAND")

    recipes = command("recipes", "List the recipes that come with the package, or show one with all settings.")
    recipes.add_argument("recipe", nargs="?", help="a name from the list, or the path of a TOML file")

    train = command("train", "Train on your pictures, or a recipe with data of its own; or resume a run.")
    train.add_argument(
        "what",
        nargs="?",
        metavar="DATA|RECIPE",
        help="your pictures with captions, a file or a folder in any layout; or a name from `mmkeras recipes`, or the "
        "path of a TOML file",
    )
    train.add_argument(
        "settings", nargs="*", metavar="key=value", help="settings over the recipe's own; mmkeras recipes NAME has all"
    )
    train.add_argument("--images", metavar="PLACE", help="where the pictures lie, a folder or an archive")
    train.add_argument(
        "--recipe",
        metavar="NAME",
        help=f"the recipe for DATA (default: {DEFAULT_RECIPE}; with --text-encoder: {HALVES_RECIPE}; with --from: "
        f"{PAIR_RECIPE})",
    )
    train.add_argument(
        "--from",
        dest="pretrained",
        metavar="PAIR",
        help="begin with a published pair, CLIP or SigLIP: a folder as Hugging Face keeps it, or a name",
    )
    train.add_argument(
        "--image-encoder",
        metavar="MODEL",
        help="begin with a published network of pictures, a folder or a name; several are joined by +",
    )
    train.add_argument(
        "--text-encoder", metavar="MODEL", help="begin with a published network of texts, a folder or a name"
    )
    train.add_argument("--out", type=Path, help="run folder (default: runs/NAME-DATE-TIME)")
    train.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run that was cut off")

    data = command_group("data", "Look at data of your own, or pack them: mmkeras data check SOURCE.")
    check = command(
        "data check",
        "Say what is in a data set of pictures with captions, and what is wrong with it.",
        data,
        epilog=DATA_CHECK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("source", metavar="SOURCE", help="a file or folder in any layout that can be trained on")
    check.add_argument("--images", metavar="PLACE", help="where the pictures lie, a folder, a zip or a tar")
    check.add_argument("--targets", choices=("none", "category", "tags"), default="none", help="its categories")
    check.add_argument("--html", type=Path, metavar="FILE", help="write a page with figures and pictures")
    check.add_argument("--json", action="store_true", help="print JSON, for programs")
    how = check.add_mutually_exclusive_group()
    how.add_argument(
        "--preset",
        metavar="NAME",
        help=f"the model that captions are counted for, a name or a JSON file (default: {DEFAULT_PRESET})",
    )
    how.add_argument("--recipe", metavar="NAME", help="that of a recipe, a name or a TOML file")

    pack = command("data pack", "Write pictures with their captions as tars, which any command takes as DATA.", data)
    pack.add_argument("source", metavar="SOURCE", help="a file or folder in any layout that can be trained on")
    pack.add_argument("--images", metavar="PLACE", help="where the pictures lie, a folder, a zip or a tar")
    pack.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the tars go")
    pack.add_argument(
        "--size",
        type=int,
        default=0,
        metavar="PX",
        help="bring the shorter side of larger pictures to so many px (default: leave them as they are)",
    )
    pack.add_argument("--shard", type=int, default=1000, metavar="N", help="pictures in a tar (default 1000)")
    pack.add_argument(
        "--skip-unreadable",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="the share of records that may be unreadable and are left out, 0 to 1",
    )

    evaluate = command("evaluate", "Measure a run on held-out data; write metrics.json and report.html.")
    evaluate.add_argument("run", type=Path, nargs="?", help="run folder (default: the newest in runs/)")
    evaluate.add_argument(
        "--from",
        dest="pretrained",
        metavar="PAIR",
        help="measure a published pair as it is on --data, without training",
    )
    evaluate.add_argument(
        "--templates",
        nargs="+",
        metavar="TEXT",
        help='classify pictures of --data by the names of their categories in sentences such as "a photo of a {}."',
    )
    evaluate.add_argument("--split", default="dev", help="dev (default), test or train, or another of --data")
    evaluate.add_argument("--data", default="", metavar="SOURCE", help="other data: a file or a folder in any layout")
    evaluate.add_argument(
        *("--images", "--image-folder"),
        dest="image_folder",
        default="",
        metavar="PLACE",
        help="where its pictures lie, a folder or an archive",
    )
    evaluate.add_argument("--targets", choices=("none", "category", "tags"), help="its categories (default: the run's)")

    evaluate.add_argument(
        "--k-test",
        type=int,
        metavar="N",
        help="re-rank the N best by embedding, by the matching head too (default: 128 where there is one); 0: do not",
    )

    compare = command("compare", "Show runs side by side: retrieval, modality gap, training time and size.")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    compare.add_argument("--each", action="store_true", help="keep runs apart that differ in their seed only")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a page with curves and plots")

    export = command("export", "Export a run as the next version of a served model.")
    export.add_argument("run", type=Path, nargs="?", help="run folder (default: the newest in runs/)")
    export.add_argument("--to", type=Path, required=True, metavar="savedmodels/NAME", help="the model's folder")
    export.add_argument(
        "--from", dest="pretrained", metavar="PAIR", help="export a published pair as it is, with an index of --data"
    )
    export.add_argument("--data", default="", metavar="SOURCE", help="the pictures of the index, with --from")
    export.add_argument("--images", dest="image_folder", default="", metavar="PLACE", help="where its pictures lie")

    tflite = command("tflite", "Write a run's encoders for phones and browsers, as TFLite.")
    tflite.add_argument("run", type=Path, nargs="?")
    tflite.add_argument("--out", type=Path, metavar="DIR", help="folder to write; must not exist")
    tflite.add_argument(
        "--web",
        type=Path,
        metavar="DIR",
        help="write a folder of files that searches in a browser alone, for any host of files; must not exist",
    )
    tflite.add_argument(
        "--runtime",
        type=Path,
        metavar="DIR",
        help="with --web: where LiteRT.js lies as npm pack wrote it (default: npm fetches it)",
    )
    tflite.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "float16", "dynamic", "int8"),
        default=["dynamic"],
        help="one or more (default: dynamic, weights of 8 bits; int8 is faster for pictures)",
    )
    tflite.add_argument(
        "--encoders",
        nargs="+",
        choices=("text", "image"),
        help="which (default: both, or the one that a device can feed; a phone that asks by text needs text alone)",
    )
    tflite.add_argument("--index", choices=("float16", "int8"), help="also write a compact index of the data set")
    tflite.add_argument("--check", metavar="PRESET", help="say whether a preset can be converted, before training it")

    parity = command("parity", "Compare an exported model with Keras; exit code 1 where they differ.")
    parity.add_argument("model", type=Path, metavar="savedmodels/NAME", help="the model's folder, a version's, or DIR")
    parity.add_argument("--server", metavar="HOST:PORT", help="compare a running server instead of the files")

    gate = command(
        "gate",
        "Compare two exported versions on held-out data, before a label moves; exit code 1 where the new one is worse.",
    )
    gate.add_argument("model", type=Path, metavar="savedmodels/NAME", help="the model's folder")
    gate.add_argument(
        "--data", required=True, metavar="SOURCE", help="pictures with captions, in any layout; or glyphs"
    )
    gate.add_argument("--images", metavar="PLACE", help="where the pictures lie, a folder or an archive")
    gate.add_argument("--split", default="dev", help="of the data (default dev); none of it may have been trained on")
    gate.add_argument("--version", type=int, metavar="N", help="the candidate (default: the newest)")
    gate.add_argument("--against", type=int, metavar="N", help="the version that is served (default: the one before)")
    gate.add_argument(
        "--tolerance",
        type=float,
        default=2.0,
        metavar="POINTS",
        help="by how much the rsum, of 600, may be lower (default 2)",
    )

    serve = command("serve", "Serve a model, or those of a models.config, until interrupted.")
    serve.add_argument("model", type=Path, nargs="?", metavar="savedmodels/NAME", help="the model's folder")
    serve.add_argument("--port", type=int, default=8500, help="gRPC port (default 8500)")
    serve.add_argument("--rest-port", type=int, help="HTTP port; no HTTP unless given")
    for option, what in (
        ("config", "models.config: several models, in place of savedmodels/NAME"),
        ("batching", "batching.config: server-side batching"),
        ("monitoring", "monitoring.config: Prometheus metrics on the HTTP port"),
        ("ssl", "ssl.config: TLS on the gRPC port"),
    ):
        serve.add_argument(f"--{option}", type=Path, metavar="FILE", help=what)
    serve.add_argument("--socket", type=Path, metavar="PATH", help="a Unix socket for gRPC beside the port")
    for option, default, what in (
        ("rows", MAX_ROWS, "rows of a request"),
        ("text-bytes", MAX_TEXT_BYTES, "bytes of a text"),
    ):
        for bounded in (export, serve):
            bounded.add_argument(
                f"--max-{option}", type=int, default=default, metavar="N", help=f"most {what} (default {default})"
            )
    serve.add_argument(
        "--allow-reload-config", action="store_true", help="let clients choose what is served of the folders given here"
    )

    add_ui_options(serve)

    search_server = command(
        "search-server",
        "Serve a page to search with, and its HTTP interface, before a running model server.",
        epilog=SEARCH_SERVER_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_search_server_options(search_server, DEFAULT_SERVER)

    embed = command(
        "embed",
        "Embed all pictures, or all texts, of a source, as Parquet files.",
        epilog=EMBED_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # --region is Beam's, and not short for an option of ours
    )
    add_embed_options(embed)

    query = command("query", "Ask a served model: a text finds pictures, a picture finds texts.")
    query.add_argument("query", help="a text, or the path of a picture")
    query.add_argument("--model", help="name of the served model (default: the only one in savedmodels/)")
    query.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help=f"default {DEFAULT_SERVER}")
    query.add_argument("--version", type=int, metavar="N", help="ask this version (default: the server's choice)")
    query.add_argument("--label", help="ask the version of this label")
    query.add_argument(
        "--index",
        type=Path,
        help="index folder (default: that of the version of --label or --version, or of the newest)",
    )
    query.add_argument("-k", type=int, default=5, help="results (default 5)")
    query.add_argument(
        "--where", metavar="EXPRESSION", help="only items for which this is true: \"category = 'shoe' AND price < 30\""
    )
    query.add_argument(
        "--rerank",
        type=int,
        metavar="K",
        help="rank the K best anew, by match too (default: 16 unless evaluate found that it costs); 0: do not",
    )
    query.add_argument("--json", action="store_true", help="print JSON, for programs")
    query.add_argument("--html", type=Path, metavar="FILE", help="write a page with the pictures")

    index = command_group(
        "index",
        "Make, change and search an index of what mmkeras embed wrote: mmkeras index build EMBEDDINGS --to INDEX.",
        epilog=INDEX_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_index_commands(command, index, DEFAULT_SERVER)
    return parser
