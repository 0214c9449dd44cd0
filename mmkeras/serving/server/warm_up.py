"""The warm-up records that travel with a SavedModel: requests that are answered before the first client's."""

from mmkeras.errors import without_graph
from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.classify import classify, multi_inference, regress
from mmkeras.serving.server.predict import predict

MAX_RECORDS = 1000
_ANSWERS = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def replay_warm_up(servable):
    """Answer the requests of `assets.extra/tf_serving_warmup_requests`, where there are any; return their number.

    A missing operation, a broken vocabulary or a slow first trace shows here and not at a client's first request.

    Raises:
        ServingError: the file is no TFRecord of PredictionLog, has more than 1,000 records, or a record fails.
    """
    path = servable.path / "assets.extra" / "tf_serving_warmup_requests"
    if not path.is_file():
        return 0
    count = 0
    for record in _records(path):
        count += 1
        if count > MAX_RECORDS:
            raise ServingError(
                "INVALID_ARGUMENT", f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
            )
        _replay(servable, record, f"record {count} of {path}")
    return count


def _records(path):
    import tensorflow

    try:
        yield from tensorflow.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tensorflow.errors.OpError as error:
        raise ServingError(
            "DATA_LOSS",
            f"{without_graph(error.message)}. Please verify your warmup data is in TFRecord format. It is in {path}",
        ) from error


def _replay(servable, record, where):
    try:
        log = protos.PredictionLog.FromString(record)
    except Exception as error:  # protobuf's DecodeError
        raise ServingError("INVALID_ARGUMENT", f"{where} is no PredictionLog: {error}") from error
    kind = log.WhichOneof("log_type")
    if kind not in _ANSWERS:
        raise ServingError("UNIMPLEMENTED", f"Expected {where} to be one of {', '.join(_ANSWERS)}. Received: {kind}")
    try:
        _ANSWERS[kind](servable, getattr(log, kind).request)
    except ServingError as error:
        raise ServingError(error.code, f"{where}: {error.details}") from error
