"""The `mmkeras` command.

Every command imports what it needs when it runs, and TensorFlow only after what can be told without it: help, queries
and mistakes are instant.
"""

import argparse
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmkeras import __version__
from mmkeras.arguments import check_names, finished_run, only_model
from mmkeras.atomic import refuse_existing
from mmkeras.console import (
    print_answer,
    print_comparison,
    print_device,
    print_metrics,
    print_parity,
    print_recipe,
    print_table,
    quiet_tensorflow,
)
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.printable import mmkeras_command, printable

DEFAULT_SERVER = "127.0.0.1:8500"
MODELS = Path("savedmodels")

EXAMPLES = """examples:
  mmkeras recipes                                        what can be trained; recipes NAME: its settings
  mmkeras train glyphs_dual_encoder --out runs/glyphs    train; settings: epochs=2 learning_rate=3e-4
  mmkeras train --resume runs/glyphs                     go on where a run was cut off
  mmkeras evaluate runs/glyphs                           metrics and an HTML report; --data FILE: on other data
  mmkeras compare runs/glyphs runs/other                 side by side; --html FILE for a page with curves
  mmkeras export runs/glyphs --to savedmodels/glyphs     the next version for TensorFlow Serving
  mmkeras parity savedmodels/glyphs                      does it answer what Keras answered?
  mmkeras tflite runs/glyphs --out device                the text encoder for phones and browsers
  mmkeras serve savedmodels/glyphs                       gRPC on 127.0.0.1:8500
  mmkeras query "greek small letter omega with tonos"    ask it; or: mmkeras query picture.png
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 for a failed check, 2 for a mistake in what was given."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is spelt, and no traceback
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse ends the list of settings at the first option: train RECIPE --out RUN epochs=2 leaves epochs=2 over.
    if "settings" in options and all("=" in word and not word.startswith("-") for word in rest):
        options.settings += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if "command" not in options:
        parser.print_help()
        return 2
    try:
        return options.command(options) or 0
    except MmkerasError as error:
        return _refuse(error)
    except ModuleNotFoundError as error:
        if missing := MissingPartError.of(error):
            return _refuse(missing)
        raise
    except KeyboardInterrupt:
        print("\nmmkeras: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        return 0


def _refuse(error):
    """Print an error, a line for each of its own; return the exit code."""
    told = "\n  ".join(filter(None, map(str.strip, str(error).splitlines())))
    print(printable(f"mmkeras: error: {told}"), file=sys.stderr)
    return error.exit_code


def _parser():
    parser = argparse.ArgumentParser(
        prog="mmkeras",
        description="Image-text embeddings with Keras 3: train, evaluate, export, serve, query.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmkeras {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name, function, summary):
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(command=function)
        return added

    recipes = command(
        "recipes", _recipes, "List the recipes that come with the package, or show one with all settings."
    )
    recipes.add_argument("recipe", nargs="?", help="a name from the list, or the path of a TOML file")

    train = command("train", _train, "Train a recipe into a run folder, or resume a run.")
    train.add_argument("recipe", nargs="?", help="a name from `mmkeras recipes`, or the path of a TOML file")
    train.add_argument(
        "settings", nargs="*", metavar="key=value", help="settings over the recipe's own; mmkeras recipes NAME has all"
    )
    train.add_argument("--out", type=Path, help="run folder (default: runs/RECIPE-DATE-TIME)")
    train.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run that was cut off")

    evaluate = command("evaluate", _evaluate, "Measure a run on held-out data; write metrics.json and report.html.")
    evaluate.add_argument("run", type=Path)
    evaluate.add_argument("--split", default="dev", help="dev (default), test or train, or another of --data")
    evaluate.add_argument("--data", default="", metavar="SOURCE", help="other data: a captions file (.jsonl, .json)")
    evaluate.add_argument("--image-folder", default="", metavar="PLACE", help="where its pictures lie, a folder or zip")
    evaluate.add_argument("--targets", choices=("none", "category", "tags"), help="its categories (default: the run's)")

    evaluate.add_argument(
        "--k-test",
        type=int,
        metavar="N",
        help="re-rank the N best by embedding, by the matching head too (default: 128 where there is one); 0: do not",
    )

    compare = command("compare", _compare, "Show runs side by side: retrieval, modality gap, training time and size.")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders, two or more")
    compare.add_argument("--each", action="store_true", help="keep runs apart that differ in their seed only")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a page with curves and plots")

    export = command("export", _export, "Export a run as the next version of a served model.")
    export.add_argument("run", type=Path)
    export.add_argument("--to", type=Path, required=True, metavar="savedmodels/NAME", help="the model's folder")

    tflite = command("tflite", _tflite, "Write a run's text encoder for phones and browsers, as TFLite.")
    tflite.add_argument("run", type=Path, nargs="?")
    tflite.add_argument("--out", type=Path, metavar="DIR", help="folder to write; must not exist")
    tflite.add_argument(
        "--precision",
        nargs="+",
        choices=("float32", "float16", "dynamic", "int8"),
        default=["dynamic"],
        help="one or more (default: dynamic, weights of 8 bits)",
    )
    tflite.add_argument("--index", choices=("float16", "int8"), help="also write a compact index of the data set")
    tflite.add_argument("--check", metavar="PRESET", help="say whether a preset can be converted, before training it")

    parity = command("parity", _parity, "Compare an exported model with Keras; exit code 1 where they differ.")
    parity.add_argument("model", type=Path, metavar="savedmodels/NAME", help="the model's folder, a version's, or DIR")
    parity.add_argument("--server", metavar="HOST:PORT", help="compare a running server instead of the files")

    serve = command("serve", _serve, "Serve a model, or those of a models.config, until interrupted.")
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
    for option, default, what in (("rows", 4096, "rows of a request"), ("text-bytes", 65536, "bytes of a text")):
        for bounded in (export, serve):
            bounded.add_argument(
                f"--max-{option}", type=int, default=default, metavar="N", help=f"most {what} (default {default})"
            )
    serve.add_argument(
        "--allow-reload-config", action="store_true", help="let clients choose what is served of the folders given here"
    )

    query = command("query", _query, "Ask a served model: a text finds pictures, a picture finds texts.")
    query.add_argument("query", help="a text, or the path of a picture")
    query.add_argument("--model", help="name of the served model (default: the only one in savedmodels/)")
    query.add_argument("--server", default=DEFAULT_SERVER, metavar="HOST:PORT", help=f"default {DEFAULT_SERVER}")
    query.add_argument("--version", type=int, metavar="N", help="ask this version (default: the server's choice)")
    query.add_argument("--label", help="ask the version of this label")
    query.add_argument("--index", type=Path, help="index folder (default: that of --version, or of the newest)")
    query.add_argument("-k", type=int, default=5, help="results (default 5)")
    query.add_argument(
        "--rerank",
        type=int,
        metavar="K",
        help="rank the K best anew, by match too (default: 16 unless evaluate found that it costs); 0: do not",
    )
    query.add_argument("--json", action="store_true", help="print JSON, for programs")
    query.add_argument("--html", type=Path, metavar="FILE", help="write a page with the pictures")
    return parser


def _recipes(options):
    from mmkeras.training.recipe import list_recipes, recipe_title

    if options.recipe:
        print_recipe(options.recipe)
        return
    print_table("Recipes", ("recipe", "what it trains"), [(name, recipe_title(name)) for name in list_recipes()])
    print("Its settings, with their reasons and what each means: mmkeras recipes NAME")


def _train(options):
    from mmkeras.training.recipe import Recipe

    if options.resume and (options.recipe or options.settings or options.out):
        raise MmkerasError("A run goes on with its own settings, in its own folder: --resume RUN takes nothing else")
    if not options.resume and not options.recipe:
        raise MmkerasError("Expected either a RECIPE (mmkeras recipes lists them) or --resume RUN")
    if options.recipe:
        recipe = Recipe.load(options.recipe, options.settings)
        check_names(recipe)
        name = Path(options.recipe).stem
    from mmkeras.training.run import Run

    if options.resume:
        run = Run(options.resume)
        if run.finished:
            print(f"{run.folder} has finished already; nothing to do")
            return 0
    else:
        run = Run.create(options.out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", name, recipe)
    try:
        quiet_tensorflow()
        from mmkeras.training import train

        train(run)
    except KeyboardInterrupt:
        print(f"\nInterrupted. Go on with: {mmkeras_command('train', '--resume', run.folder)}", file=sys.stderr)
        return 130
    except MmkerasError:
        if not options.resume:
            run.discard()  # a mistake in the settings must not take the folder's name
        raise
    print(f"Trained:   {run.file('model.keras')}\nNext:      {mmkeras_command('evaluate', run.folder)}")
    print(f"In Python: mmkeras.load_model({str(run.folder)!r})")
    return 0


def _evaluate(options):
    if not options.data and (options.image_folder or options.targets):
        raise MmkerasError("A run knows its own data: --image-folder and --targets go with other data, --data SOURCE")
    run = finished_run(options.run)
    from mmkeras.data.sources import check_source

    check_source(options.data or run.recipe.data, options.split)
    quiet_tensorflow()
    from mmkeras.evaluation.measuring.reranking_worth import reranking_costs
    from mmkeras.evaluation.report.run_report import evaluate_run, evaluation_files
    from mmkeras.training.memorisation import learnt_by_heart

    targets = "" if options.targets == "none" else options.targets
    other = {"source": options.data, "image_folder": options.image_folder, "targets": targets}
    evaluation = evaluate_run(run, options.split, k_test=options.k_test, **other)
    print_metrics(f"{run.folder} on {evaluation.data.name}", evaluation.metrics)
    held_out = not options.data and options.split != run.recipe.train_split
    if held_out and (note := learnt_by_heart(run, evaluation.metrics)):
        print(note)
    if not options.data and reranking_costs(evaluation.metrics):
        print("Re-ranking by match makes the results worse here: an export of this run will not do it by itself")
    _, report = evaluation_files(run, options.data, evaluation.data)
    print(f"Report: {report}\nNext:   {mmkeras_command('export', run.folder)} --to savedmodels/NAME")


def _compare(options):
    from mmkeras.evaluation.comparison import Comparison

    comparison = Comparison(options.runs, options.each)
    print_comparison(comparison)
    if options.html:
        from mmkeras.evaluation.comparison import write_comparison

        write_comparison(options.html, comparison)
        print(f"Page: {options.html}")


def _export(options):
    from mmkeras.export.model_folder import check_model_folder

    check_model_folder(options.to)
    run = finished_run(options.run)
    from mmkeras.data.sources import check_source

    check_source(run.recipe.data)
    quiet_tensorflow()
    from mmkeras.export.release import export_run

    version = export_run(run, options.to, max_rows=options.max_rows, max_text_bytes=options.max_text_bytes)
    print(f"Exported: {version}")
    print(f"Next:     {mmkeras_command('parity', options.to)} && {mmkeras_command('serve', options.to)}")


def _tflite(options):
    if (options.check is None) == (options.run is None) or (options.run is None) != (options.out is None):
        raise MmkerasError("Expected either RUN --out DIR, or --check PRESET")
    if options.check:
        from mmkeras.models.preset import Preset

        Preset.load(options.check)
    else:
        run = finished_run(options.run)
        refuse_existing(options.out)
    quiet_tensorflow()
    if options.check:
        from mmkeras.export.tflite import check_preset

        kinds = check_preset(options.check)
        print_table(f"{options.check} converts", ("kind", "operators"), [(k, ", ".join(n)) for k, n in kinds.items()])
        return
    from mmkeras.export.tflite import export_tflite

    print_device(options.out, export_tflite(run, options.out, options.precision, options.index or ""))
    print(f"Card: {options.out / 'card.md'}\nNext: {mmkeras_command('parity', options.out)}")


def _parity(options):
    from mmkeras.parity import check_exported, is_for_devices

    checked, comparisons = check_exported(options.model, options.server, before_loading=quiet_tensorflow)
    names = "text_encoder_*.tflite" if is_for_devices(options.model) else "signature"
    print_parity(f"{checked} against Keras", comparisons, names)
    return 0 if all(comparison.passed for comparison in comparisons) else 1


def _serve(options):
    from mmkeras.serving.launch import serve

    return serve(
        options.model,
        port=options.port,
        rest_port=options.rest_port,
        config_file=options.config,
        batching_file=options.batching,
        monitoring_file=options.monitoring,
        ssl_file=options.ssl,
        socket_path=options.socket,
        limits={name: getattr(options, name) for name in ("max_rows", "max_text_bytes", "allow_reload_config")},
        before_loading=quiet_tensorflow,
    )


def _query(options):
    from mmkeras.query import ask, find_index
    from mmkeras.search import EmbeddingIndex
    from mmkeras.serving.versions import latest_version, version_folder

    model = options.model or only_model(MODELS)
    if options.index:
        index = EmbeddingIndex(options.index)
    else:
        folder = MODELS / model
        version = latest_version(folder) if options.version is None else version_folder(folder, options.version)
        index = find_index(version, options.query)
    chosen = {"version": options.version, "label": options.label}
    answer = ask(options.query, index, options.server, model, options.k, rerank=options.rerank, **chosen)
    if options.html:
        answer.write_html(options.html)
        print(f"Page: {options.html}", file=sys.stderr)
    if options.json:
        print(answer.to_json())
    else:
        print_answer(answer)


if __name__ == "__main__":
    sys.exit(main())
