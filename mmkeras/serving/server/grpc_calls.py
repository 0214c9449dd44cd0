"""How calls of a gRPC port are carried out: where their messages are waited for, and where they are answered."""

import asyncio
import functools
import os
from concurrent import futures

import grpc
import grpc.aio

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.held_bytes import HeldBytes
from mmkeras.serving.server.patience import Patience
from mmkeras.serving.server.reflection import reflect

_LONGEST_DETAILS = 1024  # characters; TensorFlow Serving cuts its error texts there
_MOST_REQUESTS, _MOST_BYTES = 1000, 2**30  # that wait or run
_RELOADS = 4  # that wait for one another at a time
_SMALL_BYTES = 65_536  # of a message that is answered at once
# A message arrives within so long, and so many at a time do; a reflection stream lasts so long, and so many do.
_MESSAGE_SECONDS, _MOST_ARRIVING = 60.0, 2000
_REFLECTION_SECONDS, _MOST_REFLECTIONS = 30.0, 200
_FAR = 1e9  # seconds
_TOO_LATE = "The deadline passed before the request was run"


class GrpcCalls:
    """Make handlers of functions that answer requests, in one of three ways.

    Messages arrive in the event loop, where one that is late costs no thread. It has a minute; past 2,000 messages that
    arrive the oldest is given up.

    Args:
        at_once: how many requests are answered in turn at a time; four a processor where None.
        refuse: whether further ones are refused, in place of waiting.

    Attributes:
        at_once: the number.
    """

    def __init__(self, at_once=None, refuse=False):
        # As many as TensorFlow Serving has by default.
        self.at_once = at_once or 4 * (os.cpu_count() or 1)
        self.refuse = refuse
        self._turns = asyncio.Semaphore(self.at_once)
        self._threads = futures.ThreadPoolExecutor(self.at_once, thread_name_prefix="mmkeras-serving")
        self._own_threads = futures.ThreadPoolExecutor(_RELOADS, thread_name_prefix="mmkeras-serving-own")
        self._requests = 0
        self._held = HeldBytes(_MOST_BYTES)
        self._working = set()
        self._arriving = Patience(_MESSAGE_SECONDS, _MOST_ARRIVING)
        self._reflecting = Patience(_REFLECTION_SECONDS, _MOST_REFLECTIONS)

    def in_turn(self, request_class, answer):
        """Return the handler that answers in a thread, `at_once` requests at a time.

        Args:
            request_class: class of the method's message.
            answer: function of (message, seconds to the deadline or None) that returns a message or raises
                ServingError.
        """
        return self._handler(request_class, answer, self._in_turn)

    def in_own_thread(self, request_class, answer):
        """Return the handler of what may take minutes and takes no turn."""
        return self._handler(request_class, answer, self._in_own_thread)

    def in_loop(self, request_class, answer):
        """Return the handler of what takes no time, and is answered while all threads are busy."""
        return self._handler(request_class, answer, _in_loop)

    def reflection(self):
        """Return the handler of reflection: a stream lasts half a minute; past 200 the oldest is given up."""
        return grpc.stream_stream_rpc_method_handler(self._reflect)

    def close(self):
        """Forget what still runs; it goes on to its end."""
        for work in list(self._working):
            work.cancel()
        for threads in (self._threads, self._own_threads):
            threads.shutdown(wait=False)

    def _handler(self, request_class, answer, run):
        async def behave(requests, context):
            content = await self._message(requests, context)
            code, result = await run(context, content, functools.partial(_answer, request_class, answer, content))
            if code != "OK":
                await _abort(context, code, cut_details(result))
            return result

        # Of whatever kind a method is on the wire, a handler of streams takes its message when it comes.
        return grpc.stream_unary_rpc_method_handler(behave)

    async def _message(self, requests, context):
        """Return the bytes of a call's one message."""
        try:
            async with self._arriving.wait():
                return await anext(requests)
        except TimeoutError:
            await _abort(context, "DEADLINE_EXCEEDED", "The message did not arrive in time")
        except StopAsyncIteration:
            await _abort(context, "UNIMPLEMENTED", "The method takes exactly one message")

    async def _in_turn(self, context, content, work):
        """Return `work`'s answer from a thread, one of `at_once`."""
        if self._requests >= _MOST_REQUESTS:
            return "RESOURCE_EXHAUSTED", f"Already {_MOST_REQUESTS} requests wait or run"
        self._requests += 1
        try:
            if self.refuse and self._turns.locked():
                return "RESOURCE_EXHAUSTED", "Server Threadpool Exhausted"
            with self._held.hold(len(content)):
                try:
                    async with asyncio.timeout(_seconds_left(context)):
                        await self._turns.acquire()
                except TimeoutError:
                    return "DEADLINE_EXCEEDED", _TOO_LATE
                return await self._in_thread(self._threads, context, work, self._turns.release)
        except ServingError as error:
            return error.code, error.details
        finally:
            self._requests -= 1

    async def _in_own_thread(self, context, content, work):
        return await self._in_thread(self._own_threads, context, work)

    async def _in_thread(self, threads, context, work, done=lambda: None):
        """Return `work`'s answer; `done` is called when its thread is free, also where nobody waits any more."""
        running = asyncio.get_running_loop().run_in_executor(threads, work, _seconds_left(context))
        self._working.add(running)
        running.add_done_callback(self._working.discard)
        running.add_done_callback(lambda _: done())
        return await asyncio.shield(running)

    async def _reflect(self, requests, context):
        try:
            async with self._reflecting.wait():
                async for content in requests:
                    reflection = functools.partial(_answer, protos.ServerReflectionRequest, _reflection, content)
                    code, result = await _in_loop(context, content, reflection)
                    if code != "OK":
                        await _abort(context, code, result)
                    await context.write(result)
        except TimeoutError:
            await _abort(context, "DEADLINE_EXCEEDED", "The stream was open for too long")


async def _abort(context, code, details):
    """End a call with an error, from which this does not return."""
    try:
        await context.abort(grpc.StatusCode[code], details)
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # it has ended already, as where its message is too long
        raise asyncio.CancelledError from error


def cut_details(details):
    """Return an error text of the length that TensorFlow Serving sends at most."""
    return details if len(details) <= _LONGEST_DETAILS else details[:_LONGEST_DETAILS] + "...TRUNCATED"


def _seconds_left(context):
    """Return the seconds to a request's deadline, or None; gRPC tells "no deadline" as one in a far future."""
    seconds = context.time_remaining()
    return None if seconds is None or seconds > _FAR else max(seconds, 0)


async def _in_loop(context, content, work):
    """Return `work`'s answer from the event loop, which a long message must not hold."""
    if len(content) > _SMALL_BYTES:
        return "INVALID_ARGUMENT", f"Expected a message of at most {_SMALL_BYTES} bytes. Received: {len(content)}"
    return work(_seconds_left(context))


def _reflection(request, seconds):
    return reflect(request)


def _answer(request_class, answer, content, seconds):
    """Return ("OK", bytes) or (code, text)."""
    try:
        request = request_class.FromString(content)
    except Exception:  # protobuf's DecodeError; the original answers so, without a text
        return "INTERNAL", ""
    try:
        if seconds is not None and seconds <= 0:
            raise ServingError("DEADLINE_EXCEEDED", _TOO_LATE)
        code, result = "OK", answer(request, seconds).SerializeToString()
    except ServingError as error:
        code, result = error.code, error.details
    except Exception as error:  # one request must never end the process or lose its answer
        code, result = "INTERNAL", f"{type(error).__name__}: {error}"
    return code, result
