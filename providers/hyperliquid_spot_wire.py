"""Hyperliquid's wire beside the clearinghouses: spot balances, tokens, dexes and resting orders, as pure functions.

Wire: hyperliquid.gitbook.io, "Info endpoint", "Spot", "Portfolio margin" (read 2026-11).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.hyperliquid_wire import VENUE, Market, clean, finite

_ZERO = Decimal(0)


@record
class Spot:
    """A user's spot balances by coin, and how near to liquidation a portfolio-margin account is.

    `ratio` is maintenance over liquidation value, liquidated above 0.95; `None` where the venue does not tell it.
    """

    balances: Mapping[str, Decimal]
    ratio: Decimal | None = None


@record
class Token:
    """One token: its name, and how a transfer names it ("USDC:0x6d1e...")."""

    name: str
    full_name: str


@record
class Order:
    """One resting order; `size` is what is left of it, negative for a sale."""

    coin: str
    size: Decimal
    price: Decimal


class _Balance(msgspec.Struct, frozen=True):
    coin: str
    total: Decimal


class _Spot(msgspec.Struct, frozen=True):
    balances: list[_Balance]
    portfolioMarginRatio: Decimal | None = None


class _Token(msgspec.Struct, frozen=True):
    name: str
    index: int
    tokenId: str = ""


class _SpotMeta(msgspec.Struct, frozen=True):
    tokens: list[_Token]


class _Dex(msgspec.Struct, frozen=True):
    name: str


class _Order(msgspec.Struct, frozen=True):
    coin: str
    side: str
    limitPx: Decimal
    sz: Decimal
    reduceOnly: bool = False
    isTrigger: bool = False


class _Leverage(msgspec.Struct, frozen=True):
    value: Decimal


class _ActiveAsset(msgspec.Struct, frozen=True):
    leverage: _Leverage


def parse_spot(raw: bytes) -> Spot:
    """Return a `spotClearinghouseState` reply; raises `Malformed`."""
    wire = decode(VENUE, "spotClearinghouseState", raw, _Spot)
    balances = {clean(held.coin): finite(held.total, f"balance of {clean(held.coin)}") for held in wire.balances}
    ratio = wire.portfolioMarginRatio
    if ratio is not None and finite(ratio, "portfolio margin ratio") < 0:
        raise Malformed(VENUE, "portfolio margin ratio: negative")
    return Spot(balances, ratio)


def parse_tokens(raw: bytes) -> Mapping[int, Token]:
    """Return the tokens of a `spotMeta` reply by number; raises `Malformed`."""
    tokens = decode(VENUE, "spotMeta", raw, _SpotMeta).tokens
    return {one.index: Token(clean(one.name), f"{clean(one.name)}:{one.tokenId}") for one in tokens}


def parse_dexes(raw: bytes) -> tuple[str, ...]:
    """Return the names of the builder-deployed dexes of a `perpDexs` reply; raises `Malformed`."""
    return tuple(dex.name for dex in decode(VENUE, "perpDexs", raw, list[_Dex | None]) if dex and dex.name)


def parse_orders(raw: bytes) -> tuple[Order, ...]:
    """Return the orders of a `frontendOpenOrders` reply that hold margin: neither reduce-only nor waiting for a price.

    Raises `Malformed`.
    """
    found = []
    for one in decode(VENUE, "frontendOpenOrders", raw, list[_Order]):
        size, price = finite(one.sz, "order size"), finite(one.limitPx, "order price")
        if one.side not in ("A", "B") or size < 0 or price < 0:
            raise Malformed(VENUE, f"order of {clean(one.coin)}: side, size or price cannot be read")
        if not (one.reduceOnly or one.isTrigger):
            found.append(Order(clean(one.coin), size if one.side == "B" else -size, price))
    return tuple(found)


def parse_leverage(raw: bytes) -> Decimal:
    """Return the leverage of an `activeAssetData` reply; raises `Malformed`."""
    value = finite(decode(VENUE, "activeAssetData", raw, _ActiveAsset).leverage.value, "leverage")
    if not 1 <= value <= 1000:
        raise Malformed(VENUE, "leverage: not within 1 and 1000")
    return value


def order_margin(
    orders: Sequence[Order],
    sizes: Mapping[str, Decimal],
    leverages: Mapping[str, Decimal],
    markets: Mapping[str, Market],
) -> Decimal:
    """Return the most that resting orders hold: what they would open beyond `sizes`, over the coin's leverage.

    Both sides are added up, though the venue may net them. A coin whose leverage is unknown counts at twice the rate of
    its first tier, the least that its initial margin can be; without tiers in full.
    """
    held = _ZERO
    for coin in {one.coin for one in orders}:
        rate = _initial_rate(coin, leverages, markets)
        for side in (1, -1):
            closing = max(-sizes.get(coin, _ZERO) * side, _ZERO)
            mine = [one for one in orders if one.coin == coin and one.size * side > 0]
            # The best price trades first: it is what closes the position, the rest opens.
            for one in sorted(mine, key=lambda each: -each.price * side):
                opened = max(abs(one.size) - closing, _ZERO)
                closing = max(closing - abs(one.size), _ZERO)
                held += opened * one.price * rate
    return held


def _initial_rate(coin: str, leverages: Mapping[str, Decimal], markets: Mapping[str, Market]) -> Decimal:
    leverage = leverages.get(coin)
    if leverage is not None:
        return 1 / leverage
    tiers = markets.get(coin, Market()).tiers
    return 2 * tiers[0].maintenance_rate if tiers else Decimal(1)
