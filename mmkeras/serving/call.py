"""One request that is still to be made."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Call:
    """What a transport is asked, and what becomes of its answer.

    The request is built when its turn comes, so that of a long job only the requests on their way are in memory.

    Args:
        method: "PredictionService/Predict".
        build: function that returns the request.
        response_class: message class of the answer.
        decode: function from the answer to what `ModelRequests` goes on with.
        reads_files: True where `build` may read or encode pictures, which an event loop must not wait for.
        longest: seconds that this request may take at most; None leaves it to the deadline of the whole.
    """

    method: str
    build: Callable
    response_class: type
    decode: Callable
    reads_files: bool = False
    longest: float | None = None
