"""Accounts, prices and Hypothesis strategies that the engine's tests share."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.prices import AssetPrice, Consensus, OraclePrice, Quote

SECOND = 1_000_000_000
NOW = 1_795_341_600 * SECOND
DESIGN_EXAMPLE: dict[str, Any] = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {
            "oracle": "2500",
            "oracle_age_s": 120,
            "heartbeat_s": 3600,
            "deviation_bps": 50,
            "volatility": "0.62",
            "quotes": [
                {"venue": "binance", "bid": "2478.1", "ask": "2478.3", "age_s": 0.4},
                {"venue": "kraken", "bid": "2478.0", "ask": "2478.4", "age_s": 0.9},
            ],
        },
        "USDC": {"oracle": "1", "stable": True},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "provider": "aave-v3",
            "chain_id": 1,
            "collateral": [
                {
                    "asset": "ETH",
                    "amount": "10",
                    "liquidation_threshold": "0.83",
                    "max_ltv": "0.805",
                    "supply_rate": "0.015",
                }
            ],
            "debt": [{"asset": "USDC", "amount": "15000", "borrow_rate": "0.052"}],
        },
        {
            "name": "hl",
            "kind": "perp",
            "provider": "hyperliquid",
            "mode": "cross",
            "balance": "5000",
            "quote": "USDC",
            "positions": [
                {
                    "asset": "BTC",
                    "quantity": "-0.5",
                    "entry_price": "60000",
                    "mark_price": "61000",
                    "tiers": [{"notional_floor": "0", "maintenance_rate": "0.01", "deduction": "0"}],
                }
            ],
        },
        {
            "name": "ib",
            "kind": "broker",
            "provider": "ibkr",
            "cash": "-20000",
            "quote": "USD",
            "positions": [{"asset": "SPY", "quantity": "100", "mark_price": "500", "maintenance_rate": "0.25"}],
        },
    ],
}


def d(text: str | int) -> Decimal:
    """Return an exact Decimal."""
    return Decimal(text)


def example(**changes: Any) -> str:
    """Return the example of DESIGN 6 as text, top-level members replaced by `changes`."""
    return json.dumps({**DESIGN_EXAMPLE, **changes})


def oracle(
    price: str, *, age_s: int | None = None, heartbeat_s: int | None = None, bps: int | None = None
) -> OraclePrice:
    """Return an oracle price read at `NOW`."""
    return OraclePrice(
        d(price),
        None if age_s is None else NOW - age_s * SECOND,
        NOW,
        None if heartbeat_s is None else d(heartbeat_s),
        None if bps is None else d(bps),
    )


def price(text: str, *, stable: bool = False, volatility: str | None = None) -> AssetPrice:
    """Return an asset price with a bare oracle."""
    return AssetPrice(OraclePrice(d(text)), (), None if volatility is None else d(volatility), stable)


def quote(venue: str, mid: str, *, age_s: int = 1, spread: str = "0.2") -> Quote:
    """Return a quote around `mid`, received `age_s` before `NOW`."""
    half = d(spread) / 2
    return Quote(venue, d(mid) - half, d(mid) + half, NOW - age_s * SECOND)


def agreed(prices: Mapping[str, str]) -> dict[str, Consensus]:
    """Return a consensus of two venues for each asset."""
    return {asset: Consensus(d(text), ("binance", "kraken")) for asset, text in prices.items()}


def loan(collateral: Mapping[str, tuple[str, str]], debt: Mapping[str, str], **more: Any) -> Account:
    """Return a loan from asset -> (amount, threshold) and asset -> amount."""
    return Account(
        "loan",
        Kind.LOAN,
        collateral=tuple(Collateral(asset, d(amount), d(share)) for asset, (amount, share) in collateral.items()),
        debt=tuple(Debt(asset, d(amount)) for asset, amount in debt.items()),
        **more,
    )


def perp(balance: str, *positions: Position, **more: Any) -> Account:
    """Return a perp account."""
    return Account("perp", Kind.PERP, balance=d(balance), positions=positions, **more)


def flat(rate: str) -> tuple[Tier, ...]:
    """Return one tier from 0."""
    return (Tier(d(0), d(rate)),)


def ladder_of_tiers(steps: list[tuple[int, int]]) -> tuple[Tier, ...]:
    """Return continuous tiers from (floor, rate in basis points), the first floor being 0."""
    tiers: list[Tier] = []
    for floor, bps in steps:
        rate = d(bps) / 10_000
        before = tiers[-1] if tiers else None
        deduction = d(0) if before is None else before.deduction + floor * (rate - before.maintenance_rate)
        tiers.append(Tier(d(floor), rate, deduction))
    return tuple(tiers)


def amounts(low: str, high: str, places: int = 4) -> st.SearchStrategy[Decimal]:
    """Return finite decimals of a fixed scale."""
    return st.decimals(d(low), d(high), allow_nan=False, allow_infinity=False, places=places)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Return one to five continuous maintenance tiers of rising rate."""
    floors = sorted(draw(st.sets(st.integers(1, 500_000), max_size=4)))
    rates = sorted(draw(st.sets(st.integers(40, 2500), min_size=len(floors) + 1, max_size=len(floors) + 1)))
    return ladder_of_tiers(list(zip([0, *floors], rates, strict=True)))


@st.composite
def cross_accounts(draw: st.DrawFn, most: int = 50) -> Account:
    """Return a cross account of up to `most` positions, each in its own asset, over tier bounds."""
    positions = []
    for index in range(draw(st.integers(1, most))):
        mark = draw(amounts("0.5", "50000"))
        positions.append(
            Position(
                f"A{index}",
                draw(amounts("0.001", "40")) * draw(st.sampled_from((1, -1))),
                draw(tiers()),
                entry_price=mark * draw(amounts("0.8", "1.2")),
                mark_price=mark,
                fee_rate=draw(st.none() | st.just(d("0.0005"))),
            )
        )
    return perp(str(draw(amounts("100", "2000000"))), *positions)


@st.composite
def venue_accounts(draw: st.DrawFn, most: int = 12) -> Account:
    """Return a venue account: hedge legs and inverse contracts with marks of their own, coins held and borrowed.

    Coins may have an oracle beside the marks; the venue may take over above its maintenance, some of it unexplained.
    """
    assets = {f"A{index}": draw(amounts("0.5", "50000")) for index in range(draw(st.integers(1, 4)))}
    names = st.sampled_from(tuple(assets))
    near = amounts("0.97", "1.03")
    positions = []
    for index in range(draw(st.integers(1, most))):
        asset = draw(names)
        mark = assets[asset] * draw(st.just(d(1)) | near)
        positions.append(
            Position(
                asset,
                draw(amounts("0.001", "40")) * draw(st.sampled_from((1, -1))),
                draw(tiers()),
                entry_price=mark * draw(amounts("0.8", "1.2")),
                mark_price=mark,
                fee_rate=draw(st.none() | st.just(d("0.0005"))),
                inverse=draw(st.booleans()),
                margin_at_entry=draw(st.booleans()),
                contract=f"C{index}",
            )
        )
    legs = st.lists(st.sampled_from((*assets, "COIN", "USD")), max_size=3, unique=True)
    held = tuple(Collateral(each, draw(amounts("0.01", "50")), draw(amounts("0.5", "1"))) for each in draw(legs))
    owed = tuple(Debt(each, draw(amounts("0.01", "5"))) for each in draw(legs))
    marked = {each.asset for each in positions}
    own = {
        asset: OraclePrice(mark * draw(near))
        for asset, mark in assets.items()
        if asset not in marked or draw(st.booleans())
    }
    return perp(
        str(draw(amounts("100", "2000000"))),
        *positions,
        collateral=held,
        debt=owed,
        oracles=own | {"COIN": OraclePrice(draw(amounts("1", "100")))},
        extra_requirement=draw(st.just(d(0)) | amounts("1", "5000")),
        liquidation_multiple=draw(st.sampled_from((d(1), d("1.05")))),
    )


@st.composite
def loans(draw: st.DrawFn) -> tuple[Account, dict[str, AssetPrice]]:
    """Return a loan of up to three collaterals and two debts (an asset may be on both sides) and its prices."""
    names = ("ETH", "BTC", "LINK", "USDC")
    prices = {name: AssetPrice(OraclePrice(draw(amounts("0.9", "5000"))), stable=name == "USDC") for name in names}
    held = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    owed = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    collateral = {name: (str(draw(amounts("0.01", "1000"))), str(draw(amounts("0.4", "0.95")))) for name in held}
    return loan(collateral, {name: str(draw(amounts("0.01", "1000"))) for name in owed}), prices
