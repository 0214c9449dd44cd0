"""When a call that failed is worth a repetition, and after which pause."""

import random
import time

# A call that ended so has not changed anything on the server and may succeed a moment later.
RETRIED_CODES = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds
# RESOURCE_EXHAUSTED is also gRPC's word for a message over a size limit, which will be as large the next time.
_TOO_LARGE = "larger than max"


def pause_before_retry(error, attempt, retries, deadline):
    """Return the seconds to wait before a failed call is repeated, or None where it is not to be repeated.

    The pause is drawn evenly between 0 and a bound that doubles with each attempt ("full jitter"), so that clients
    that were refused together do not come back together.

    Args:
        error: the `ServingError` that the call ended with.
        attempt: repetitions so far, from 0.
        retries: repetitions at most.
        deadline: when the whole call has to be over, on `time.monotonic`'s clock.

    Reference: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if error.code not in RETRIED_CODES or attempt >= retries or _TOO_LARGE in error.details:
        return None
    pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
    return pause if time.monotonic() + pause < deadline else None
