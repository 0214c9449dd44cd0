"""An event loop in a thread of its own."""

import asyncio
import threading


class EventLoop:
    """Run coroutines of a server beside the threads of whoever started it.

    Args:
        name: name of the thread.

    Example:
        >>> loop = EventLoop("mmkeras-serving")
        >>> loop.submit(asyncio.sleep(1, "done")).result()
        'done'
        >>> loop.close()
    """

    def __init__(self, name):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine):
        """Run a coroutine; return its `concurrent.futures.Future`."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self):
        """Cancel what still runs, and end the thread; does nothing where that was done before."""
        if self._loop.is_closed():
            return
        self.submit(_cancel_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
