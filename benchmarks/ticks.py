"""Row 5: what a price tick costs with 10,000 accounts held, over what the accounts that it touches cost alone.

Two live states take the same ticks in turns: one holds 10,000 accounts of which 20 hold the asset, the other those 20
alone. After every tick both snapshots are looked at where the tick matters, so the touched accounts are recomputed.
Medians of interleaved rounds.
"""

import statistics
import time
from decimal import Decimal

from desk.settings import DeskSettings
from desk.state import LiveState
from engine.accounts import Account, Collateral, Debt, Kind
from engine.prices import OraclePrice
from providers.ports import PriceTick, Reading

START_NS = 1_780_000_000_000_000_000
ACCOUNTS, TOUCHED, ASSETS = 10_000, 20, 499
ROUNDS, TICKS = 15, 60
VENUES = {"binance": 3600.0, "kraken": 3600.0, "okx": 3600.0}


def account(name: str, asset: str) -> Account:
    """Return a loan on `asset` against USDC."""
    oracles = {
        each: OraclePrice(Decimal(price), START_NS, START_NS, Decimal(86_400), Decimal(bps))
        for each, price, bps in ((asset, "2500", 500), ("USDC", "1", 25))
    }
    collateral = (Collateral(asset, Decimal(10), Decimal("0.83")),)
    return Account(name, Kind.LOAN, collateral=collateral, debt=(Debt("USDC", Decimal(12_000)),), oracles=oracles)


def held(touched: list[Account], others: list[Account]) -> LiveState:
    """Return a live state that holds the accounts and knows a price of USDC and ETH."""
    state = LiveState(DeskSettings(), {"main": 3600.0}, VENUES, START_NS)
    state.apply(Reading("main", (*touched, *others), START_NS), START_NS)
    for venue in VENUES:
        state.apply(PriceTick(venue, "USDC", Decimal(1), Decimal(1), START_NS), START_NS)
        state.apply(PriceTick(venue, "ETH", Decimal(2500), Decimal(2500), START_NS), START_NS)
    state.settle(START_NS)
    return state


def spent(state: LiveState, names: list[str], first: int) -> float:
    """Return seconds of CPU for `TICKS` ticks of the asset and a look at every account they touch."""
    venues = list(VENUES)
    ticks = [
        PriceTick(venues[step % 3], "ETH", price := Decimal(2490) + Decimal(step % 97) / 10, price, START_NS + step)
        for step in range(first, first + TICKS)
    ]
    started = time.process_time()
    for tick in ticks:
        state.apply(tick, START_NS)
        snapshot = state.settle(START_NS)
        for name in names:
            assert snapshot.accounts[name].assessment.at_market is not None
    return time.process_time() - started


def rows() -> list[tuple[str, str, str, str]]:
    """Return the row of the report: number, what, measured, target."""
    touched = [account(f"main:t{index}", "ETH") for index in range(TOUCHED)]
    others = [account(f"main:o{index}", f"A{index % ASSETS}") for index in range(ACCOUNTS - TOUCHED)]
    names = [each.name for each in touched]
    many, few = held(touched, others), held(touched, [])
    of_many: list[float] = []
    of_few: list[float] = []
    for index in range(ROUNDS):
        first = 1 + index * TICKS
        of_many.append(spent(many, names, first))
        of_few.append(spent(few, names, first))
    at_many, alone = (statistics.median(times) / TICKS for times in (of_many, of_few))
    measured = f"{at_many / alone:.2f}x ({at_many * 1e6:.0f} us, {TOUCHED} touched alone {alone * 1e6:.0f} us)"
    return [("5", f"tick at {ACCOUNTS:,} accounts / its touched ones alone", measured, "<= 1.5x")]


if __name__ == "__main__":
    for row in rows():
        print("  ".join(row))
