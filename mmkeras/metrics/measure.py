"""`Measure`: what one figure of a model or a run is called, how it is printed, and which way is better."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

HIGHER, LOWER, NO_GOAL = 1, -1, 0
ARROWS = {HIGHER: "↑", LOWER: "↓", NO_GOAL: ""}
IN_WORDS = {HIGHER: "higher is better", LOWER: "lower is better", NO_GOAL: "a check, no goal"}
# Of retrieval: in the names of metrics and in headings.
DIRECTIONS = {
    "text_to_image": "Text to image",
    "image_to_text": "Image to text",
    "text_to_all": "Text to all",
    "image_to_all": "Image to all",
}
BETWEEN_MODALITIES, TO_ALL = ("text_to_image", "image_to_text"), ("text_to_all", "image_to_all")


@dataclasses.dataclass(frozen=True)
class Measure:
    """One figure of a model or a run, for all who show it.

    A measure of several directions or cut-offs is one entry, with `{direction}` and `{k}` in its name and `{k}` in its
    heading; `at` and `figures` return what it is for one of them.

    Args:
        name: key in `metrics.json` or column of `log.csv`.
        heading: what people read above a column; `title` puts the direction before it.
        section: heading of the tables that it belongs to.
        better: `HIGHER`, `LOWER` or `NO_GOAL`.
        unit: `"%"` for a share in [0, 1], which is printed in percent; else what the number counts, or empty.
        form: format of a printed number, as in `format`.
        meaning: how to read the figure, in a few words; `{of}` in it becomes "of" and the greatest value.
        most: the greatest value that is possible, or the name of the metric that holds it; `None` where there is none.
        directions: keys of `DIRECTIONS` that stand for `{direction}`.
        ks: cut-offs that tables show for `{k}`, the most important first.
        chance: function of metrics, direction and cut-off that returns the figure of a random order, or `None` where it
            is unknown.
        main: whether it is a headline of reports and is logged after each epoch; with several cut-offs, the first.
        untrained: whether the untrained model's figure is kept beside the trained model's. Those of the modality gap
            always are.
        compared: whether comparisons of runs have rows of it, or of which directions.
        always: whether that row is there even where no run has a value.

    Example:
        >>> recall = Measure("{direction}_recall@{k}", "R@{k}", "Retrieval", unit="%", form=".1f", ks=(1, 5))
        >>> recall.at("text_to_image", 5).label
        'Text to image R@5, % ↑'
        >>> recall.figure(0.7123)
        '71.2%'
    """

    name: str
    heading: str
    section: str
    better: int = HIGHER
    unit: str = ""
    form: str = ".3f"
    meaning: str = ""
    most: float | str | None = None
    directions: tuple[str, ...] = ()
    ks: tuple[int, ...] = ()
    chance: Callable[[Mapping[str, Any], str, int | None], float | None] | None = None
    main: bool = False
    untrained: bool = False
    compared: bool | tuple[str, ...] = True
    always: bool = False

    def at(self, direction: str = "", k: int | None = None) -> Self:
        """Return the measure for one direction and cut-off; either is left out where the name has none."""
        return dataclasses.replace(
            self,
            name=self.name.replace("{direction}", direction).replace("{k}", str(k)),
            heading=self.heading.replace("{k}", str(k)),
            directions=(direction,) if direction else (),
            ks=() if k is None else (k,),
            main=self.main and (k is None or k == self.ks[0]),
            compared=direction in self.compared if isinstance(self.compared, tuple) else self.compared,
        )

    def figures(self) -> list[Self]:
        """Return the measure for each of its directions and cut-offs."""
        return [self.at(direction, k) for direction in self.directions or ("",) for k in self.ks or (None,)]

    @property
    def title(self) -> str:
        """The heading with its direction: `"Text to image R@1"`."""
        return f"{DIRECTIONS[self.directions[0]]} {self.heading}" if len(self.directions) == 1 else self.heading

    @property
    def label(self) -> str:
        """Title and unit, with an arrow in the direction that is better."""
        named = f"{self.title}, {self.unit}" if self.unit else self.title
        return f"{named} {ARROWS[self.better]}".rstrip()

    def show(self, value: float, deviation: float | None = None) -> str:
        """Print a value without its unit, and the deviation where there is one; equal counts and sizes have none."""
        if deviation is None or (not deviation and self.form.startswith(",")):
            return self._number(value)
        return f"{self._number(value)} ±{self._number(deviation)}"

    def figure(self, value: float, deviation: float | None = None) -> str:
        """Print a value with its unit, and the deviation where there is one."""
        unit = f" {self.unit}" if self.unit not in ("", "%") else self.unit
        return f"{self._number(value)}{unit}" + (f" ±{self._number(deviation)}" if deviation else "")

    def by_chance(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the figure that a random order would have, of a measure that `at` returned; `None` where unknown."""
        if self.chance is None:
            return None
        direction, k = self.directions[0] if self.directions else "", self.ks[0] if self.ks else None
        return self.chance(metrics, direction, k)

    def note(self, metrics: Mapping[str, Any]) -> str:
        """Say in a few words how to read the figure: its meaning, and what chance would have."""
        most = metrics.get(self.most) if isinstance(self.most, str) else self.most
        meaning = self.meaning.replace("{of}", "" if most is None else f" of {most:,g}").strip()
        by_chance = self.by_chance(metrics)
        chance = "" if by_chance is None else f"chance {self._scale * by_chance:.2g}{self.unit}"
        return "; ".join(filter(None, [meaning, chance]))

    @property
    def _scale(self):
        return 100 if self.unit == "%" else 1

    def _number(self, value):
        return f"{value * self._scale:{self.form}}"
