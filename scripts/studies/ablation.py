"""What the studies of this folder share: variants of a recipe, each trained with several seeds, and a Markdown table.

A run is a folder below --out, `A2-seed0`, with its own metrics and report. What is there already is not done again: an
interrupted study goes on where it stopped, and several processes may work in one folder, each on its own variants.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the tree that the study stands in


class Ablation:
    """The command line of a study.

    Args:
        script: path of the study, which is started again for each run.
        description: text of `--help`.
        variants: dict from a variant's name to its title.
        train: function (variant, seed, folder) -> (finished run, its model); goes on where `folder` holds a part of it.
        shown: dict from a column's name to the metric that it shows.
        measure: function (run, split, model) -> metrics, in place of those of an evaluation.
    """

    def __init__(self, script, description, variants, train, shown, measure=None):
        self.script = script
        self.variants = variants
        self.train = train
        self.shown = shown
        self.measure = measure or _measure
        self.parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add = self.parser.add_argument
        add("variants", nargs="*", metavar="VARIANT", help=", ".join(variants))
        add("--out", type=Path, required=True, help="folder of the runs")
        add("--seeds", type=int, nargs="+", default=[0, 1, 2])
        add("--split", default="dev", choices=("dev", "test"), help="what is measured on (default: dev)")
        add("--table", action="store_true", help="only print what is there")
        add("--child", action="store_true", help=argparse.SUPPRESS)

    def main(self):
        """Run what is missing, print the table, and return the options."""
        options = self.parser.parse_args()
        if unknown := set(options.variants) - set(self.variants):
            self.parser.error(f"no variant {', '.join(sorted(unknown))}; there are {', '.join(self.variants)}")
        if options.child:
            self._run(options.variants[0], options.seeds[0], options.out, options.split)
            return options
        # Seed by seed, so that an interrupted study holds every variant.
        for seed in [] if options.table else options.seeds:
            for variant in options.variants or self.variants:
                if not _metrics_file(options.out, variant, seed, options.split).exists():
                    print(f"{variant}, seed {seed}: {self.variants[variant]}", flush=True)
                    # A process of its own: TensorFlow gives no memory back.
                    command = [sys.executable, self.script, "--child", variant, "--out", str(options.out)]
                    subprocess.run([*command, "--seeds", str(seed), "--split", options.split], check=True)
        self._print_table(options)
        return options

    def measured(self, options, variant):
        """Return the metrics of a variant's runs, as many dicts as there are."""
        files = [_metrics_file(options.out, variant, seed, options.split) for seed in options.seeds]
        return [json.loads(file.read_text()) for file in files if file.exists()]

    def _run(self, variant, seed, out, split):
        """Train and measure one variant in this process."""
        from mmkeras.console import quiet_tensorflow

        quiet_tensorflow()
        out.mkdir(parents=True, exist_ok=True)
        run, model = self.train(variant, seed, out / f"{variant}-seed{seed}")
        metrics = self.measure(run, split, model)
        _metrics_file(out, variant, seed, split).write_text(json.dumps(metrics, indent=2, default=float) + "\n")

    def _print_table(self, options):
        print(f"\n{options.split}, mean and deviation over the seeds:\n")
        print(f"| variant | runs | {' | '.join(self.shown)} |")
        print("|---|---:|" + "---:|" * len(self.shown))
        for variant in options.variants or self.variants:
            if found := self.measured(options, variant):
                columns = [[metrics[key] for metrics in found if key in metrics] for key in self.shown.values()]
                cells = [mean_and_deviation(values) if values else "" for values in columns]
                print(f"| {variant}: {self.variants[variant]} | {len(found)} | {' | '.join(cells)} |")


def _measure(run, split, model):
    from mmkeras.evaluation.report.run_report import evaluate_run

    return evaluate_run(run, split, model=model).metrics


def laid_over(settings, changes):
    """Return a dict of settings with changes over it; a dict in both is changed key by key, and so are those within."""
    changed = dict(settings)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(changed.get(name), dict)
        changed[name] = laid_over(changed[name], value) if both else value
    return changed


def write_preset(folder, variant, preset):
    """Keep a variant's preset, a dict, beside the folders of its runs; return the file's path as a string."""
    file = folder.parent / f"{variant}.json"
    file.write_text(json.dumps(preset, indent=2) + "\n")
    return str(file)


def train_preset(variant, seed, folder, name, preset, settings=None, kind=None):
    """Train a run of the recipe `name` with a variant's preset and settings, as `train_run` does."""
    from mmkeras.training import Recipe

    given = {"preset": write_preset(folder, variant, preset), "seed": seed} | (settings or {})
    return train_run(folder, name, Recipe.from_settings(recipe_settings(name) | given), kind)


def recipe_settings(name):
    """Return what the file of the recipe `name` says: a dict, ready to be changed."""
    from mmkeras.training.recipe import recipe_text

    return tomllib.loads(recipe_text(name))


def train_run(folder, name, recipe, kind=None):
    """Train a run, or finish or load what is there of it; return the run and its model."""
    from mmkeras.training import Run, train

    kind = kind or Run
    run = kind(folder) if (folder / "run.json").exists() else kind.create(folder, name, recipe)
    return run, run.load_model() if run.finished else train(run, verbose=0)


def mean_and_deviation(values):
    """Print the mean, and the deviation over the seeds where there are several."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {deviation(values):.3f}" if len(values) > 1 else mean


def deviation(values):
    """The sample's standard deviation, 0 for one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _metrics_file(out, variant, seed, split):
    return out / f"{variant}-seed{seed}" / f"{split}.json"
