"""A run of `SoftMask`: what is saved of its teacher, and that it resumes exactly."""

import json

import pytest

from mmkeras.training import callbacks, train

from .interrupted_runs import RANDOM, arrays, assert_equal_runs, interrupt, saved_step


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_with_it_the_queue_and_the_count_of_steps(
    create_run, monkeypatch, determinism, tmp_path
):
    """Cut while the teacher's share still grows, with masks, hidden words, negatives and two views drawn anew."""
    small = {"depth": 1, "heads": 2, "embedding_dim": 8, "initializer_range": None, "dropout": 0.1, "batch_norm": True}
    preset = {
        "model": "SoftMask",
        "arguments": {
            "fusion": {"depth": 2, "heads": 2, "attention_block": 0, "initializer_range": None},
            "teacher": {"queue_size": 96, "alpha_ramp_steps": 24, "momentum": 0.9},
        },
        "image_preprocessor": {"height": 32, "width": 32, "aspect": "pad"},
        "image_encoder": {"kind": "vit", "patch": 16, "token_width": 8, **small},
        "text_preprocessor": {"vocabulary_size": 200, "sequence_length": 6},
        "text_encoder": {"kind": "bert", "width": 8, **small},
    }
    file = tmp_path / "soft_mask.json"
    file.write_text(json.dumps(preset))
    settings = [f"preset={file}", "augment_distortion=colour", *RANDOM, "epochs=2"]
    whole = create_run("whole", *settings)
    train(whole, verbose=0)
    run = interrupt(create_run("cut", *settings), monkeypatch, epoch=1, batch=8)
    assert saved_step(run.folder) > 0
    train(run, verbose=0)
    assert_equal_runs(run, whole)
    rows = callbacks.read_log(run.file("log.csv"))
    assert 0 < rows[0]["alpha"] < rows[1]["alpha"] < 0.4
    assert {"contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss", "mask"} <= set(rows[0])
    # The model is that of the best of the two epochs, the teacher's count of steps with it.
    best_epoch = int(arrays(run.file("best.npz"))["step"])
    assert 2 * int(run.load_model().teacher.steps) == (1 + best_epoch) * saved_step(run.folder)
