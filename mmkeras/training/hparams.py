"""A run among others in TensorBoard's table of hyperparameters: its settings, and what came of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

FINAL = "final/"  # before the name of a figure of the finished run


def write_settings(folder: str | os.PathLike[str], recipe: str, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run that begins.

    Args:
        folder: the run's `tensorboard`.
        recipe: its name.
        settings: as `run.json` has them; those of stages and optimizers are named as on the command line,
            `stages.joint.epochs`. Lists are left out.
    """
    from tensorboard.plugins.hparams import api

    with _written(folder):
        api.hparams({"recipe": recipe, **dict(_scalars(settings))}, trial_id=os.path.abspath(folder))


def write_figures(folder: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]], best_by: str = "") -> None:
    """Write the figures of a run that has finished, and that it has.

    Args:
        folder: the run's `tensorboard`.
        rows: those of its log.
        best_by: the column whose highest value says which epoch's weights were kept; `""` where the last one's were.
    """
    from tensorboard.plugins.hparams import api_pb2, summary

    row = max(rows, key=lambda row: row[best_by]) if best_by else rows[-1]
    with _written(folder):
        for name, value in row.items():
            if name != "epoch" and not isinstance(value, str):
                tf.summary.scalar(f"{FINAL}{name}", value, step=row["epoch"])
        ended = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        tf.summary.experimental.write_raw_pb(ended.SerializeToString(), step=0)


@contextlib.contextmanager
def _written(folder):
    writer = tf.summary.create_file_writer(str(folder))
    with contextlib.closing(writer), writer.as_default():
        yield


def _scalars(settings, before=""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{before}{name}.")
        elif name == "stages":
            for stage in value:
                yield from _scalars({key: stage[key] for key in stage if key != "name"}, f"stages.{stage['name']}.")
        elif isinstance(value, (bool, int, float, str)):
            yield f"{before}{name}", value
