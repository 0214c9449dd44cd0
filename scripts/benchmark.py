"""Every speed that the documentation speaks of, as ratios measured in one run.

    python scripts/benchmark.py                          all of it, some ten minutes, not timed as a whole
    python scripts/benchmark.py training metrics         some of it
    python scripts/benchmark.py --json figures.json      for programs

Sections: training (the step, beside the matrix-product peak), adversary (the step of AdversarialBackprop, beside that
of the same network on the category loss alone), pytorch (the steps of ModalityInvariant, CMGAN and SoftMask, beside
the same in PyTorch, and that of SoftMask beside the same without soft masks; left out where PyTorch is not installed,
which `pip install -e ".[pytorch]"` does), input_pipeline (decode and resize, beside a bare tf.io.decode_jpeg),
pictures_from_disk (batches of pictures that are not in memory, beside a bare map of the decoder; and what a training on
them takes of memory), metrics (recall and ranks, beside the bare matrix product), search (an index of float16 or int8,
beside one of float32), serving (the embedded server, beside direct calls in the same process; on the newest model below
savedmodels/, or a tiny one trained for the purpose), embedding (`mmkeras embed`, beside direct calls of the same
SavedModel, and what it takes of memory; a quarter of an hour of its own).
Success is a table; docs/performance.md says what to expect. Absolute values change from machine to machine and from
hour to hour, the ratios much less.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
SECTIONS = (
    *("training", "adversary", "pytorch", "input_pipeline", "pictures_from_disk", "metrics", "search", "serving"),
    "embedding",
)


def main():
    """Measure the sections asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--model", type=Path, help="folder of an exported model for the section serving")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for section in options.sections or SECTIONS:
            module = importlib.import_module(f"benchmarks.{section}")
            arguments = [options.model or _some_model(Path(scratch))] if section == "serving" else []
            try:
                figures[section] = module.measure(*arguments)
            except ModuleNotFoundError as error:
                if options.sections:
                    sys.exit(f"{section}: {error}")
                print(f"{section}: left out. {error}")
                continue
            _print(section, figures[section])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def _some_model(scratch):
    """The newest exported model, or a tiny one: speed does not ask what was learnt."""
    from mmkeras.export import export_run
    from mmkeras.training import Recipe, Run, train

    exported = sorted(ROOT.glob("savedmodels/*/*/saved_model.pb"), key=lambda file: file.stat().st_mtime)
    if exported:
        return exported[-1].parent.parent
    run = Run.create(scratch / "run", "glyphs_tiny", Recipe.load("glyphs_tiny", ["epochs=1"]))
    train(run, verbose=0)
    return export_run(run, scratch / "glyphs").parent


def _print(section, rows):
    from mmkeras.console import print_table

    def shown(value):
        if value is None or isinstance(value, str):
            return value or ""
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    print_table(
        section,
        ("what", "value", "unit", "over", "ratio"),
        [tuple(shown(row[key]) for key in ("what", "value", "unit", "yardstick", "ratio")) for row in rows],
    )


if __name__ == "__main__":
    main()
