"""The protocol's price against the market's: divergence, what the next oracle print will say, and whether one is late.

A push feed prints when the market is `deviation_bps` away from it or `heartbeat_s` have passed (Chainlink data feeds,
docs.chain.link, read 2026-11). Legs of a composite price print at different times, so the rule holds per leg.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from engine.assessment import Due
from engine.prices import AssetPrice, Consensus, OracleLeg, OraclePrice
from engine.record import record

BPS = Decimal(10_000)
GRACE_SHARE = Decimal("0.1")
GRACE_S = Decimal(120)
NANOSECONDS = Decimal(1_000_000_000)


class MarketPrice(NamedTuple):
    """The market's price of an asset, `None` with a `reason`; `assumed` names parts taken at the oracle's price."""

    price: Decimal | None
    assumed: tuple[str, ...] = ()
    reason: str = ""


@record
class NextPrint:
    """The next print of one asset's oracle: `due` is `None` when none is due, and `price` then the present one.

    `reason` says why it cannot be told; `price` and `due` are `None` then.
    """

    due: Due | None
    price: Decimal | None
    reason: str = ""


def divergence_bps(market_price: Decimal, oracle_price: Decimal) -> Decimal:
    """Return how far the market is above (+) or below (-) the oracle, in basis points of the oracle."""
    return (market_price / oracle_price - 1) * BPS


def divergence_in_thresholds(market_price: Decimal, oracle: OraclePrice) -> Decimal | None:
    """Return the divergence's size in multiples of the feed's deviation threshold (1 = a print is due), or `None`."""
    if not oracle.deviation_bps:
        return None
    return abs(divergence_bps(market_price, oracle.price)) / oracle.deviation_bps


def market_price(
    asset: str,
    trigger: Decimal,
    oracle: OraclePrice | None,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
) -> MarketPrice:
    """Return the asset's market price: its own consensus, else the product of its oracle's legs at market.

    A stable asset that no venue quotes counts at `trigger`, the price that liquidates, and is named under `assumed`; so
    is the rate leg of a composite ("wstETH rate"), which no venue quotes.
    """
    agreed = consensus_of.get(asset)
    if agreed is not None and agreed.price is not None:
        return MarketPrice(agreed.price)
    if oracle is not None and oracle.legs:
        return _composite(asset, oracle, prices, consensus_of)
    if _unquoted_stable(asset, prices):
        return MarketPrice(trigger, (asset,))
    return MarketPrice(None, (), _no_consensus(asset, agreed))


def _composite(
    asset: str, oracle: OraclePrice, prices: Mapping[str, AssetPrice], consensus_of: Mapping[str, Consensus]
) -> MarketPrice:
    product = Decimal(1)
    assumed: tuple[str, ...] = ()
    for leg in oracle.legs:
        market = _leg_market(asset, leg, prices, consensus_of)
        if market.price is None:
            return market
        product *= market.price
        assumed += market.assumed
    return MarketPrice(product, assumed)


def _leg_market(
    asset: str, leg: OracleLeg, prices: Mapping[str, AssetPrice], consensus_of: Mapping[str, Consensus]
) -> MarketPrice:
    if leg.asset is None:
        return MarketPrice(leg.price, (f"{asset} rate",))
    agreed = consensus_of.get(leg.asset)
    if agreed is not None and agreed.price is not None:
        return MarketPrice(agreed.price)
    if _unquoted_stable(leg.asset, prices):
        return MarketPrice(leg.price, (leg.asset,))
    return MarketPrice(None, (), _no_consensus(leg.asset, agreed))


def _unquoted_stable(asset: str, prices: Mapping[str, AssetPrice]) -> bool:
    entry = prices.get(asset)
    return entry is not None and entry.stable and not entry.quotes


def _no_consensus(asset: str, agreed: Consensus | None) -> str:
    if agreed is None or not agreed.reason:
        return f"no venue quotes {asset}"
    return f"no consensus on {asset}: {agreed.reason}"


def next_print(
    asset: str,
    oracle: OraclePrice,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
) -> NextPrint:
    """Return whether `asset`'s oracle is due to print and what it will say, per leg of a composite.

    Unknown, with a reason, where a leg that follows a market has no consensus, or neither deviation nor heartbeat is
    known of a non-stable one. A deviation of exactly the threshold is due, an age of exactly the heartbeat too.
    """
    if not oracle.legs:
        single = OracleLeg(
            oracle.price, asset, oracle.updated_at_ns, oracle.heartbeat_s, oracle.deviation_bps, oracle.source
        )
        return _leg_print(asset, single, oracle.as_of_ns, prices, consensus_of)
    product = Decimal(1)
    due: Due | None = None
    for leg in oracle.legs:
        printed = _leg_print(asset, leg, oracle.as_of_ns, prices, consensus_of)
        if printed.price is None:
            return printed
        product *= printed.price
        if due is not Due.DEVIATION and printed.due is not None:
            due = printed.due
    return NextPrint(due, oracle.price if due is None else product)


def _leg_print(
    asset: str,
    leg: OracleLeg,
    as_of_ns: int | None,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
) -> NextPrint:
    if leg.asset is None:
        return NextPrint(None, leg.price)
    market = _leg_market(asset, leg, prices, consensus_of)
    if market.price is None:
        return NextPrint(None, None, market.reason)
    if leg.deviation_bps is None and leg.heartbeat_s is None:
        entry = prices.get(leg.asset)
        if entry is not None and entry.stable:
            return NextPrint(None, leg.price)
        return NextPrint(None, None, f"update rule of the {leg.asset} oracle unknown")
    if leg.deviation_bps is not None and abs(divergence_bps(market.price, leg.price)) >= leg.deviation_bps:
        return NextPrint(Due.DEVIATION, market.price)
    if leg.heartbeat_s is not None and leg.updated_at_ns is not None and as_of_ns is not None:
        age_s = (as_of_ns - leg.updated_at_ns) / NANOSECONDS
        if age_s >= leg.heartbeat_s:
            return NextPrint(Due.HEARTBEAT, market.price)
    return NextPrint(None, leg.price)


def lateness(asset: str, oracle: OraclePrice, now_ns: int) -> str:
    """Return why the oracle counts as late (age beyond heartbeat + the larger of 10 % and 120 s), or an empty string.

    A late oracle still liquidates: health at it stays known, but the account is degraded.
    """
    as_of_ns = now_ns if oracle.as_of_ns is None else oracle.as_of_ns
    feeds = [(oracle.updated_at_ns, oracle.heartbeat_s), *((leg.updated_at_ns, leg.heartbeat_s) for leg in oracle.legs)]
    for updated_at_ns, heartbeat_s in feeds:
        if updated_at_ns is None or heartbeat_s is None:
            continue
        age_s = (as_of_ns - updated_at_ns) / NANOSECONDS
        if age_s > heartbeat_s + max(GRACE_SHARE * heartbeat_s, GRACE_S):
            return f"{asset} oracle is late: {int(age_s)}s old, heartbeat {int(heartbeat_s)}s"
    return ""
