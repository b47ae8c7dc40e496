"""A loopback venue in a thread of its own, so that commands can be run as subprocesses against it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.signed_server import SignedServer


@contextmanager
def serving(make: Callable[[], SignedServer]) -> Iterator[SignedServer]:
    """Run the server that `make` gives on a loop in a thread until the block ends."""
    started, servers, stop = threading.Event(), list[SignedServer](), list[Callable[[], None]]()

    async def run() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with make() as server:
            servers.append(server)
            stop.append(lambda: loop.call_soon_threadsafe(done.set))
            started.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="loopback venue")
    thread.start()
    try:
        if not started.wait(10):
            raise TimeoutError("the loopback venue did not start")
        yield servers[0]
    finally:
        if stop:
            stop[0]()
        thread.join(10)
