"""The `mmkeras` command.

Every command imports what it needs when it runs, and TensorFlow only after what can be told without it: help, queries
and mistakes are instant.
"""

import io
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmkeras.arguments import (
    check_names,
    check_pair,
    chosen_recipe,
    finished_run,
    newest_run,
    only_model,
)
from mmkeras.check_commands import check_gate, check_parity
from mmkeras.command_options import command_parser
from mmkeras.console import (
    print_answer,
    print_comparison,
    print_metrics,
    print_recipe,
    print_table,
    quiet_tensorflow,
)
from mmkeras.data_commands import data_check, data_pack
from mmkeras.device_commands import write_for_devices
from mmkeras.embed_commands import embed
from mmkeras.errors import MmkerasError
from mmkeras.index_commands import INDEX_COMMANDS
from mmkeras.missing_part_error import MissingPartError
from mmkeras.printable import mmkeras_command, printable
from mmkeras.progress import showing_progress
from mmkeras.search_commands import page_beside, search_server

MODELS = Path("savedmodels")
RUNS = Path("runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 for a failed check, 2 for a mistake in what was given."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is spelt, and no traceback
            stream.reconfigure(errors="backslashreplace")
    parser = command_parser(COMMANDS)
    options, rest = parser.parse_known_args(arguments)
    # argparse ends the list of settings at the first option: train RECIPE --out RUN epochs=2 leaves epochs=2 over.
    if "settings" in options and all("=" in word and not word.startswith("-") for word in rest):
        options.settings += rest
    elif "engine_flags" in options:
        options.engine_flags = rest
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


def _recipes(options):
    from mmkeras.training.recipe import list_recipes, recipe_title

    if options.recipe:
        print_recipe(options.recipe)
        return
    print_table("Recipes", ("recipe", "what it trains"), [(name, recipe_title(name)) for name in list_recipes()])
    print("Its settings, with their reasons and what each means: mmkeras recipes NAME")


def _train(options):
    names = ("what", "settings", "out", "images", "recipe", "pretrained", "image_encoder", "text_encoder")
    given = any(getattr(options, name) for name in names)
    if options.resume and given:
        raise MmkerasError("A run goes on with its own settings, in its own folder: --resume RUN takes nothing else")
    if not options.resume:
        halves = {"backbone": options.image_encoder, "text_backbone": options.text_encoder}
        settings = [*(f"{name}={value}" for name, value in halves.items() if value), *options.settings]
        name, recipe_name, recipe = chosen_recipe(
            options.what, options.recipe, options.images, settings, options.pretrained
        )
        check_names(recipe)
    from mmkeras.training.one_machine import check_one_machine
    from mmkeras.training.run import Run

    check_one_machine()
    if options.resume:
        run = Run(options.resume)
        if run.finished:
            print(f"{run.folder} has finished already; nothing to do")
            return 0
    else:
        run = Run.create(options.out or RUNS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", recipe_name, recipe)
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
    if options.templates and not options.targets and options.data:
        options.targets = "category"
    if options.pretrained:
        _evaluate_pair(options)
        return
    run = finished_run(options.run or newest_run(RUNS))
    from mmkeras.data.sources import check_source

    check_source(options.data or run.recipe.data, options.split)
    quiet_tensorflow()
    from mmkeras.evaluation.measuring.reranking_worth import reranking_costs
    from mmkeras.evaluation.report.run_report import evaluate_run, evaluation_files
    from mmkeras.training.memorisation import learnt_by_heart

    targets = "" if options.targets == "none" else options.targets
    other = {"source": options.data, "image_folder": options.image_folder, "targets": targets}
    with showing_progress():
        evaluation = evaluate_run(run, options.split, k_test=options.k_test, templates=options.templates or (), **other)
    print_metrics(f"{run.folder} on {evaluation.data.name}", evaluation.metrics)
    if not options.data:
        _tell_change(run)
    held_out = not options.data and options.split != run.recipe.train_split
    if held_out and (note := learnt_by_heart(run, evaluation.metrics)):
        print(note)
    if not options.data and reranking_costs(evaluation.metrics):
        print("Re-ranking by match makes the results worse here: an export of this run will not do it by itself")
    _, report = evaluation_files(run, options.data, evaluation.data)
    print(f"Report: {report}\nNext:   {mmkeras_command('export', run.folder)} --to savedmodels/NAME")


def _evaluate_pair(options):
    """Measure a published pair as it is, on data of the user's own."""
    run = _run_of_pair(options)
    from mmkeras.evaluation.report.run_report import evaluate_run

    with showing_progress():
        evaluation = evaluate_run(run, options.split, k_test=options.k_test, templates=options.templates or ())
    print_metrics(f"{options.pretrained} on {evaluation.data.name}, without training", evaluation.metrics)
    print(f"Report: {run.file('report.html')}\nNext:   {mmkeras_command('export', run.folder)} --to savedmodels/NAME")


def _run_of_pair(options):
    """Make the run of a published pair that is not trained; its folder is named after pair and data."""
    check_pair(options.pretrained, options.run, options.data)
    quiet_tensorflow()
    from mmkeras.training.untrained_run import untrained_run

    names = "-".join(re.sub(r"\W+", "-", Path(each).name).strip("-") for each in (options.pretrained, options.data))
    folder = RUNS / f"{names}-{time.strftime('%Y%m%d-%H%M%S')}"
    targets = getattr(options, "targets", "") or ""
    with showing_progress():
        return untrained_run(
            folder, options.pretrained, options.data, options.image_folder, "" if targets == "none" else targets
        )


def _tell_change(run):
    if note := run.changed_data():
        print(printable(f"Note: {note}"))


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
    if not options.pretrained and (options.data or options.image_folder):
        raise MmkerasError("A run knows its own data: --data and --images go with --from PAIR")
    run = _run_of_pair(options) if options.pretrained else finished_run(options.run or newest_run(RUNS))
    from mmkeras.data.sources import check_source

    check_source(run.recipe.data)
    quiet_tensorflow()
    from mmkeras.export.release import export_run
    from mmkeras.search.exported import exported_index

    with showing_progress():
        version = export_run(run, options.to, max_rows=options.max_rows, max_text_bytes=options.max_text_bytes)
    _tell_change(run)
    print(f"Exported: {version}")
    if (index := exported_index(version)).parent != version / "assets.extra":
        print(f"Index:    {index}, beside the versions, for its many items")
    print(f"Next:     {mmkeras_command('parity', options.to)} && {mmkeras_command('serve', options.to)}")


def _serve(options):
    beside = page_beside(options)
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
        beside=beside,
    )


def _query(options):
    from mmkeras.query import ask, find_index, labelled_version
    from mmkeras.search import EmbeddingIndex
    from mmkeras.serving.versions import latest_version, version_folder

    model = options.model or only_model(MODELS)
    if options.index:
        index = EmbeddingIndex(options.index)
    else:
        folder = MODELS / model
        number = options.version
        if number is None and options.label is not None:
            number = labelled_version(options.server, model, options.label)
        index = find_index(latest_version(folder) if number is None else version_folder(folder, number), options.query)
    chosen = {"version": options.version, "label": options.label}
    answer = ask(
        options.query, index, options.server, model, options.k, rerank=options.rerank, where=options.where, **chosen
    )
    if options.html:
        answer.write_html(options.html)
        print(f"Page: {options.html}", file=sys.stderr)
    if options.json:
        print(answer.to_json())
    else:
        print_answer(answer)


COMMANDS = {
    "recipes": _recipes,
    "train": _train,
    "data check": data_check,
    "data pack": data_pack,
    "evaluate": _evaluate,
    "compare": _compare,
    "export": _export,
    "tflite": write_for_devices,
    "parity": check_parity,
    "gate": check_gate,
    "serve": _serve,
    "search-server": search_server,
    "embed": embed,
    "query": _query,
    **INDEX_COMMANDS,
}


if __name__ == "__main__":
    sys.exit(main())
