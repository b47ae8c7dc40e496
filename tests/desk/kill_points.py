"""A process that carries out plans and is killed: forked from this one, at a named point or at any moment.

Run as a program with a folder; each line on stdin, `RUN POINT`, makes one run in `folder/RUN` and one line on stdout.
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
from pathlib import Path

from desk.carry import Patience
from desk.executor import Executor
from desk.journal import Journal
from desk.limits import Limits
from providers.ports import Reading
from providers.rescue_ports import Fate, Found, Signed, Signer, Step
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


def run(folder: Path, point: str) -> str:
    """Fork, let the child work up to `point`, kill it there; return the point at which it was."""
    folder.mkdir(parents=True)
    mine, its = _socket_pair()
    child = os.fork()
    if child == 0:
        os.close(mine)
        asyncio.run(carry_out(folder, its))
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
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        name, point = line.split()
        sys.stdout.write(f"{run(folder / name, point)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
