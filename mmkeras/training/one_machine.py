"""A training runs on one machine: what an environment that says otherwise is told, without TensorFlow."""

from __future__ import annotations

import json
import os

from mmkeras.errors import MmkerasError


def check_one_machine() -> None:
    """Check that no cluster of several machines is set in the environment variable `TF_CONFIG`.

    Each of its machines would train the whole model by itself, into the same folder.

    Raises:
        MmkerasError: a cluster of several, or a variable that is no JSON.
    """
    config = os.environ.get("TF_CONFIG", "")
    if not config.strip():
        return
    try:
        cluster = json.loads(config).get("cluster") or {}
        machines = sum(len(tasks) for role, tasks in cluster.items() if role != "evaluator")
    except (ValueError, AttributeError, TypeError) as error:
        raise MmkerasError(f"Expected TF_CONFIG in the environment as JSON. Received: {config[:80]!r}") from error
    if machines > 1:
        raise MmkerasError(
            f"Expected one machine: Keras 3 does not train on several (keras#20329 on GitHub). Received: {machines} in "
            "TF_CONFIG. Run it on one of them without TF_CONFIG, with devices=all for all of its GPUs, or a job a seed"
        )
