"""A process that carries out plans and is killed: forked from this one, at a named point or at any moment.

Run as a program with a folder, and the name of a work of `WORKS`; each line on stdin, `RUN POINT`, makes one run in
`folder/RUN` and one line on stdout.
POINT is `NAME:N`, the N-th time that point is reached, or `NAME:N+SECONDS`, so much later wherever that is. What was
taken by the chain stands in `folder/RUN/chain`, one reference per line, in the order it was taken.
"""

import asyncio
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from desk.carry import Patience
from desk.executor import Executor
from desk.journal import Journal
from desk.limits import Limits
from providers.ports import Reading
from providers.rescue_ports import Fate, Found, Signed, Signer, Step
from tests.doubles_mempool import Mempool
from tests.doubles_rescue import Chain, CountingBox, plan_for

LONGEST_S = 20.0


class DurableChain(Chain):
    """A chain that outlives the process that sends: what it took is in a file. It tells each point that it reaches."""

    def __init__(self, path: Path, tell: int | None = None) -> None:
        super().__init__("main")
        self.path = path
        self.tell = tell
        self.sent = path.read_text().split() if path.exists() else []

    def reached_point(self, point: str) -> None:
        """Tell the parent, and wait until it lets this process live on."""
        if self.tell is not None:
            os.write(self.tell, f"{point}\n".encode())
            os.read(self.tell, 1)

    async def read(self) -> Reading:
        self.reached_point("read-again" if self.sent else "read")
        return await super().read()

    def sign(self, step: Step, signer: Signer) -> Signed:
        self.reached_point("before-sign")
        signed = super().sign(step, signer)
        self.reached_point("signed")
        return signed

    async def send(self, signed: Signed) -> None:
        self.reached_point("before-send")
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{signed.reference}\n".encode())
        os.close(handle)
        self.take(signed)
        self.reached_point("sent")

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        self.reached_point("find")
        if signed_reference in self.sent:
            return Found(Fate.CONFIRMED, "block 101")
        return Found(Fate.UNKNOWN, f"no node knows {signed_reference}")


def executor_in(folder: Path, tell: int | None = None) -> tuple[Executor, DurableChain, CountingBox]:
    """Return an executor whose journal and chain live in `folder`."""
    chain, box = DurableChain(folder / "chain", tell), CountingBox()
    journal = Journal(folder / "journal.sqlite3", clock=chain.clock)
    one = "main"
    patience = Patience(land_s=0.05, look_every_s=0.001, answer_s=1.0)
    executor = Executor(
        journal, {one: chain}, {one: chain}, {one: box}, {one: chain}, Limits(), clock=chain.clock, patience=patience
    )
    return executor, chain, box


async def carry_out(folder: Path, tell: int) -> None:
    """Arm and carry out the one plan."""
    executor, chain, _ = executor_in(folder, tell)
    plan = plan_for()
    chain.reached_point("start")
    await executor.arm({}, actor="killed")
    await executor.execute(plan, plan.options[0], actor="killed")
    chain.reached_point("done")


class DurableMempool(Mempool):
    """A chain whose supply waits for ever, and which outlives its sender; it tells its points once it is told to."""

    def __init__(self, path: Path, tell: int | None = None) -> None:
        super().__init__("main")
        self.path, self.tell = path, tell
        self.mines_at_once = {"approve"}
        self.sent = path.read_text().split() if path.exists() else []
        self.mined = dict.fromkeys((7,), self.sent[0]) if self.sent else {}

    def reached_point(self, point: str) -> None:
        """Tell the parent, and wait until it lets this process live on."""
        if self.tell is not None:
            os.write(self.tell, f"{point}\n".encode())
            os.read(self.tell, 1)

    def sign(self, step: Step, signer: Signer) -> Signed:
        self.reached_point("before-sign")
        signed = super().sign(step, signer)
        self.reached_point("signed")
        return signed

    async def send(self, signed: Signed) -> None:
        self.reached_point("before-send")
        await super().send(signed)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{signed.reference}\n".encode())
        os.close(handle)
        self.reached_point("sent")

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        self.reached_point("find")
        return await super().find(signed_reference, nonce, owner)

    async def why_not_replaced(self, step: Step) -> str:
        self.reached_point("checked")
        return await super().why_not_replaced(step)


def speeding_in(folder: Path) -> tuple[Executor, DurableMempool, CountingBox]:
    """Return an executor on a chain where supplies wait; its journal and chain live in `folder`."""
    chain, box = DurableMempool(folder / "chain"), CountingBox()
    journal = Journal(folder / "journal.sqlite3", clock=chain.clock)
    by = {"main": chain}
    patience = Patience(land_s=0.02, look_every_s=0.001, answer_s=1.0)
    executor = Executor(journal, by, by, {"main": box}, by, Limits(), clock=chain.clock, patience=patience)
    return executor, chain, box


async def speed_up(folder: Path, tell: int) -> None:
    """Let a supply get stuck, then speed it up: only that is told."""
    executor, chain, _ = speeding_in(folder)
    plan = plan_for()
    await executor.arm({}, actor="killed")
    action = await executor.execute(plan, plan.options[0], actor="killed")
    chain.tell = tell
    chain.reached_point("start")
    await executor.speed_up(await executor.faster(action.id), actor="killed")
    chain.reached_point("done")


WORKS = {"carry-out": carry_out, "speed-up": speed_up}


def run(folder: Path, point: str, work: Callable[[Path, int], Coroutine[object, object, None]] = carry_out) -> str:
    """Fork, let the child work up to `point`, kill it there; return the point at which it was."""
    folder.mkdir(parents=True)
    mine, its = _socket_pair()
    child = os.fork()
    if child == 0:
        os.close(mine)
        asyncio.run(work(folder, its))
        os._exit(0)
    os.close(its)
    try:
        return _until(mine, point)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(mine)


def _until(mine: int, point: str) -> str:
    """Let the child pass its points until the wanted one and a while longer; return where it was."""
    place, _, delay = point.partition("+")
    name, _, count = place.partition(":")
    left, ends = int(count), time.monotonic() + LONGEST_S
    last = "start"
    while select.select([mine], [], [], max(0.0, ends - time.monotonic()))[0]:
        told = os.read(mine, 100).decode().strip()
        if not told:
            return f"{point}, ended after {last}"
        last = told
        left -= told == name
        if told == name and left == 0:
            if not delay:
                return point
            ends = time.monotonic() + float(delay)
        os.write(mine, b".")
    return f"{point}, after {last}" if left <= 0 else f"never at {point}, but after {last}"


def _socket_pair() -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def main() -> None:
    """Answer each `RUN POINT` with where the child was killed."""
    folder, work = Path(sys.argv[1]), WORKS[sys.argv[2]]
    for line in sys.stdin:
        name, point = line.split()
        sys.stdout.write(f"{run(folder / name, point, work)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
