"""The dry run of every venue: the engine's arithmetic on a fresh reading, at the venue's own weights."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal

import pytest

from engine.accounts import Account, Collateral, Kind, Position, Tier
from engine.prices import OraclePrice
from engine.rescue import Facility, Means, Option, Standing
from providers.credentials import Credentials
from providers.http import Call, HttpTransport
from providers.ports import LinkChange, Reading
from providers.rescue_ports import Fate, Found, Step
from providers.venue_rescue import VenueRescue, step_of

D = Decimal
ACCOUNT = Account(
    "v",
    Kind.PERP,
    "venue",
    quote="USDT",
    balance=D(100),
    positions=(Position("ETH", D(1), (Tier(D(0), D("0.1")),), D(3000), D(3000)),),
)
HELD = Account(
    "v",
    Kind.PERP,
    "venue",
    quote="USDT",
    balance=D(100),
    collateral=(Collateral("BTC", D("0.001"), D("0.9")),),
    positions=ACCOUNT.positions,
    oracles={"BTC": OraclePrice(D(60_000))},
)


class Shelf:
    """A venue that gives coins from a spot wallet, one weight each; nothing is ever sent to it."""

    venue = "venue"
    actions = frozenset({"transfer"})

    def __init__(self, weight: Decimal | None) -> None:
        self.weight = weight

    async def standing(self, account: Account) -> Standing:
        coin = Facility("BTC", frozenset({Means.ADD_MARGIN}), liquidation_threshold=self.weight, price=D(60_000))
        return Standing("v", 0, (coin, Facility("USDT", frozenset({Means.ADD_MARGIN}))))

    async def steps(self, account: Account, option: Option) -> Sequence[Step]:
        effect = option.means, option.asset, option.amount
        return [step_of("venue", account, "transfer", "move it", {}, {}, effect, at_ms=0)]

    def http(self, payload: Mapping[str, object]) -> HttpTransport:
        raise AssertionError("a dry run sends nothing")

    def call(self, payload: Mapping[str, object], credentials: Credentials) -> Call:
        raise AssertionError("a dry run signs nothing")

    def answered(self, facts: Mapping[str, str], raw: bytes) -> Found:
        return Found(Fate.UNKNOWN)

    async def find(self, facts: Mapping[str, str]) -> Found:
        return Found(Fate.UNKNOWN)


class Shown:
    """A source that reads one account."""

    name, stale_after_s = "v", 60.0

    def __init__(self, account: Account) -> None:
        self.account = account

    async def read(self) -> Reading:
        return Reading("v", (self.account,), 0)

    async def watch(self) -> AsyncIterator[Reading | LinkChange]:
        yield await self.read()


@pytest.mark.parametrize(
    ("account", "weight", "asset", "amount", "health"),
    [
        (ACCOUNT, D("0.95"), "BTC", "0.01", (D(100) + D(570)) / 300),
        (ACCOUNT, D(0), "BTC", "0.01", D(100) / 300),
        (HELD, D("0.9"), "BTC", "0.01", (D(100) + D("0.011") * 60_000 * D("0.9")) / 300),
        (ACCOUNT, D("0.95"), "USDT", "200", D(300) / 300),
    ],
    ids=["a coin of another weight", "a coin that counts nothing", "a coin that is there", "the margin coin"],
)
def test_a_dry_run_counts_a_coin_at_the_weight_that_the_venue_gives_it(
    account: Account, weight: Decimal, asset: str, amount: str, health: Decimal
) -> None:
    async def story() -> None:
        moves = Shelf(weight)
        rescue = VenueRescue("v", moves, Shown(account), None, ())
        step = step_of("venue", account, "transfer", "", {}, {}, (Means.ADD_MARGIN, asset, D(amount)), at_ms=0)
        dry = await rescue.simulate(account, [step])
        assert dry.refused == ""
        assert dry.health_factor is not None
        assert abs(dry.health_factor - health) < D("1e-15")

    asyncio.run(story())
