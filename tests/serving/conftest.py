"""Small SavedModels without Keras, made once, and a server over one of them."""

import pytest


def write_toy(path, factor):
    """Write a SavedModel with the signatures of an mmkeras export and a few that go wrong in every way."""
    import tensorflow as tf

    def spec(shape, dtype, name):
        return tf.TensorSpec(shape, dtype, name=name)

    def embed(strings):
        lengths = tf.cast(tf.strings.length(strings), tf.float32)
        return tf.stack([lengths, lengths * factor], axis=1)

    class Toy(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(tf.ones([3, 2]) * factor)
            self.words = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(["omega", "alpha"], tf.constant([24, 1], tf.int64)), -1
            )

        @tf.function(input_signature=[spec([None, 3], tf.float32, "x")])
        def matmul(self, x):
            return {"y": tf.matmul(x, self.weight)}

        @tf.function(input_signature=[spec([None], tf.float32, "a"), spec([None], tf.float32, "b")])
        def pair(self, a, b):
            return {"sum": a + b, "mean": (a + b) / 2}

        @tf.function(input_signature=[spec([None], tf.string, "text")])
        def upper(self, text):
            return {"upper": tf.strings.upper(text), "word": self.words.lookup(text)}

        @tf.function(input_signature=[spec([None], tf.float16, "x")])
        def half(self, x):
            return {"y": x * 2, "brain": tf.cast(x, tf.bfloat16)}

        @tf.function(input_signature=[spec([], tf.int32, "steps")])
        def slow(self, steps):
            return {
                "total": tf.while_loop(
                    lambda i, x: i < steps, lambda i, x: (i + 1, x + tf.reduce_sum(tf.random.uniform([99]))), (0, 0.0)
                )[1]
            }

        @tf.function(input_signature=[spec([None], tf.string, "message")])
        def fail(self, message):
            with tf.control_dependencies([tf.debugging.Assert(tf.constant(False) & (tf.size(message) > 0), [message])]):
                return {"same": tf.identity(message)}

        @tf.function(jit_compile=True)
        def doubled(self, x):
            return x * 2

        @tf.function(input_signature=[spec([None], tf.float32, "x")])
        def jit(self, x):
            return {"y": self.doubled(x)}

        @tf.function(input_signature=[spec([None], tf.string, "text")])
        def encode_text(self, text):
            return {"embedding": embed(text)}

        @tf.function(input_signature=[spec([None], tf.string, "image_bytes")])
        def encode_image(self, image_bytes):
            return {"embedding": embed(image_bytes)}

        @tf.function(input_signature=[spec([None, 4, 4, 3], tf.uint8, "image")])
        def encode_pixels(self, image):
            return {"embedding": tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2])}

        @tf.function(input_signature=[spec([None], tf.string, "image_bytes"), spec([None], tf.string, "text")])
        def match(self, image_bytes, text):
            return {"score": tf.cast(tf.equal(image_bytes, text), tf.float32)}

        @tf.function(input_signature=[spec([None], tf.string, "probe")])
        def describe(self, probe):
            return {"space_id": tf.fill(tf.shape(probe), f"space-{factor}")}

    toy = Toy()
    names = "pair upper half slow fail jit encode_text encode_image encode_pixels match describe".split()
    signatures = {"serving_default": toy.matmul, **{name: getattr(toy, name) for name in names}}
    tf.saved_model.save(toy, str(path), signatures=signatures)


@pytest.fixture(scope="session")
def write_half_plus_two():
    """A function of (folder, signature name) that writes the smallest SavedModel."""
    import tensorflow as tf

    class HalfPlusTwo(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x / 2 + 2}

    def write(path, signature="serving_default"):
        module = HalfPlusTwo()
        tf.saved_model.save(module, str(path), signatures={signature: module.__call__})

    return write


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory):
    """Base path of model "toy": versions 1 and 2, and a half-written 3."""
    base_path = tmp_path_factory.mktemp("models") / "toy"
    write_toy(base_path / "00000001", 1)
    write_toy(base_path / "2", 2)
    (base_path / ".tmp-3").mkdir()
    return base_path


@pytest.fixture(scope="session")
def half_plus_two_path(tmp_path_factory, write_half_plus_two):
    base_path = tmp_path_factory.mktemp("models") / "half plus two"
    write_half_plus_two(base_path / "123")
    return base_path


@pytest.fixture(scope="session")
def toy_server(toy_path):
    from mmkeras.serving import EmbeddedServer

    with EmbeddedServer(toy_path) as server:
        yield server


@pytest.fixture
def toy_client(toy_server):
    from mmkeras.serving import Client

    with Client(toy_server.address, "toy", timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def call(toy_server):
    """A raw call of the toy server: (method, message or bytes, response class, timeout) -> message."""
    import grpc

    from mmkeras.serving import protos

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(toy_server.address, options) as channel:

        def call(method, request, response_class=protos.PredictResponse, timeout=20):
            content = request if isinstance(request, bytes) else request.SerializeToString()
            name = method if method.startswith("/") else f"/tensorflow.serving.{method}"
            return response_class.FromString(channel.unary_unary(name)(content, timeout=timeout))

        yield call


@pytest.fixture(scope="session")
def refusal(call):
    """A function that makes a raw call, which must fail, and returns (code, text)."""
    import grpc

    def refusal(*arguments, **keywords):
        with pytest.raises(grpc.RpcError) as caught:
            call(*arguments, **keywords)
        return caught.value.code().name, caught.value.details()

    return refusal
