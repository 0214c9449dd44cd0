"""Whether a run has learnt its training pairs by heart, and nothing that holds beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmkeras.metrics.retrieval import RSUM_KS
from mmkeras.training.log import read_log

if TYPE_CHECKING:
    from mmkeras.training.run import Run

LOSSES_APART = 0.25  # the training loss as a share of the validation loss, below which they are
LIFT = 0.1  # how far rsum has come from chance towards 600, below which it is near chance


def learnt_by_heart(run: Run, metrics: Mapping[str, Any]) -> str:
    """Say that training ended with a loss near 0 and held-out retrieval near chance, where it did.

    Both have to hold: the training loss is less than a quarter of the validation loss, and rsum has come less than a
    tenth of the way from chance to 600.

    Args:
        run: `Run`, with a log that has `loss` and `val_loss`; without them nothing is said.
        metrics: of held-out data: `pictures` and `texts`, how many there are, and `rsum`, by default the log's.

    Returns:
        A sentence, or an empty string.
    """
    last = (read_log(run.file("log.csv")) or [{}])[-1]
    loss, val_loss, rsum = last.get("loss"), last.get("val_loss"), metrics.get("rsum", last.get("val_rsum"))
    if loss is None or val_loss is None or rsum is None:
        return ""
    chance = sum(100 * min(1.0, k / metrics[items]) for k in RSUM_KS for items in ("pictures", "texts"))
    if loss >= LOSSES_APART * val_loss or rsum - chance >= LIFT * (600 - chance):
        return ""
    return (
        f"Learnt by heart: the training loss is {loss:.3g}, the validation loss {val_loss:.3g}, and rsum on held-out "
        f"data {rsum:.1f}, where chance has {chance:.1f}. More pairs, pretrained encoders, larger images, augmentation "
        "or fewer epochs help"
    )
