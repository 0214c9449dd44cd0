"""What is gRPC's own: large messages and encrypted connections."""

import asyncio

import grpc
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import AsyncClient, Client, ServingError, TlsFiles

from .fake_servers import FakeGrpcServer, FakeModel


def test_an_answer_above_four_megabytes(monkeypatch):
    big = np.arange(2_000_000, dtype=np.float32).reshape(2, -1)
    monkeypatch.setattr(FakeModel, "_outputs", lambda *_: {"embedding": big})
    with FakeGrpcServer(FakeModel()) as server, Client(server.address, "toy") as client:
        for _ in range(2):  # both tensor encodings
            np.testing.assert_array_equal(client.encode_text(["a", "b"]), big)


def test_a_message_over_a_limit_is_not_sent_again():
    model = FakeModel()
    model.failures = [ServingError("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 8)")] * 3
    with FakeGrpcServer(model) as server, Client(server.address, "toy") as client:
        with pytest.raises(ServingError, match="larger than max"):
            client.encode_text(["a"])
    assert model.asked == 1


def test_tls(certificates):
    pair = [((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())]
    authority = (certificates / "authority.pem").read_bytes()
    trusting = TlsFiles(certificates / "authority.pem")
    known = TlsFiles(certificates / "authority.pem", certificates / "client.pem", certificates / "client.key")
    with FakeGrpcServer(FakeModel(), grpc.ssl_server_credentials(pair)) as server:
        with Client(server.address, "toy", tls=trusting) as client:
            assert client.encode_text(["a"]).shape == (1, 2)
        for tls in (None, True):  # in the clear; with the system's authorities, of which this is none
            with Client(server.address, "toy", tls=tls, retries=0, timeout=5) as client:
                with pytest.raises(ServingError) as caught:
                    client.encode_text(["a"])
                assert caught.value.code == "UNAVAILABLE"
    with FakeGrpcServer(FakeModel(), grpc.ssl_server_credentials(pair, authority, True)) as server:
        with Client(server.address, "toy", tls=known) as client:
            assert client.encode_text(["a"]).shape == (1, 2)
        with Client(server.address, "toy", tls=trusting, retries=0, timeout=5) as client:
            with pytest.raises(ServingError) as caught:
                client.encode_text(["a"])
            assert caught.value.code == "UNAVAILABLE"

        async def ask():
            async with AsyncClient(server.address, "toy", tls=known) as client:
                return await client.encode_text(["a"])

        assert asyncio.run(ask()).shape == (1, 2)


def test_tls_files(tmp_path):
    (tmp_path / "empty.pem").write_bytes(b"")
    for arguments, text in (
        ({"client_key": "a"}, "client_certificate and client_key together"),
        ({"root_certificate": tmp_path / "missing.pem"}, r"root_certificate.*missing\.pem"),
    ):
        with pytest.raises(MmkerasError, match=text):
            Client("127.0.0.1:9", "toy", tls=TlsFiles(**arguments))
    with pytest.raises(MmkerasError, match=r"PEM files.*empty\.pem"):
        Client("https://127.0.0.1:9", "toy", tls=TlsFiles(tmp_path / "empty.pem"))
    with pytest.raises(MmkerasError, match="TlsFiles"):
        Client("127.0.0.1:9", "toy", tls="authority.pem")
