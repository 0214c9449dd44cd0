"""From a version's folder to a servable that has answered its warm-up records."""

import time

from mmkeras.errors import MmkerasError
from mmkeras.serving.errors import STATUS_NAMES, ServingError
from mmkeras.serving.server.servable import Servable
from mmkeras.serving.server.warm_up import replay_warm_up


def load_servable(path, name, version, metrics=None):
    """Return the `Servable` of a version folder.

    Args:
        path: `pathlib.Path` of the folder.
        name: model name.
        version: integer.
        metrics: `Metrics` that the warm-up is told to, or None.

    Raises:
        ServingError: with TensorFlow's code where it has one, for GetModelStatus to tell.
    """
    if not (path / "saved_model.pb").is_file():
        raise ServingError(
            "NOT_FOUND",
            "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
            f"`saved_model.pb`)\nSpecified file path: {path}",
        )
    try:
        servable = Servable(path, name, version)
    except MmkerasError as error:
        code = STATUS_NAMES.get(getattr(error.__cause__, "error_code", None), "UNKNOWN")
        raise ServingError(code, str(error)) from error
    started, records, status = time.perf_counter(), 0, "OK"
    try:
        records = replay_warm_up(servable)
    except ServingError as error:
        servable.close()
        status = error.code
        raise ServingError(error.code, f"Warm-up of {path} failed: {error.details}") from error
    finally:
        if metrics is not None and (records or status != "OK"):
            microseconds = (time.perf_counter() - started) * 1e6
            metrics.observe("model_warmup_latency", (str(path), status), microseconds)
            metrics.count("model_warmup_records_read", (str(path), status), records)
    return servable
