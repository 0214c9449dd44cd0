"""Does the adversary align the modalities, and what does it cost? The ablation behind docs/adversarial-backprop.md.

    python scripts/studies/adversarial_backprop.py --out runs/study            every variant, seeds 0, 1 and 2
    python scripts/studies/adversarial_backprop.py --out runs/study A0 A2      some of them
    python scripts/studies/adversarial_backprop.py --out runs/study --seeds 0 --split dev
    python scripts/studies/adversarial_backprop.py --out runs/study --table    only print what is there
    python scripts/studies/adversarial_backprop.py --out runs/study --table --plot trade-off.svg

A run takes three to four minutes on two cores. Each is a run folder below --out, `A2-seed0`, with its own metrics.json
and report; what is there already is not done again, so an interrupted study goes on where it stopped. Success is a
table of means and deviations over the seeds, and with --plot the curve of probe against MAP over the strength.
"""

import statistics
from pathlib import Path

from ablation import Ablation, deviation, laid_over, train_preset

RECIPE = "glyphs_adversarial_backprop"
OFF = {"adversary": {"weight": 0.0}}
ALONE = {"adversary": {"text_reversal": 0.0}}  # the form that A1 to A6 take apart: the pictures' encoder plays alone
ONE_OPTIMIZER = {"optimizers": {}}  # of a variant in which nothing is updated beside the encoders
# A variant: what it changes in the recipe, in the preset's model arguments and in both encoders.
VARIANTS = {
    "method": ("the method: the texts' encoder plays at 0.05", {}, {}, {}),
    "A0": ("no adversary", {}, OFF, {}),
    "A1": ("strength constant from the start", {"reversal_ramp": 0.0}, ALONE, {}),
    "A2": ("the pictures' encoder plays alone", {}, ALONE, {}),
    "A3": ("A2, a category head for each modality", {}, ALONE, {}),
    "A4": ("A2, no categories", {}, ALONE | {"category_weight": 0.0}, {}),
    "A5": ("pairs: InfoNCE, no categories", ONE_OPTIMIZER, None, {}),
    "A6": ("A2, pictures of one half of the characters, texts of the other", {}, ALONE, {}),
    "share-0.1": ("the texts' encoder plays at 0.1", {}, {"adversary": {"text_reversal": 0.1}}, {}),
    "both": ("both encoders play in full", {}, {"adversary": {"text_reversal": 1.0}}, {}),
    "plain": (
        "plain reversal: joint update, both play, strength 1, 256 dimensions",
        {"reversal_strength": 1.0} | ONE_OPTIMIZER,
        {"adversary": {"objective": "minimax", "text_reversal": 1.0, "classifier_steps": 0, "gradient_penalty": 0.0}},
        {"embedding_dim": 256},
    ),
    "A0-256": ("no adversary, 256 dimensions", {}, OFF, {"embedding_dim": 256}),
    "0.3": ("A2, strength 0.3", {"reversal_strength": 0.3}, ALONE, {}),
    "1": ("A2, strength 1", {"reversal_strength": 1.0}, ALONE, {}),
    "5": ("A2, strength 5", {"reversal_strength": 5.0}, ALONE, {}),
    "10": ("A2, strength 10", {"reversal_strength": 10.0}, ALONE, {}),
    "30": ("A2, strength 30", {"reversal_strength": 30.0}, ALONE, {}),
}
# What the plot joins: variants by what their point is called.
CURVES = {
    "strength, the pictures play alone": {
        "A0": "none",
        "0.3": "0.3",
        "1": "1",
        "A2": "3",
        "5": "5",
        "10": "10",
        "30": "30",
    },
    "share of the texts, at strength 3": {"A2": "", "method": "0.05", "share-0.1": "0.1", "both": "1"},
}
SHOWN = {
    "probe": "modality_probe",
    "linear": "modality_probe_linear",
    "A-distance": "proxy_a_distance",
    "MMD2": "mmd2",
    "MAP i2t": "image_to_text_map",
    "MAP t2i": "text_to_image_map",
    "R@10 i2t": "image_to_text_recall@10",
    "rank": "image_effective_rank",
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: variant[0] for name, variant in VARIANTS.items()}
    study = Ablation(__file__, __doc__, titles, _train, SHOWN)
    study.parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the trade-off over the strength")
    options = study.main()
    if options.plot:
        _plot(study, options)


def _train(variant, seed, folder):
    import keras
    import numpy as np

    import mmkeras.models
    from mmkeras.layers import CategoryHead
    from mmkeras.models import AdversarialBackprop, Preset
    from mmkeras.training import Run

    @keras.saving.register_keras_serializable("mmkeras")
    class SeparateHeads(AdversarialBackprop):
        """The control in which nothing but the adversary ties the modalities together."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.text_category_head = CategoryHead(len(self.label_names), self.category_scale, dtype="float32")
            self.text_category_head.build((None, self.embedding_dim))

        def category_logits(self, image_embedding, text_embedding):
            heads = self.category_head, self.text_category_head
            return keras.ops.concatenate([heads[0](image_embedding), heads[1](text_embedding)])

    class HalvesRun(Run):
        """Trains on the pictures of every other character and on the texts of the rest: no pair is whole."""

        def load_data(self, split, image_preprocessor):
            data = super().load_data(split, image_preprocessor)
            if split != "train":
                return data
            ids = np.unique(data.text_image_id)
            return data.chosen(
                np.flatnonzero(np.isin(data.image_id, ids[::2])), np.flatnonzero(np.isin(data.text_image_id, ids[1::2]))
            )

    mmkeras.models.SeparateHeads = SeparateHeads  # where a preset's model is looked up
    _, settings, arguments, encoders = VARIANTS[variant]
    preset = Preset.load("adversarial_backprop_glyphs").settings
    if arguments is None:
        preset |= {"model": "DualEncoder", "arguments": {"temperature": {"initial": 0.1, "lowest": 0.1}}}
        settings = settings | {"epochs": 11}  # of seven times the steps: an epoch of pairs has every style
    else:
        preset = laid_over(preset, {"arguments": arguments})
    if variant == "A3":
        preset["model"] = "SeparateHeads"
    for encoder in ("image_encoder", "text_encoder"):
        preset[encoder] |= encoders
    return train_preset(variant, seed, folder, RECIPE, preset, settings, HalvesRun if variant == "A6" else Run)


def _plot(study, options):
    """Probe accuracy against the mean of both MAPs, with the deviation over the seeds."""
    from matplotlib.figure import Figure

    figure = Figure((6, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (title, names) in enumerate(CURVES.items()):
        points, colour = [], f"C{number}"
        for variant, name in names.items():
            if found := study.measured(options, variant):
                probes = [metrics["modality_probe"] for metrics in found]
                maps = [(metrics["image_to_text_map"] + metrics["text_to_image_map"]) / 2 for metrics in found]
                points.append((statistics.mean(probes), statistics.mean(maps)))
                axes.errorbar(*points[-1], deviation(maps), deviation(probes), fmt="o", color=colour, capsize=2)
                axes.annotate(name, points[-1], (6, 6), textcoords="offset points", color=colour)
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, label=title)
    axes.margins(x=0.1)
    axes.legend(frameon=False)
    axes.axvline(0.5, color="0.6", linestyle=":")
    axes.set(
        xlabel="accuracy of a fresh modality probe (.5: one distribution)", ylabel="MAP by category, mean of both ways"
    )
    axes.set_title("Alignment against retrieval", fontsize=11)
    figure.savefig(options.plot)


if __name__ == "__main__":
    main()
