"""A server that is killed while it answers, and started again: clients that are patient notice a pause."""

import asyncio
import os
import threading

import numpy as np
import pytest

from mmkeras.serving import AsyncClient, Client

PATIENT = {"retries": 100, "timeout": 60}


class Asking:
    """Ask without a pause, in a thread, and keep every answer that is wrong or late."""

    def __init__(self, address, is_async):
        self.address = address
        self.right, self.wrong = 0, []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run_async if is_async else self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._ended.set()
        self._thread.join(70)

    def _note(self, x, answer):
        if answer["y"].tolist() == [x * 3.0]:
            self.right += 1
        else:
            self.wrong.append((x, answer))

    def _run(self):
        with Client(self.address, "times", **PATIENT) as client:
            while not self._ended.is_set():
                x = float(self.right % 1000)
                try:
                    self._note(x, client.predict("", {"x": np.float32([x])}))
                except Exception as error:
                    self.wrong.append(error)

    def _run_async(self):
        async def ask():
            async with AsyncClient(self.address, "times", **PATIENT) as client:
                while not self._ended.is_set():
                    x = float(self.right % 1000)
                    try:
                        self._note(x, await client.predict("", {"x": np.float32([x])}))
                    except Exception as error:
                        self.wrong.append(error)

        asyncio.run(ask())


@pytest.mark.slow
def test_clients_go_on_after_kill_9_and_a_restart_on_the_same_ports(serve, publish, base_path, tmp_path, settles):
    publish(3)
    (tmp_path / "scratch").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    first = serve(base_path, "--port", 0, "--rest-port", 0, env=environment)
    ports = [address.rpartition(":")[2] for address in (first.address, first.rest_address)]
    asking = [
        Asking(address, is_async) for address in (first.address, first.rest_address) for is_async in (False, True)
    ]
    assert settles(lambda: min(one.right for one in asking) > 50)
    first.kill()
    answered = [one.right for one in asking]
    second = serve(base_path, "--port", ports[0], "--rest-port", ports[1], env=environment)
    assert (second.address, second.rest_address) == (first.address, first.rest_address)
    # Each of them, of both kinds and over both ports, is answered again.
    assert settles(lambda: all(one.right > count + 50 for one, count in zip(asking, answered, strict=True)))
    for one in asking:
        one.stop()
    assert [one.wrong for one in asking] == [[]] * 4
    second.kill()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_client_that_is_not_patient_is_told_at_once(serve, publish, base_path):
    publish(3)
    server = serve(base_path, "--port", 0, "--rest-port", 0)
    for address in (server.address, server.rest_address):
        with Client(address, "times") as client:
            assert client.predict("", {"x": [2.0]})["y"].tolist() == [6.0]
    server.kill()
    for address in (server.address, server.rest_address):
        with Client(address, "times") as client, pytest.raises(Exception, match="UNAVAILABLE") as caught:
            client.predict("", {"x": [2.0]})
        assert address in str(caught.value)
