"""On-chain price feeds of the simulated market: they print by deviation and by heartbeat, at a block, or not at all.

The rule is Chainlink's (docs.chain.link, "Price feeds", read 2026-11): a print when the market has left the last print
by the deviation threshold, or when the heartbeat has passed since it. Thresholds and heartbeats of ETH and USDC on
Ethereum are the published ones; the others are of the usual size.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.prices import OracleLeg, OraclePrice
from engine.record import record
from providers.simulated.path import Prices, decimal_of
from providers.simulated.scenarios import Scenario

_PLACES = 8
# Before the start nobody kept the prints: they are taken to have come every five minutes.
_PAST_PRINT_S = 300.0
# However fast a chain's blocks, its feeds decide this often: a day that was slept through is caught up with at once.
_DECIDE_S = 12.0
_NS = 1_000_000_000


@record
class FeedRule:
    """A feed's update rule, and its last print as the simulation starts: how old, how far above the market."""

    deviation_bps: int
    heartbeat_s: int
    age_s: float
    offset_bps: float


@record
class Chain:
    """A simulated chain: blocks every `block_s`, numbered from `first_block` at the start, and its price feeds."""

    label: str
    chain_id: int
    block_s: float
    first_block: int
    feeds: Mapping[str, FeedRule] = field(default_factory=dict)

    def block(self, at_s: float) -> tuple[int, float]:
        """Return the number and the time (seconds since the start) of the latest block at `at_s`."""
        count = int(at_s // self.block_s)
        return self.first_block + count, count * self.block_s


ETHEREUM = Chain(
    "eth",
    1,
    12.0,
    24_100_000,
    {
        "ETH": FeedRule(50, 3600, 12, 31.0),
        "BTC": FeedRule(50, 3600, 3490, 6.0),
        "USDC": FeedRule(25, 82_800, 190, 1.5),
        "USDT": FeedRule(25, 86_400, 490, -1.0),
    },
)
ARBITRUM = Chain("arb", 42_161, 1.0, 401_000_000, {"ETH": FeedRule(5, 86_400, 3, 1.0)})
BASE = Chain(
    "base", 8_453, 2.0, 38_000_000, {"BTC": FeedRule(10, 1200, 41, 4.0), "USDC": FeedRule(25, 86_400, 900, 1.0)}
)
CHAINS = (ETHEREUM, ARBITRUM, BASE)

# An asset that no feed quotes in dollars: a rate that the contract knows, times the feed of what is behind it.
_BEHIND = {"wstETH": "ETH", "WBTC": "BTC"}


@record
class _Print:
    price: float
    at_s: float
    round_id: int


class _Feed:
    """One feed's latest print. An earlier moment starts over, so the answer depends on the moment alone."""

    def __init__(self, asset: str, rule: FeedRule, prices: Prices, scenario: Scenario) -> None:
        self._asset, self._rule = asset, rule
        self._prices, self._silent = prices, scenario.oracles_silent
        price = prices.at(asset, 0.0) * (1 + rule.offset_bps / 10_000)
        self._first = self._last = _Print(price, -rule.age_s, 40_000)
        self._decided = 0

    def at(self, at_s: float) -> _Print:
        if at_s < 0:
            printed_s = at_s // _PAST_PRINT_S * _PAST_PRINT_S
            return _Print(self._prices.at(self._asset, printed_s), printed_s, self._first.round_id)
        until = int(at_s // _DECIDE_S)
        if until < self._decided:
            self._last, self._decided = self._first, 0
        while self._decided < until:
            self._decided += 1
            self._decide(self._decided * _DECIDE_S)
        return self._last

    def _decide(self, at_s: float) -> None:
        if self._silent and self._silent[0] <= at_s < self._silent[1]:
            return
        market, last = self._prices.at(self._asset, at_s), self._last
        moved_bps = abs(market / last.price - 1) * 10_000
        if moved_bps >= self._rule.deviation_bps or at_s - last.at_s >= self._rule.heartbeat_s:
            self._last = _Print(market, at_s, last.round_id + 1)


class Oracles:
    """Every chain's feeds, as an account on that chain would read them at its latest block."""

    def __init__(self, prices: Prices, scenario: Scenario, start_ns: int) -> None:
        self._prices, self._scenario, self._start_ns = prices, scenario, start_ns
        self._feeds = {
            (chain.label, asset): _Feed(asset, rule, prices, scenario)
            for chain in CHAINS
            for asset, rule in chain.feeds.items()
        }

    def at(self, chain: Chain, asset: str, at_s: float) -> OraclePrice:
        """Return the price of `asset` that liquidates on `chain` at `at_s`. Raises `KeyError` if no feed serves it."""
        base = _BEHIND.get(asset, asset)
        printed, rule = self._feeds[chain.label, base].at(at_s), chain.feeds[base]
        price, updated_at_ns = decimal_of(printed.price, _PLACES), self._ns(printed.at_s)
        as_of_ns = self._ns(chain.block(at_s)[1])
        heartbeat_s, deviation_bps = Decimal(rule.heartbeat_s), Decimal(rule.deviation_bps)
        if base == asset:
            return OraclePrice(
                price,
                updated_at_ns,
                as_of_ns,
                heartbeat_s,
                deviation_bps,
                source=f"{asset} / USD feed",
                round_id=printed.round_id,
            )
        rate = decimal_of(self._rate(asset, at_s), _PLACES)
        legs = (
            OracleLeg(rate, updated_at_ns=as_of_ns, description=f"{asset} / {base} rate"),
            OracleLeg(price, base, updated_at_ns, heartbeat_s, deviation_bps, f"{base} / USD feed"),
        )
        return OraclePrice(
            rate * price, updated_at_ns, as_of_ns, legs=legs, source=f"rate x {base} / USD", round_id=printed.round_id
        )

    def _rate(self, asset: str, at_s: float) -> float:
        rate, cap = self._prices.rate(asset, at_s), self._scenario.rate_cap
        return rate * (1 - cap[1]) if asset == "wstETH" and cap and at_s >= cap[0] else rate

    def _ns(self, at_s: float) -> int:
        return self._start_ns + round(at_s * _NS)
