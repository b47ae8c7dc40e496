"""Lets a test be a coroutine: it runs on a loop of its own, to its end or a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec

P = ParamSpec("P")
DEADLINE_S = 30


def looped(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Return `test` as pytest runs it."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(DEADLINE_S):
                await test(*arguments, **named)

        asyncio.run(bounded())

    return run
