"""In-memory sources, feeds, clocks and outboxes that satisfy the ports: scripted by the test, never by time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal

from desk.desk import Desk
from desk.snapshot import Snapshot
from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, Tier
from engine.prices import OraclePrice
from providers.ports import LinkChange, LinkState, PriceTick, Reading

SECOND_NS = 1_000_000_000
START_NS = 1_780_000_000 * SECOND_NS
PATIENCE_S = 3.0


class Clock:
    """A clock that moves only when told to."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now_ns += int(seconds * SECOND_NS)


class ScriptedSource:
    """A `PositionSource` that yields what the test pushes; an exception that is pushed is raised."""

    def __init__(self, name: str, *, stale_after_s: float = 30.0) -> None:
        self._name = name
        self._stale_after_s = stale_after_s
        self._script: asyncio.Queue[Reading | LinkChange | Exception] = asyncio.Queue()
        self.answer: Reading | Exception | None = None
        self.watches = 0
        self.reads = 0
        self.is_closed = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def stale_after_s(self) -> float:
        return self._stale_after_s

    def push(self, item: Reading | LinkChange | Exception) -> None:
        """Make `item` the next thing that happens."""
        self._script.put_nowait(item)

    async def read(self) -> Reading:
        self.reads += 1
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def watch(self) -> AsyncIterator[Reading | LinkChange]:
        self.watches += 1
        while True:
            item = await self._script.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def aclose(self) -> None:
        self.is_closed = True


class ScriptedFeed:
    """A `PriceFeed` that yields what the test pushes; an exception that is pushed is raised."""

    def __init__(self, venue: str, assets: Sequence[str] = ("ETH", "BTC"), *, stale_after_s: float = 10.0) -> None:
        self._venue = venue
        self._assets = frozenset(assets)
        self._stale_after_s = stale_after_s
        self._script: asyncio.Queue[PriceTick | LinkChange | Exception] = asyncio.Queue()
        self.answer: Sequence[PriceTick] | Exception | None = None
        self.subscriptions: list[frozenset[str]] = []
        self.is_closed = False

    @property
    def venue(self) -> str:
        return self._venue

    @property
    def stale_after_s(self) -> float:
        return self._stale_after_s

    def supports(self, asset: str) -> bool:
        return asset in self._assets

    def push(self, item: PriceTick | LinkChange | Exception) -> None:
        """Make `item` the next thing that happens."""
        self._script.put_nowait(item)

    async def ticks(self, assets: frozenset[str]) -> AsyncIterator[PriceTick | LinkChange]:
        self.subscriptions.append(assets)
        while True:
            item = await self._script.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        self.subscriptions.append(assets)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def aclose(self) -> None:
        self.is_closed = True


class Closes:
    """A `HistorySource` of given daily closes; an asset without any raises `error`."""

    def __init__(self, closes: Mapping[str, Sequence[Decimal]], error: Exception) -> None:
        self._closes = closes
        self._error = error

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        if asset not in self._closes:
            raise self._error
        return self._closes[asset][-days:]


class Outbox:
    """A `desk.notify.Sender` that keeps what it is given and fails as often as `failures` says."""

    def __init__(self, failures: Sequence[str] = ()) -> None:
        self._failures = list(failures)
        self.messages: list[tuple[str, str]] = []

    def __call__(self, url: str, title: str, body: str) -> str:
        self.messages.append((title, body))
        return self._failures.pop(0) if self._failures else ""


def oracle(price: str, *, deviation_bps: str | None = "50", age_s: int = 60, now_ns: int = START_NS) -> OraclePrice:
    """Return a feed's price that printed `age_s` ago."""
    return OraclePrice(
        Decimal(price),
        updated_at_ns=now_ns - age_s * SECOND_NS,
        as_of_ns=now_ns,
        heartbeat_s=Decimal(3600),
        deviation_bps=None if deviation_bps is None else Decimal(deviation_bps),
    )


def loan(name: str = "main", *, debt: str = "15000", price: str = "2500", **oracles: OraclePrice) -> Account:
    """Return 10 ETH at threshold 0.83 against USDC: health 1.3833 as it stands."""
    return Account(
        name=name,
        kind=Kind.LOAN,
        collateral=(Collateral("ETH", Decimal(10), Decimal("0.83")),),
        debt=(Debt("USDC", Decimal(debt)),),
        oracles={"ETH": oracle(price), "USDC": oracle("1", deviation_bps="25"), **oracles},
    )


def perp(name: str = "hl", *, mark: str = "61000", balance: str = "5000") -> Account:
    """Return a short of 0.5 BTC."""
    return Account(
        name=name,
        kind=Kind.PERP,
        mode=MarginMode.CROSS,
        quote="USDC",
        balance=Decimal(balance),
        positions=(
            Position(
                "BTC", Decimal("-0.5"), (Tier(Decimal(0), Decimal("0.01")),), Decimal(60000), mark_price=Decimal(mark)
            ),
        ),
    )


def reading(source: str, *accounts: Account, at_ns: int = START_NS, degraded: tuple[str, ...] = ()) -> Reading:
    """Return a reading of `accounts` that arrived at `at_ns`."""
    return Reading(source, accounts, at_ns, degraded=degraded)


def tick(venue: str, asset: str, mid: str, *, at_ns: int = START_NS, currency: str = "USD") -> PriceTick:
    """Return a quote without a spread."""
    return PriceTick(venue, asset, Decimal(mid), Decimal(mid), at_ns, currency)


def link(name: str, state: LinkState, *, at_ns: int = START_NS, detail: str = "") -> LinkChange:
    """Return a link change."""
    return LinkChange(name, state, at_ns, detail)


async def until(desk: Desk, fact: Callable[[Snapshot], bool]) -> Snapshot:
    """Return the first snapshot for which `fact` holds; fails when it never comes."""
    async with asyncio.timeout(PATIENCE_S), aclosing(desk.snapshots()) as snapshots:
        async for snapshot in snapshots:
            if fact(snapshot):
                return snapshot
    raise AssertionError("the desk stopped making snapshots")
