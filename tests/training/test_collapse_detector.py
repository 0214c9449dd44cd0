from types import SimpleNamespace

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training.collapse_detector import CollapseDetector


@pytest.mark.parametrize(
    "negatives, triplet_loss, embedding_spread, collapsed",
    [
        ("hardest", 0.4, 0.01, True),  # twice the margin, and one point
        ("semi_hard", 0.398, 0.01, True),
        ("hardest", 0.4, 0.9, False),  # a hard start
        ("hardest", 0.3, 0.01, False),  # close together, and still apart
        ("sum", 25.0, 0.01, True),  # whatever the number of negatives
        ("sum", 25.0, 0.9, False),
    ],
)
def test_one_point_is_told_from_a_hard_start(negatives, triplet_loss, embedding_spread, collapsed):
    detector = CollapseDetector()
    detector.set_model(SimpleNamespace(margin=0.2, negatives=negatives))
    logs = {"triplet_loss": triplet_loss, "embedding_spread": embedding_spread}
    if not collapsed:
        detector.on_epoch_end(3, logs)
        return
    with pytest.raises(MmkerasError, match="collapsed into one point in epoch 3"):
        detector.on_epoch_end(3, logs)
