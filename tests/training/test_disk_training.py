"""A training that reads its pictures from disk: the weights of one that holds them in memory, also when resumed."""

import numpy as np
import pytest
from PIL import Image

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run, callbacks, train

from .interrupted_runs import arrays, interrupt, saved_step


@pytest.fixture
def create(tmp_path, small_preset, determinism, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    lines = ["image,caption,split"]
    for row in range(24):
        pixels = np.random.default_rng(row).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,picture {row} of {row % 5},{'dev' if row > 19 else 'train'}")
    (tmp_path / "captions.csv").write_text("\n".join(lines))

    def create(name, memory_mib, epochs=2):
        own = [f"preset={small_preset}", f"data={tmp_path / 'captions.csv'}", "batch_size=4", f"epochs={epochs}"]
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [("3.png", "cut", "truncated|cut off"), ("3.png", "remove", "No such file"), ("22.png", "remove", "No such file")],
)
def test_a_picture_that_changes_under_a_training_is_told(create, monkeypatch, tmp_path, name, change, reason):
    """In one line that names the file, of train or of dev, and with the file back the run goes on."""
    run, file = create("disk", 0, epochs=5), tmp_path / name
    content, original = file.read_bytes(), callbacks.Checkpoint.on_train_batch_end

    def change_it(self, batch, logs=None):
        original(self, batch, logs)
        if self.step == 4:
            file.unlink() if change == "remove" else file.write_bytes(content[:200])

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Checkpoint, "on_train_batch_end", change_it)
        with pytest.raises(MmkerasError, match=reason) as caught:
            train(run, verbose=0)
    told = str(caught.value)
    assert told.startswith("A picture changed while the run was training on it: ") and "\n" not in told
    assert str(file) in told and told.endswith(f"train --resume {run.folder}")
    step = saved_step(run.folder)
    assert 4 <= step < 25
    file.write_bytes(content)
    resumed = Run(run.folder)
    train(resumed, verbose=0)
    assert resumed.finished and saved_step(run.folder) == 25
