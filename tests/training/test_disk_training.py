"""A training that reads its pictures from disk: the weights of one that holds them in memory, also when resumed."""

import numpy as np
import pytest
from PIL import Image

from mmkeras.training import Recipe, Run, train

from .interrupted_runs import arrays, interrupt


@pytest.fixture
def create(tmp_path, small_preset, determinism, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    lines = ["image,caption,split"]
    for row in range(24):
        pixels = np.random.default_rng(row).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,picture {row} of {row % 5},{'dev' if row > 19 else 'train'}")
    (tmp_path / "captions.csv").write_text("\n".join(lines))

    def create(name, memory_mib):
        own = [f"preset={small_preset}", f"data={tmp_path / 'captions.csv'}", "batch_size=4", "epochs=2"]
        recipe = Recipe.load("glyphs_tiny", [*own, "checkpoint_steps=2", f"memory_mib={memory_mib}"])
        return Run.create(tmp_path / name, "glyphs_tiny", recipe)

    return create


@pytest.mark.slow
def test_the_weights_are_those_of_a_training_from_memory(create, monkeypatch):
    whole = create("memory", 100)
    train(whole, verbose=0)
    cut = interrupt(create("disk", 0), monkeypatch, epoch=0, batch=3)
    train(Run(cut.folder), verbose=0)
    one, other = (arrays(run.file("checkpoint.npz")) for run in (whole, cut))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
