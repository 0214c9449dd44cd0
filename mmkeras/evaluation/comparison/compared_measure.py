"""What a comparison of runs shows: one `ComparedMeasure` a row, in sections."""

import dataclasses

HIGHER, LOWER, NO_GOAL = 1, -1, 0
ARROWS = {HIGHER: "↑", LOWER: "↓", NO_GOAL: ""}


@dataclasses.dataclass(frozen=True)
class ComparedMeasure:
    """One figure of a run, and how it is printed.

    Args:
        key: of `ComparedRun.values`.
        name: for people; in a heading it may break at its spaces.
        better: `HIGHER`, `LOWER` or `NO_GOAL`.
        scale: what a value is multiplied by to be printed.
        form: format of a number, as in `format`.
        unit: what the printed number counts, empty where that is clear.
        always: whether there is a row where no run has a value.

    Example:
        >>> ComparedMeasure("modality_probe", "probe, MLP", LOWER, 100, ".1f", "%").show(0.7123, 0.01)
        '71.2 ±1.0'
    """

    key: str
    name: str
    better: int
    scale: float = 1
    form: str = ".3f"
    unit: str = ""
    always: bool = False

    def show(self, mean, deviation=None):
        """Print a mean, with the deviation where there are several seeds; equal counts and sizes have none."""
        shown = f"{mean * self.scale:{self.form}}"
        if deviation is None or (not deviation and self.form.startswith(",")):
            return shown
        return f"{shown} ±{deviation * self.scale:{self.form}}"

    @property
    def label(self):
        """Name and unit, with an arrow in the direction that is better."""
        named = f"{self.name}, {self.unit}" if self.unit else self.name
        return f"{named} {ARROWS[self.better]}".rstrip()


def _share(key, name, better):
    return ComparedMeasure(key, name, better, 100, ".1f", "%")


def _count(key, name, **arguments):
    return ComparedMeasure(key, name, LOWER, 1, ",.0f", **arguments)


def _megabytes(key, name, **arguments):
    return ComparedMeasure(key, name, LOWER, 1, ",.1f", "MB", **arguments)


RETRIEVAL, CATEGORY, GAP, TRAINING = "Retrieval", "Retrieval by category", "Modality gap", "Training"
BI_MODAL = {"text_to_image": "text to picture", "image_to_text": "picture to text"}
ALL_MODAL = {"text_to_all": "text to all", "image_to_all": "picture to all"}
SECTIONS = {
    RETRIEVAL: [
        *(_share(f"text_to_image_recall@{k}", f"text to picture R@{k}", HIGHER) for k in (1, 5, 10)),
        *(_share(f"image_to_text_recall@{k}", f"picture to text R@{k}", HIGHER) for k in (1, 5, 10)),
        ComparedMeasure("rsum", "rsum", HIGHER, form=".1f"),
        *(
            _share(f"reranked_{direction}_recall@1", f"{name} R@1, re-ranked", HIGHER)
            for direction, name in BI_MODAL.items()
        ),
        ComparedMeasure("reranked_rsum", "rsum, re-ranked", HIGHER, form=".1f"),
        ComparedMeasure("k_test", "re-ranked a query", NO_GOAL, form=",.0f"),
    ],
    CATEGORY: [
        ComparedMeasure("text_to_image_map", "text to picture MAP", HIGHER),
        ComparedMeasure("image_to_text_map", "picture to text MAP", HIGHER),
        *(
            ComparedMeasure(f"representation_{direction}_map_{form}", f"{name} MAP, {how}", HIGHER)
            for form, how, directions in (
                ("none", "raw", BI_MODAL),
                ("query", "query std.", BI_MODAL),
                ("both", "both std.", ALL_MODAL),
            )
            for direction, name in directions.items()
        ),
    ],
    GAP: [
        _share("modality_probe", "probe, MLP", LOWER),
        _share("modality_probe_linear", "probe, linear", LOWER),
        ComparedMeasure("mmd2", "MMD²", LOWER, form="z.4f"),
        ComparedMeasure("centroid_gap", "centroid gap", LOWER),
        ComparedMeasure("image_effective_rank", "effective rank, pictures", NO_GOAL, form=".1f"),
        ComparedMeasure("text_effective_rank", "effective rank, texts", NO_GOAL, form=".1f"),
    ],
    TRAINING: [
        ComparedMeasure("epochs", "epochs", NO_GOAL, form=",.0f", always=True),
        ComparedMeasure("stages", "stages", NO_GOAL, form=",.0f"),
        _count("training_seconds", "time", unit="s", always=True),
        _count("parameters", "parameters", always=True),
        _count("image_encoder_parameters", "in the image encoder"),
        _count("text_encoder_parameters", "in the text encoder"),
        _count("both_encoders_parameters", "in both encoders"),
        _count("rest_parameters", "in the rest"),
        _count("teacher_parameters", "in the teacher"),
        _count("queue_parameters", "in the queue"),
        _megabytes("teacher_megabytes", "teacher"),
        _megabytes("queue_megabytes", "queue"),
        _megabytes("model_megabytes", "model.keras", always=True),
    ],
}
# Sections whose figures are those of the data that was measured on.
MEASURED = (RETRIEVAL, CATEGORY, GAP)
