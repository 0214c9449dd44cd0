"""Requests that wait or run are bounded by their size together."""

import pytest

from mmkeras.serving import ServingError
from mmkeras.serving.server.held_bytes import HeldBytes


def test_more_than_there_may_be_are_refused_until_others_are_done():
    held = HeldBytes(100)
    with held.hold(60), held.hold(40):
        with pytest.raises(ServingError) as caught, held.hold(1):
            pass
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        assert caught.value.details == (
            "Expected at most 100 bytes of requests that wait or run. Received: 1 bytes more"
        )
        with held.hold(0):
            pass
    with pytest.raises(ValueError, match="its own"), held.hold(70):
        raise ValueError("its own")
    with held.hold(100), pytest.raises(ServingError), held.hold(1):
        pass


def test_one_alone_may_be_as_large_as_it_may_be():
    held = HeldBytes(100)
    for _ in range(2):
        with held.hold(1000), pytest.raises(ServingError), held.hold(1):
            pass
