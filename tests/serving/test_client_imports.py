"""The client beside TensorFlow and without it."""

import subprocess
import sys

import numpy as np

from mmkeras.serving import Client

from .fake_servers import FakeGrpcServer, FakeModel, FakeRestServer

TIMED = """
import sys, time
started = time.perf_counter()
import numpy, grpc, google.protobuf.message_factory
needed = time.perf_counter() - started
import mmkeras.serving.{module}
seconds = time.perf_counter() - started - needed
print(seconds < 1.0, f"{{seconds:.2f}} s beside {{needed:.2f}} s")
"""


def test_importing_it_takes_little_beside_what_it_needs():
    for module in ("client", "async_client", "rest_transport", "grpc_transport", "async_rest_transport"):
        program = TIMED.format(module=module)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("True"), f"{module}: {done.stdout}"


def test_using_all_of_it_loads_no_tensorflow(tmp_path):
    with FakeGrpcServer(FakeModel()) as by_grpc, FakeRestServer(FakeModel()) as by_rest:
        program = f"""
import asyncio, sys
import numpy as np
from mmkeras.serving import AsyncClient, Client

async def ask(address):
    async with AsyncClient(address, "toy", max_batch=1) as client:
        await asyncio.gather(client.wait_until_ready(10), client.encode_text(["a", "b"]))

for address in ({by_grpc.address!r}, {by_rest.address!r}):
    with Client(address, "toy", max_batch=2) as client:
        client.wait_until_ready(10)
        client.encode_text(["a"] * 5), client.encode_image([np.zeros([8, 8, 3], np.uint8)])
        client.classify(texts=["a"]), client.metadata(), client.models(), client.check_space("space-1")
    asyncio.run(ask(address))
heavy = {{"tensorflow", "keras", "tensorflow_serving", "tensorflow_text", "PIL", "scipy", "sklearn"}}
print(sorted(heavy & set(sys.modules)))
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_it_lives_in_one_process_with_tensorflow_and_its_messages():
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    model = FakeModel(versions=[3])
    with FakeGrpcServer(model) as server, Client(server.address, "toy") as client:
        ours = client.encode_text(["ab", "c"])
        with grpc.insecure_channel(server.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = "toy", "encode_text"
            request.inputs["text"].CopyFrom(tf.make_tensor_proto(["ab", "c"]))
            theirs = tf.make_ndarray(stub.Predict(request, timeout=20).outputs["embedding"])
        assert ours.tolist() == theirs.tolist() == [[2, 3], [1, 3]]
        np.testing.assert_array_equal(client.encode_text(tf.constant(["ab", "c"]).numpy()), ours)
