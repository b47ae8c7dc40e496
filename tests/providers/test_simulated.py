"""The simulated market: deterministic, honest about its oracles, and telling in every scenario."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from itertools import pairwise
from statistics import pstdev
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Kind, MarginMode
from engine.prices import OraclePrice
from providers.errors import ConfigError, Refused, Unreachable
from providers.ports import LinkChange, LinkState, PriceTick, Reading
from providers.simulated import ASSETS, SCENARIOS, STABLE_ASSETS, SimulatedMarket

Said = TypeVar("Said", bound=Reading | PriceTick | LinkChange)

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Hand:
    """A wall clock that only sleeping moves, so that a day passes at once."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def clock(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)
        await asyncio.sleep(0)


def market(scenario: str = "calm", seed: int = 7, speed: float = 1.0) -> SimulatedMarket:
    hand = Hand()
    return SimulatedMarket(scenario, seed, speed, START_NS, hand.clock, hand.sleep)


def readings(world: SimulatedMarket) -> dict[str, Reading]:
    async def read() -> dict[str, Reading]:
        return {source.name: await source.read() for source in world.sources()}

    return asyncio.run(read())


def accounts(world: SimulatedMarket) -> dict[str, Account]:
    return {account.name: account for reading in readings(world).values() for account in reading.accounts}


def quotes(world: SimulatedMarket) -> dict[tuple[str, str], PriceTick]:
    async def ask() -> dict[tuple[str, str], PriceTick]:
        ticks = [tick for feed in world.feeds() for tick in await feed.snapshot(ASSETS)]
        return {(tick.venue, tick.asset): tick for tick in ticks}

    return asyncio.run(ask())


def health(account: Account) -> Decimal:
    """Return a loan's health factor by the definition of the design."""
    price = {asset: oracle.price for asset, oracle in account.oracles.items()}
    weighted = sum(
        (leg.amount * price[leg.asset] * leg.liquidation_threshold for leg in account.collateral), Decimal(0)
    )
    return weighted / sum((leg.amount * price[leg.asset] for leg in account.debt), Decimal(0))


async def gather(items: AsyncGenerator[Said, None], until: int) -> list[Said]:
    """Return what a source says until simulated `until` (ns)."""
    said: list[Said] = []
    async with aclosing(items) as stream:
        async for item in stream:
            at_ns = item.at_ns if isinstance(item, LinkChange) else item.observed_at_ns
            if at_ns > until:
                return said
            said.append(item)
    raise AssertionError("a source's iterator ended by itself")


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = market("crash").at(150), market("crash").at(150)
    assert readings(first) == readings(second)
    assert quotes(first) == quotes(second)


def test_another_seed_tells_another() -> None:
    assert quotes(market(seed=1).at(60)) != quotes(market(seed=2).at(60))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=6))
def test_a_moment_does_not_depend_on_how_it_was_reached(stops: list[int]) -> None:
    wandering = market("crash", speed=1.0)
    for stop in stops:
        wandering.at(stop)
        for source in wandering.sources():
            source.reading_at(stop)
    straight = market("crash").at(stops[-1])
    assert [s.reading_at(stops[-1]) for s in wandering.sources()] == [
        s.reading_at(stops[-1]) for s in straight.sources()
    ]


def test_twelve_accounts_of_all_kinds_and_modes() -> None:
    cast = accounts(market())
    assert len(cast) == 12
    assert {account.kind for account in cast.values()} == set(Kind)
    assert {account.mode for account in cast.values()} == {None, MarginMode.CROSS, MarginMode.ISOLATED}
    assert not cast["vault-old"].debt
    assert {asset for account in cast.values() for asset in account.assets} <= ASSETS


def test_calm_starts_with_every_degree_of_trouble() -> None:
    cast = accounts(market())
    assert health(cast["main"]) < Decimal("1.15")
    assert Decimal("1.15") < health(cast["arb-loop"]) < Decimal("1.5")
    assert Decimal("1.5") < health(cast["comet"]) < 2
    assert health(cast["spark"]) > 2


def test_a_reading_is_fresh_and_on_the_market_clock() -> None:
    world = market().at(90.5)
    assert world.now_ns() == START_NS + 90_500_000_000
    for reading in readings(world).values():
        assert reading.observed_at_ns == world.now_ns()
    main = readings(world)["main"]
    assert main.block_time_ns == START_NS + 84 * SECOND_NS
    start = readings(market())["main"]
    assert main.block_number is not None
    assert start.block_number is not None
    assert main.block_number - start.block_number == 7


def test_speed_multiplies_time() -> None:
    hand = Hand()
    world = SimulatedMarket("calm", speed=60, start_ns=0, clock=hand.clock)
    hand.now_ns += 2 * SECOND_NS
    assert world.now_ns() == 120 * SECOND_NS


@pytest.mark.parametrize("speed", [0, -1, 1e9, float("nan")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match="speed"):
        SimulatedMarket(speed=speed)


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="calm, crash, oracle-lag, depeg, capped-oracle, blackout"):
        SimulatedMarket("boom")
    assert list(SCENARIOS) == ["calm", "crash", "oracle-lag", "depeg", "capped-oracle", "blackout"]


def test_venues_disagree_a_little() -> None:
    eth = {venue: tick for (venue, asset), tick in quotes(market().at(30)).items() if asset == "ETH"}
    assert set(eth) == {"binance", "coinbase", "kraken", "okx", "bybit", "hyperliquid"}
    mids = {(tick.bid + tick.ask) / 2 for tick in eth.values()}
    assert len(mids) > 3
    assert max(mids) / min(mids) < Decimal("1.002")
    for tick in eth.values():
        assert 0 < tick.bid < tick.ask


def test_a_venue_quotes_in_its_own_currency() -> None:
    world = market("depeg").at(200)
    told = quotes(world)
    # A dollar that lost 7 % buys less: whoever quotes in it says a higher number.
    ratio = told["hyperliquid", "BTC"].bid / told["coinbase", "BTC"].bid
    assert Decimal("1.07") < ratio < Decimal("1.08")
    assert told["hyperliquid", "BTC"].quote_currency == "USDC"
    assert Decimal("0.929") < told["coinbase", "USDC"].bid < Decimal("0.931")


def test_stables_can_be_converted_without_a_circle() -> None:
    told = quotes(market())
    for stable in STABLE_ASSETS:
        assert sum(tick.quote_currency == "USD" for (_, asset), tick in told.items() if asset == stable) >= 3


def oracle_prints(scenario: str, account: str, asset: str, span_s: int, every_s: int) -> list[tuple[int, OraclePrice]]:
    """Return the prints of a feed as a chain account saw them, with the time of each."""
    world = market(scenario)
    seen: list[tuple[int, OraclePrice]] = []
    for at_s in range(0, span_s, every_s):
        price = accounts_at(world, at_s)[account].oracles[asset]
        if not seen or price.round_id != seen[-1][1].round_id:
            seen.append((at_s, price))
    return seen


def accounts_at(world: SimulatedMarket, at_s: float) -> dict[str, Account]:
    found = [source.reading_at(at_s) for source in world.sources()]
    return {account.name: account for reading in found for account in reading.accounts}


def test_an_oracle_prints_by_deviation_in_a_crash() -> None:
    prints = oracle_prints("crash", "main", "ETH", 192, 12)
    assert len(prints) > 8
    for (_, old), (at_s, new) in pairwise(prints):
        assert abs(new.price / old.price - 1) >= Decimal("0.005")
        assert new.updated_at_ns == START_NS + at_s * SECOND_NS
        assert new.round_id is not None
        assert old.round_id is not None
        assert new.round_id > old.round_id


def test_an_oracle_prints_by_heartbeat_when_nothing_moves() -> None:
    prints = oracle_prints("calm", "morpho-wbtc", "USDC", 60, 2)
    assert len(prints) == 1
    world = market()
    ages = []
    for at_s in range(0, 7200, 12):
        legs = accounts_at(world, at_s)["main"].oracles["WBTC"].legs
        assert legs[1].updated_at_ns is not None
        ages.append(at_s - (legs[1].updated_at_ns - START_NS) // SECOND_NS)
    assert max(ages) < 3600
    assert ages[0] == 3490
    # The heartbeat falls due at 110 s; the first block after it carries the print.
    assert ages[10] == 0
    assert all(later - earlier == 12 or later == 0 for earlier, later in pairwise(ages))


def test_oracles_are_silent_while_the_market_moves_away_in_oracle_lag() -> None:
    world = market("oracle-lag")
    before, during, after = (accounts_at(world, at_s)["main"] for at_s in (12, 300, 336))
    assert during.oracles["ETH"].price == before.oracles["ETH"].price
    assert health(after) < health(during) - Decimal("0.08")
    coinbase = quotes(world.at(300))["coinbase", "ETH"].bid
    assert coinbase < before.oracles["ETH"].price * Decimal("0.92")


def test_a_composite_price_is_the_product_of_its_legs() -> None:
    oracle = accounts(market())["arb-loop"].oracles["wstETH"]
    assert [leg.asset for leg in oracle.legs] == [None, "ETH"]
    assert oracle.price == oracle.legs[0].price * oracle.legs[1].price
    assert oracle.legs[0].price == Decimal("1.19")


def test_a_cap_liquidates_a_loop_whose_market_is_fine() -> None:
    world = market("capped-oracle")
    before, after = (accounts_at(world, at_s)["arb-loop"] for at_s in (10, 40))
    assert health(before) > 1 > health(after)
    gap = after.oracles["wstETH"].legs[0].price / before.oracles["wstETH"].legs[0].price - 1
    assert abs(gap + Decimal("0.0285")) < Decimal("0.00001")
    market_ratio = quotes(world.at(40))["coinbase", "wstETH"].bid / quotes(world)["coinbase", "ETH"].bid
    assert market_ratio > Decimal("1.188")


def test_a_crash_liquidates_loans_and_closes_perps() -> None:
    world = market("crash")
    assert health(accounts_at(world, 0)["main"]) > 1
    end = accounts_at(world, 200)
    assert health(end["main"]) < 1
    assert health(end["arb-loop"]) > Decimal("1.18")
    assert "bybit-sol" not in end
    assert end["bn-cross"].positions == ()
    assert end["hl-short"].positions
    fall = end["main"].oracles["ETH"].price / accounts_at(world, 0)["main"].oracles["ETH"].price - 1
    assert Decimal("-0.28") < fall < Decimal("-0.22")


def test_a_depeg_breaks_the_loan_that_rests_on_it() -> None:
    world = market("depeg")
    assert health(accounts_at(world, 0)["spark"]) > 1 > health(accounts_at(world, 220)["spark"])


def test_perps_carry_their_marks_tiers_and_the_venues_own_figures() -> None:
    world = market().at(40)
    for reading in readings(world).values():
        for account in reading.accounts:
            if account.kind is not Kind.PERP:
                continue
            assert account.reported is not None
            assert account.reported.equity is not None
            profit = Decimal(0)
            for held in account.positions:
                assert held.mark_price is not None
                assert held.entry_price is not None
                assert held.tiers[0].notional_floor == 0
                assert reading.marks[held.asset].price == held.mark_price
                profit += held.quantity * (held.mark_price - held.entry_price)
            assert account.reported.equity == account.balance + profit


def test_debt_and_funding_accrue() -> None:
    world = market()
    now, later = (accounts_at(world, at_s) for at_s in (0, 86_400))
    growth = later["main"].debt[0].amount / now["main"].debt[0].amount - 1
    assert Decimal("0.000142") < growth < Decimal("0.000143")
    assert later["ibkr"].balance < now["ibkr"].balance
    assert later["hl-short"].balance > now["hl-short"].balance


def test_volatility_of_the_history_is_that_of_a_coin() -> None:
    world = market()
    closes = asyncio.run(world.history.daily_closes("ETH", 31))
    assert len(closes) == 31
    returns = [float((new / old).ln()) for old, new in pairwise(closes)]
    assert 0.3 < pstdev(returns) * 365**0.5 < 1.2
    assert len(asyncio.run(world.history.daily_closes("SPY", 31))) == 31


def test_history_of_a_stranger_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="DOGE"):
        asyncio.run(market().history.daily_closes("DOGE", 31))


def test_past_readings_lead_up_to_now() -> None:
    world = market()
    past = [reading for reading in world.past_readings(points=24) if reading.source == "main"]
    assert [reading.observed_at_ns for reading in past] == [
        START_NS - hour * 3600 * SECOND_NS for hour in range(24, 0, -1)
    ]
    assert all(health(reading.accounts[0]) > 1 for reading in past)


def test_a_feed_says_everything_at_once_and_then_what_changed() -> None:
    world = market()
    feed = world.feeds()[0]
    said = asyncio.run(gather(feed.ticks(frozenset({"ETH", "BTC", "DOGE"})), START_NS + 5 * SECOND_NS))
    assert isinstance(said[0], LinkChange)
    assert said[0].state is LinkState.LIVE
    assert [item.asset for item in said[1:3] if isinstance(item, PriceTick)] == ["BTC", "ETH"]
    assert len(said) > 8
    assert feed.supports("ETH")
    assert not feed.supports("DOGE")


def test_a_dropped_venue_says_so_retries_and_resumes_with_data() -> None:
    world = market().at(40)
    kraken = next(feed for feed in world.feeds() if feed.venue == "kraken")
    said = asyncio.run(gather(kraken.ticks(frozenset({"ETH"})), START_NS + 60 * SECOND_NS))
    states = [item.state for item in said if isinstance(item, LinkChange)]
    assert states[0] is LinkState.LIVE
    assert LinkState.DOWN in states
    assert states[-1] is LinkState.LIVE
    lost = next(item for item in said if isinstance(item, LinkChange) and item.state is LinkState.DOWN)
    assert lost.retry_at_ns is not None
    assert lost.retry_at_ns > lost.at_ns
    assert isinstance(said[-1], PriceTick)
    assert said[-1].observed_at_ns > lost.at_ns


def test_a_silent_venue_turns_stale_after_its_budget() -> None:
    world = market().at(175)
    coinbase = next(feed for feed in world.feeds() if feed.venue == "coinbase")
    said = asyncio.run(gather(coinbase.ticks(frozenset({"ETH"})), START_NS + 260 * SECOND_NS))
    stale = next(item for item in said if isinstance(item, LinkChange) and item.state is LinkState.STALE)
    last = max(
        tick.observed_at_ns for tick in said if isinstance(tick, PriceTick) and tick.observed_at_ns < stale.at_ns
    )
    silent_s = (stale.at_ns - last) / SECOND_NS
    assert coinbase.stale_after_s <= silent_s < coinbase.stale_after_s + 2


def test_a_source_reads_every_block_and_stops_in_an_outage() -> None:
    world = market()
    main = next(source for source in world.sources() if source.name == "main")
    said = asyncio.run(gather(main.watch(), START_NS + 60 * SECOND_NS))
    blocks = [item.block_number for item in said if isinstance(item, Reading) and item.block_number is not None]
    assert len(blocks) == 6
    assert blocks == sorted(set(blocks))
    world.at(100)
    bybit = next(source for source in world.sources() if source.name == "bybit-sol")
    with pytest.raises(Unreachable, match="bybit-sol"):
        asyncio.run(bybit.read())


def test_a_blackout_takes_everything_one_after_another() -> None:
    world = market("blackout").at(30)
    blind = [name for name, alive in alive_at(world).items() if not alive]
    assert 2 <= len(blind) < 10
    world.at(200)
    assert not any(alive_at(world).values())


def alive_at(world: SimulatedMarket) -> dict[str, bool]:
    async def ask() -> dict[str, bool]:
        alive = {}
        for source in world.sources():
            try:
                await source.read()
            except Unreachable:
                alive[source.name] = False
            else:
                alive[source.name] = True
        for feed in world.feeds():
            try:
                await feed.snapshot(frozenset({"ETH"}))
            except Unreachable:
                alive[feed.venue] = False
            else:
                alive[feed.venue] = True
        return alive

    return asyncio.run(ask())


def test_the_first_picture_needs_no_heavy_import() -> None:
    code = (
        "import sys, asyncio; from providers.simulated import SimulatedMarket as M; m = M();"
        "asyncio.run(m.sources()[0].read());"
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'httpx','websockets','msgspec','numpy','eth_abi'}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=".")
    assert told.stdout.strip() == "[]"


def test_hourly_candles_open_on_the_hour_and_hold_their_prices() -> None:
    market = SimulatedMarket("calm", 7).at(5_000)
    candles = asyncio.run(market.history.hourly_candles("ETH", 800))
    assert len(candles) == 768
    assert [later.opened_at_s - former.opened_at_s for former, later in pairwise(candles)] == [3600] * 767
    assert all(candle.opened_at_s % 3600 == 0 for candle in candles)
    assert all(candle.low <= min(candle.open, candle.close) for candle in candles)
    assert all(candle.high >= max(candle.open, candle.close) for candle in candles)
    assert candles[-1].opened_at_s + 3600 <= market.now_ns() // 1_000_000_000
    with pytest.raises(Refused):
        asyncio.run(market.history.hourly_candles("DOGE", 24))
