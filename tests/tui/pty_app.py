"""Run by the driver's tests in a child process on a pty: the dashboard on a market that moves when it is told to.

Usage: pty_app.py stock|diff CONTROL_FD REPORT_FD. Each byte on CONTROL_FD is one tick of a seeded random market;
`.` on REPORT_FD answers when its frame was handed to the driver.
"""

import asyncio
import os
import random
import sys
from dataclasses import replace
from decimal import Decimal

from tests.tui import frames
from tests.tui.frames import HandDesk
from tui import environment
from tui.view import UiSettings


def moved(rng: random.Random, desk: HandDesk) -> None:
    """Move every price a little and judge all accounts again."""
    eth = Decimal(rng.randint(20_000, 27_000)) / 10
    prices = frames.PRICES | {"ETH": frames.asset_price(str(eth), str(eth - rng.randint(0, 30)), volatility="0.62")}
    accounts = {}
    for name, old in desk.snapshot.accounts.items():
        account = old.account
        if name == "spark":
            wide = rng.choice(["中文", "abc", "e\u0301", "δοκ"])
            account = replace(account, venue=f"{wide} {rng.randint(0, 99)}")
        accounts[name] = frames.state(account, age_s=rng.randint(0, 40), is_stale=rng.random() < 0.1, prices=prices)
    desk.snapshot = replace(desk.snapshot, sequence=desk.snapshot.sequence + 1, accounts=accounts)


def main() -> None:
    """Run until `q`."""
    environment.prepare()
    control, report = int(sys.argv[2]), int(sys.argv[3])
    if sys.argv[1] == "stock":
        os.environ["MARGINLINE_STOCK_DRIVER"] = "1"
    from tui.app import DashboardApp

    desk = HandDesk(frames.snapshot())
    rng = random.Random(5)
    app = DashboardApp(desk, settings=UiSettings(is_live=False, fps=1.0), clock=lambda: float(desk.snapshot.sequence))

    def tick() -> None:
        for _ in os.read(control, 64):
            moved(rng, desk)
            app.paint()
            app.call_after_refresh(lambda: os.write(report, b"."))

    async def watch() -> None:
        asyncio.get_running_loop().add_reader(control, tick)
        os.write(report, b"!")
        await asyncio.Event().wait()

    desk.run = watch  # type: ignore[method-assign]
    app.run()


if __name__ == "__main__":
    main()
