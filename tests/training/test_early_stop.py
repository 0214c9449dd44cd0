"""A training ends early when held-out data have not got better for some epochs."""

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run, train
from mmkeras.training.early_stop import is_exhausted
from mmkeras.training.log import read_log


@pytest.mark.parametrize(
    ("values", "patience", "exhausted"),
    [
        ([1, 2, 3], 0, False),
        ([1], 1, False),
        ([1, 1], 1, True),  # no better than before
        ([1, 2], 1, False),
        ([3, 1, 2], 2, True),
        ([3, 1, 4], 2, False),
        ([3, 1, 2], 3, False),
        ([], 2, False),
    ],
)
def test_the_last_epochs_are_compared_with_the_best_before(values, patience, exhausted):
    assert is_exhausted([{"val_rsum": value} for value in values], "val_rsum", patience) is exhausted


@pytest.mark.slow
def test_a_run_ends_early_and_is_finished(create_run):
    run = create_run("run", "epochs=6", "patience=2", "learning_rate=1e-12", "warmup_steps=0")
    train(run, verbose=0)
    assert len(read_log(run.file("log.csv"))) == 3
    assert Run(run.folder).finished


def test_stages_have_no_patience():
    with pytest.raises(MmkerasError, match="Expected patience=0 for a training in stages. Received: patience=2"):
        Recipe.load("glyphs_modality_invariant", ["patience=2"])
