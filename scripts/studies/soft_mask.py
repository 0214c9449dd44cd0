"""What do the additions of SoftMask to ALBEF do on glyphs? Behind docs/soft-mask.md.

    python scripts/studies/soft_mask.py --out runs/soft_mask                   every variant, seeds 0, 1 and 2
    python scripts/studies/soft_mask.py --out runs/soft_mask plain all         some of them
    python scripts/studies/soft_mask.py --out runs/soft_mask hard --seeds 0    with one seed
    python scripts/studies/soft_mask.py --out runs/soft_mask --table           only print what is there

The recipe's first stage, `align`, is trained once a seed; with its encoders all variants begin the stages after it, as
published models begin with trained encoders. Several processes may share the folder once `align` is there.

Success is a table of recalls on dev, fractions, and their sum in percent: by embeddings alone, with the best of them
ranked anew by embeddings and matching head, and by the head alone, as ALBEF does.
"""

from ablation import Ablation, laid_over, recipe_settings, train_run, write_preset

RECIPE = "glyphs_soft_mask"
ALIGN = "align"
PLAIN = {"gamma": 0.0, "loss_weights": {"soft_matching": 0.0}, "mask_text": False}
ONE_VIEW, TWO_VIEWS = {"augment_distortion": ""}, {}
# A variant: its title, what it changes in the arguments of the second stage, which hold on in the third, in other
# settings of both, and in the preset's model arguments.
VARIANTS = {
    ALIGN: ("what the others begin with: contrast alone", {}, {}, {}),
    "plain": ("the objectives of ALBEF", PLAIN, ONE_VIEW, {}),
    "focal": ("with focal contrast", PLAIN | {"gamma": 2.0}, ONE_VIEW, {}),
    "soft": ("with soft masks", PLAIN | {"loss_weights": {"soft_matching": 1.0}}, ONE_VIEW, {}),
    "views": ("with hidden words for all losses and distorted pictures", PLAIN | {"mask_text": True}, TWO_VIEWS, {}),
    "all": ("all three, as in the recipe", {}, TWO_VIEWS, {}),
    "hard": ("all three, hard masks", {}, TWO_VIEWS, {"soft_masking": {"mask_mode": "hard"}}),
    "random": ("all three, random masks", {}, TWO_VIEWS, {"soft_masking": {"mask_mode": "random"}}),
    "none": ("all three, the further matching without a mask", {}, TWO_VIEWS, {"soft_masking": {"mask_mode": "none"}}),
}
SHOWN = {
    "rsum": "rsum",
    "R@1 i2t": "image_to_text_recall@1",
    "R@1 t2i": "text_to_image_recall@1",
    "R@10 i2t": "image_to_text_recall@10",
    "R@10 t2i": "text_to_image_recall@10",
    "rsum re-ranked": "reranked_rsum",
    "R@1 i2t re-ranked": "reranked_image_to_text_recall@1",
    "R@1 t2i re-ranked": "reranked_text_to_image_recall@1",
    "rsum by the head": "head_rsum",
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: title for name, (title, *_) in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, train_variant, SHOWN, measure).main()


def train_variant(variant, seed, folder, name=RECIPE, settings=None):
    """Train a variant of the recipe `name`, with further settings, from the run of `align` beside its folder."""
    start = folder.with_name(f"{ALIGN}-seed{seed}")
    if variant != ALIGN and not (start / "model.keras").exists():
        train_variant(ALIGN, seed, start, name, settings)
    return train_run(folder, name, variant_of(variant, seed, folder, name, settings or {}))


def variant_of(variant, seed, folder, name, settings):
    """Return the `Recipe` of a variant, whose preset is kept beside the folder of its run."""
    from mmkeras.models import Preset
    from mmkeras.training import Recipe

    given = recipe_settings(name)
    _, arguments, stage_settings, model_arguments = VARIANTS[variant]
    preset = laid_over(Preset.load(given["preset"]).settings, {"arguments": model_arguments})
    align, fuse, hard = given["stages"]
    fuse = laid_over(fuse, {"arguments": arguments})
    given |= settings | {"preset": write_preset(folder, variant, preset), "seed": seed}
    if variant == ALIGN:
        return Recipe.from_settings(given | {"stages": [align]})
    start = folder.with_name(f"{ALIGN}-seed{seed}")
    stages = [stage | stage_settings for stage in (fuse, hard)]
    return Recipe.from_settings(given | {"stages": stages, "initial_weights": str(start)})


def measure(run, split, model):
    """What an evaluation finds, and where the matching head was trained, what it ranks by itself: `head_...`."""
    from mmkeras.evaluation.measuring.evaluate import K_TEST
    from mmkeras.evaluation.report.run_report import evaluate_run
    from mmkeras.metrics import reranked_metrics
    from mmkeras.metrics.measures import RERANKED

    evaluation = evaluate_run(run, split, model=model, k_test=0)
    if not run.recipe.initial_weights:
        return evaluation.metrics
    data, metrics = evaluation.data, {"k_test": K_TEST}
    matcher = model.matcher(data.images, data.texts)
    matcher.log_odds = _remembering(matcher.log_odds)  # both ways to rank ask for the same pairs, batch by batch
    for prefix, score_pairs in ((RERANKED, matcher), ("head_", matcher.log_odds)):
        ids = [(data.image_id, data.text_image_id)]
        [found] = reranked_metrics(matcher.image_embedding, matcher.text_embedding, score_pairs, ids, K_TEST)
        metrics |= {f"{prefix}{name}": value for name, value in found.items()}
    return evaluation.metrics | metrics


def _remembering(score_pairs):
    said = {}

    def remembered(image_rows, text_rows):
        pairs = image_rows.tobytes(), text_rows.tobytes()
        if pairs not in said:
            said[pairs] = score_pairs(image_rows, text_rows)
        return said[pairs]

    return remembered


if __name__ == "__main__":
    main()
