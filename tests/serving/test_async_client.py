"""What is the awaited client's own: many calls in one loop, cancelling, closing."""

import asyncio
import time

import numpy as np
import pytest

from mmkeras.serving import AsyncClient, Client, ServingError

from .fake_servers import FakeGrpcServer, FakeModel, FakeRestServer


@pytest.fixture(params=[FakeGrpcServer, FakeRestServer], ids=["grpc", "rest"])
def slow_server(request):
    with request.param(FakeModel(seconds=0.1)) as server:
        yield server


def test_calls_run_side_by_side(slow_server):
    async def ask():
        async with AsyncClient(slow_server.address, "toy") as client:
            await client.wait_until_ready()
            await client.encode_text(["a"])
            started = time.monotonic()
            answers = await asyncio.gather(*[client.encode_text(["x" * length]) for length in range(8)])
            return [answer[0, 0] for answer in answers], time.monotonic() - started

    lengths, seconds = asyncio.run(ask())
    assert lengths == list(range(8))
    assert seconds < 0.5  # 0.8 one after the other


def test_the_loop_goes_on_while_a_call_waits(slow_server):
    async def ask():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.005)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with AsyncClient(slow_server.address, "toy") as client:
            await client.encode_image([np.zeros([64, 64, 3], np.uint8)])
        ticking.cancel()
        return ticks

    assert asyncio.run(ask()) >= 5


def test_a_call_can_be_cancelled(slow_server):
    async def ask():
        async with AsyncClient(slow_server.address, "toy", max_batch=1, concurrency=2) as client:
            await client.encode_text(["a"])
            asked = slow_server.model.asked
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.encode_text(["a"] * 50), 0.15)
            assert time.monotonic() - started < 0.5
            await asyncio.sleep(0.2)
            assert slow_server.model.asked - asked <= 6
            assert (await client.encode_text(["a"])).shape == (1, 2)

    asyncio.run(ask())


def test_closing_while_calls_run(slow_server):
    async def ask():
        client = AsyncClient(slow_server.address, "toy", max_batch=1, concurrency=1)
        running = asyncio.create_task(client.encode_text(["a"] * 20))
        await asyncio.sleep(0.15)
        await client.close()
        with pytest.raises(ServingError, match="closed") as caught:
            await running
        assert caught.value.code == "CANCELLED"
        await client.close()

    asyncio.run(ask())


def test_both_clients_have_the_same_methods():
    public = {name for name in dir(Client) if not name.startswith("_")}
    assert public == {name for name in dir(AsyncClient) if not name.startswith("_")}
    assert {"predict", "encode_image", "classify", "models", "check_space", "wait_until_ready"} <= public


def test_against_the_embedded_server(toy_server, toy_path):
    async def ask():
        async with AsyncClient(toy_server.address, "toy", max_batch=2) as client:
            await client.wait_until_ready(10)
            assert (await client.encode_text(["ab", "abcd", "x"])).tolist() == [[2, 4], [4, 8], [1, 2]]
            assert (await client.space_id()) == "space-2"
            assert (await client.status())[0]["state"] == "AVAILABLE"
            with pytest.raises(ServingError) as caught:
                await client.predict("nope", {"x": [1.0]})
            assert caught.value.code == "FAILED_PRECONDITION"

    asyncio.run(ask())
