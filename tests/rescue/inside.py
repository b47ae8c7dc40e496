"""Rescues inside the test's own process: the product's plan and executor, with a signer that counts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from desk.carry import Patience
from desk.executor import Executor
from marginline.commands.plan import Made, Wish, make
from marginline.commands.setup import read_config
from marginline.compose import account_options, build_source
from marginline.config import Config
from marginline.rescue import Rescuer, account_of, build_rescuer, limits_of, open_journal
from marginline.signers import SignerBox
from providers.ports import PositionSource

T = TypeVar("T")


class CountingBox(SignerBox):
    """A signer of the product that counts what it signed."""

    __slots__ = ("signed",)

    def __init__(self, reference: str, where: str) -> None:
        super().__init__(reference, where)
        self.signed = 0

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        self.signed += 1
        return super().sign_digest(digest)


@dataclass
class Bench:
    """One account's executor, and what it is made of; `now_ns` moves the clock that arming and plans count on."""

    config: Config
    box: CountingBox
    rescuer: Rescuer
    source: PositionSource
    executor: Executor
    ahead_ns: list[int]

    async def plan(self, wish: Wish) -> Made:
        """Return a plan as the command line makes it."""
        return await make(self.config, account_of(self.config, "main"), "main", wish, self.rescuer, 20.0)


def on_bench(
    config: Path, work: Callable[[Bench], Awaitable[T]], clock: Callable[[], int], *, land_s: float = 20.0
) -> T:
    """Return what `work` makes of a bench whose connections are closed afterwards."""

    async def whole() -> T:
        read = read_config(config)
        account = account_of(read, "main")
        box = CountingBox(account.signer or "", "signer")
        await box.learn_address()
        rescuer = build_rescuer(account, account_options(account), box)
        source = build_source(account, clock)
        ahead_ns = [0]
        sources: Mapping[str, PositionSource] = {"main": source}
        executor = Executor(
            open_journal(read),
            {"main": rescuer},
            {"main": rescuer},
            {"main": box},
            sources,
            limits_of(read),
            clock=lambda: clock() + ahead_ns[0],
            patience=Patience(land_s=land_s, look_every_s=0.01),
        )
        try:
            return await work(Bench(read, box, rescuer, source, executor, ahead_ns))
        finally:
            await executor.aclose()
            await rescuer.aclose()

    return asyncio.run(whole())
