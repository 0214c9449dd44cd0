"""Waits for clients are bounded, in time and in number."""

import asyncio
import time

import pytest

from mmkeras.serving.server.patience import Patience


async def wait(patience, seconds):
    """How a wait of so many seconds ends, and after how long."""
    started = time.monotonic()
    try:
        async with patience.wait():
            await asyncio.sleep(seconds)
            end = "done"
    except TimeoutError:
        end = "given up"
    return end, time.monotonic() - started


def test_a_wait_ends_after_its_seconds():
    async def both():
        patience = Patience(seconds=0.2, most=10)
        return await asyncio.gather(wait(patience, 0.01), wait(patience, 10))

    (quick, _), (slow, seconds) = asyncio.run(both())
    assert (quick, slow) == ("done", "given up")
    assert 0.19 < seconds < 5


def test_the_oldest_gives_way():
    async def many():
        patience = Patience(seconds=60, most=3)
        first = [asyncio.create_task(wait(patience, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        later = [asyncio.create_task(wait(patience, 0.3)) for _ in range(2)]
        answers = await asyncio.gather(*first[:2], *later)
        assert not first[2].done()
        # Who is done leaves room: nobody has to go for the next ones.
        answers += await asyncio.gather(*(wait(patience, 0.01) for _ in range(2)))
        assert not first[2].done()
        first[2].cancel()
        return [end for end, _ in answers]

    assert asyncio.run(many()) == ["given up"] * 2 + ["done"] * 4


def test_many_more_than_there_may_be_leave_the_last_ones():
    async def many():
        patience = Patience(seconds=60, most=5)
        return [end for end, _ in await asyncio.gather(*(wait(patience, 0.2) for _ in range(100)))]

    assert asyncio.run(many()) == ["given up"] * 95 + ["done"] * 5


def test_what_else_ends_a_block_ends_the_wait():
    async def fail(patience):
        async with patience.wait():
            raise ValueError("its own")

    async def twice():
        patience = Patience(seconds=60, most=1)
        for _ in range(3):
            with pytest.raises(ValueError, match="its own"):
                await fail(patience)
        return await wait(patience, 0.01)

    assert asyncio.run(twice())[0] == "done"
