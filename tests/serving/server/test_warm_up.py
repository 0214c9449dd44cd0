"""Warm-up records run before the server listens; any that fails stops the start and is named."""

import shutil

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import EmbeddedServer, protos
from mmkeras.serving.server import warm_up
from mmkeras.serving.server.loading import load_servable
from mmkeras.serving.server.metrics import Metrics
from mmkeras.serving.server.servable import Servable
from mmkeras.serving.tensors import encode_tensor


@pytest.fixture
def with_records(half_plus_two_path, tmp_path):
    """A function that writes records into a copy of the model and returns its base path."""
    import tensorflow as tf

    def write(records, raw=None):
        base_path = tmp_path / "warm"
        shutil.copytree(half_plus_two_path, base_path)
        file = base_path / "123" / "assets.extra" / "tf_serving_warmup_requests"
        file.parent.mkdir()
        if raw is not None:
            file.write_bytes(raw)
        else:
            with tf.io.TFRecordWriter(str(file)) as writer:
                for record in records:
                    writer.write(record)
        return base_path

    return write


def record(values=(1.0,), signature="", name="x"):
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = protos.PredictRequest(
        # The records' model and version are not looked at.
        model_spec=protos.ModelSpec(name="another", version=protos.Int64Value(value=77), signature_name=signature),
        inputs={name: encode_tensor(np.array(values, np.float32))},
    )
    log.predict_log.request.ParseFromString(request.SerializeToString())
    return log.SerializeToString()


def test_records_are_answered(with_records):
    base_path = with_records([record(), record([1, 2])])
    servable = Servable(base_path / "123", "warm", 123)
    runs = []
    run = servable.run
    servable.run = lambda *arguments: runs.append(run(*arguments)) or runs[-1]
    assert warm_up.replay_warm_up(servable) == 2
    assert [outputs[0].tolist() for outputs in runs] == [[2.5], [2.5, 3.0]]
    servable.close()


def test_the_metrics_are_told(with_records):
    base_path = with_records([record(), record()])
    metrics = Metrics()
    load_servable(base_path / "123", "warm", 123, metrics).close()
    assert f'model_warmup_records_read{{model_path="{base_path}/123",status="OK"}} 2' in metrics.text()
    assert f'model_warmup_latency_count{{model_path="{base_path}/123",status="OK"}} 1' in metrics.text()


def test_no_records_are_fine(with_records):
    with EmbeddedServer(with_records([])) as server:
        assert server.address


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (record(signature="zz"), r'record 2 of .*: Serving signature key "zz" not found'),
        (record(name="y"), r"record 2 of .*: Signature input alias: x"),
        (b"\xff\xff", r"record 2 of .* is no PredictionLog"),
        (b"", r"record 2 of .* to be one of predict_log, .*Received: None"),
    ],
)
def test_a_failing_record_stops_the_start(with_records, bad, text):
    server = EmbeddedServer(with_records([record(), bad]))
    with pytest.raises(MmkerasError, match=text):
        server.start()
    assert server.address is None


def test_a_file_that_is_no_tfrecord_stops_the_start(with_records):
    with pytest.raises(MmkerasError, match="corrupted record.*Please verify your warmup data"):
        EmbeddedServer(with_records(None, raw=b"this is no TFRecord file at all")).start()


def test_too_many_records_stop_the_start(with_records, monkeypatch):
    monkeypatch.setattr(warm_up, "MAX_RECORDS", 3)
    with pytest.raises(MmkerasError, match=r"Number of warmup records exceeds the maximum \(3\) at "):
        EmbeddedServer(with_records([record()] * 4)).start()
