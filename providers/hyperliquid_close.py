"""A reduce-only order on Hyperliquid that closes part of a position at once: built, checked, found again. Pure.

Wire: hyperliquid.gitbook.io, "Exchange endpoint" (`order`), "Tick and lot size", "Info endpoint" (`orderStatus`), read
2026-11; the order of keys is that of hyperliquid-python-sdk 0.24.0, because the signature covers it. A payload is plain
data that survives JSON.
"""

import secrets
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

import msgspec

from engine.record import record
from providers.errors import Malformed, Refused, Unreachable
from providers.http import decode
from providers.hyperliquid_rescue_wire import Purse
from providers.hyperliquid_signing import chain_name, wire_number
from providers.hyperliquid_wire import VENUE, finite
from providers.rescue_ports import Fate, Found
from providers.text import inert
from providers.venue_rescue import REDUCE_BOUND

ORDER = "order"
LEAST_USD = Decimal(10)
"""The venue takes no smaller order, but for one that closes a whole position."""
_FIGURES, _PERP_DECIMALS = 5, 6
_KEYS = ("type", "orders", "grouping")
_ORDER_KEYS = ("a", "b", "p", "s", "r", "t", "c")
_WIDE = Context(prec=60)
_ZERO = Decimal(0)


@record
class Close:
    """What is to be closed: `size` of the position in `coin`, of which `held` (signed) is open at `mark_price`."""

    coin: str
    asset_id: int
    held: Decimal
    size: Decimal
    mark_price: Decimal
    size_decimals: int


def bound_price(mark_price: Decimal, size_decimals: int, *, is_buy: bool) -> Decimal:
    """Return the worst price that is taken: `REDUCE_BOUND` from the mark, rounded towards it to what the venue takes.

    That is five significant figures, at most 6 - szDecimals decimals, and any integer.
    """
    bound = mark_price * (1 + REDUCE_BOUND if is_buy else 1 - REDUCE_BOUND)
    exponent = max(min(bound.adjusted() - _FIGURES + 1, 0), size_decimals - _PERP_DECIMALS)
    step = Decimal(1).scaleb(min(exponent, 0))
    return bound.quantize(step, ROUND_FLOOR if is_buy else ROUND_CEILING, _WIDE)


def close_payload(
    user: str, close: Close, nonce: int, vault: str | None, expires_after: int, *, is_mainnet: bool
) -> dict[str, object]:
    """Return the order; raises `Refused` for a size that the venue does not take."""
    step = Decimal(1).scaleb(-close.size_decimals)
    if close.size <= 0 or close.size % step:
        raise Refused(VENUE, f"{close.size:f} {close.coin} is no multiple of the lot, {step:f}")
    if close.size > abs(close.held):
        raise Refused(VENUE, f"the position in {close.coin} is {abs(close.held):f}, smaller than what is to be closed")
    if close.size < abs(close.held) and close.size * close.mark_price < LEAST_USD:
        raise Refused(VENUE, f"the venue takes no order below {LEAST_USD} USD")
    price = bound_price(close.mark_price, close.size_decimals, is_buy=close.held < 0)
    return {
        "venue": VENUE,
        "network": chain_name(is_mainnet=is_mainnet),
        "user": user,
        "coin": close.coin,
        "held": f"{close.held:f}",
        "closes": f"{close.size:f}",
        "action": _action(close.asset_id, price, close.size, "0x" + secrets.token_hex(16), is_buy=close.held < 0),
        "nonce": nonce,
        "vaultAddress": vault,
        "expiresAfter": expires_after,
    }


def order_of(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the one order of a payload, keys in the order in which they are hashed; raises `Refused` if not ours."""
    action = payload.get("action")
    orders = action.get("orders") if isinstance(action, Mapping) and set(action) == set(_KEYS) else None
    order = orders[0] if isinstance(orders, list) and len(orders) == 1 else None
    if not isinstance(order, Mapping) or set(order) != set(_ORDER_KEYS):
        raise Refused(VENUE, "this is not an order that closes a position")
    return {key: order[key] for key in _ORDER_KEYS}


def ordered_order(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the action with its keys in the order in which they are hashed; raises `Refused` for what is not ours."""
    return {"type": ORDER, "orders": [order_of(payload)], "grouping": "na"}


def close_fault(payload: Mapping[str, object]) -> str:
    """Return why an order must not be signed, "" when all that it can do is close what its title says."""
    try:
        order = order_of(payload)
        held, size, price = Decimal(str(payload["held"])), Decimal(str(payload["closes"])), Decimal(str(order["p"]))
        asset, cloid = order["a"], order["c"]
    except (Refused, KeyError, ArithmeticError) as error:
        return error.detail if isinstance(error, Refused) else "the action lacks a figure"
    is_asset = isinstance(asset, int) and not isinstance(asset, bool) and asset >= 0
    is_id = isinstance(cloid, str) and len(cloid) == 34 and cloid.startswith("0x")
    fits = is_asset and is_id and held.is_finite() and price.is_finite() and 0 < size <= abs(held) and price > 0
    if not fits or payload["action"] != _action(int(str(asset)), price, size, str(cloid), is_buy=held < 0):
        return "the action does not say what its title says"
    return ""


def price_fault(payload: Mapping[str, object], mark_price: Decimal | None) -> str:
    """Return why the price bound does not fit the present mark, "" when it does."""
    if mark_price is None:
        return "the venue tells no mark price to hold the order against"
    order = order_of(payload)
    worse = (Decimal(str(order["p"])) - mark_price) * (1 if order["b"] else -1)
    if worse > 2 * REDUCE_BOUND * mark_price:
        return f"the price bound {order['p']} is too far from the mark {mark_price:f} by now; prepare it again"
    return ""


def close_reference(payload: Mapping[str, object]) -> str:
    """Return the line by which the order is found again: its own id."""
    order = order_of(payload)
    return (
        f"{ORDER} coin={payload['coin']} size={payload['closes']} held={payload['held']} cloid={order['c']}"
        f" nonce={payload['nonce']}"
        f" until={payload['expiresAfter']}"
    )


def _action(asset_id: int, price: Decimal, size: Decimal, cloid: str, *, is_buy: bool) -> dict[str, object]:
    order = {
        "a": asset_id,
        "b": is_buy,
        "p": wire_number(price),
        "s": wire_number(size),
        "r": True,
        "t": {"limit": {"tif": "Ioc"}},
        "c": cloid,
    }
    return {"type": ORDER, "orders": [order], "grouping": "na"}


class _Filled(msgspec.Struct, frozen=True):
    totalSz: Decimal
    avgPx: Decimal


class _Status(msgspec.Struct, frozen=True):
    filled: _Filled | None = None
    error: str | None = None


class _Statuses(msgspec.Struct, frozen=True):
    statuses: list[_Status | str]


class _Response(msgspec.Struct, frozen=True):
    data: _Statuses


class _Reply(msgspec.Struct, frozen=True):
    response: _Response


class _Order(msgspec.Struct, frozen=True):
    sz: Decimal
    origSz: Decimal


class _Known(msgspec.Struct, frozen=True):
    order: _Order
    status: str


class _Told(msgspec.Struct, frozen=True):
    status: str
    order: _Known | None = None


def answered(raw: bytes, coin: str) -> Found:
    """Return what the reply to a taken action says of the order; raises `Refused` when nothing was closed.

    Raises `Unreachable` when the reply does not tell.
    """
    try:
        (status,) = decode(VENUE, "exchange", raw, _Reply).response.data.statuses
    except (Malformed, ValueError) as error:
        raise Unreachable(VENUE, "the reply does not say what became of the order") from error
    if isinstance(status, _Status) and status.error is not None:
        raise Refused(VENUE, inert(status.error, 160) or "refused without a word")
    if isinstance(status, _Status) and status.filled is not None:
        size, price = finite(status.filled.totalSz, "filled size"), finite(status.filled.avgPx, "filled price")
        return Found(Fate.CONFIRMED, f"closed {size:f} {coin} at {price:f}")
    return Found(Fate.PENDING, "taken, and not filled yet")


def order_fate(facts: Mapping[str, str], raw: bytes, purse: Purse, skew_ms: int) -> Found:
    """Return what became of an order, of an `orderStatus` reply and a reading of its dex; raises `Malformed`.

    Only an order that can no longer be taken counts as rejected while the venue does not know it. Of one that was not
    filled whole no more counts as closed than the position has shrunk by.
    """
    told, coin = decode(VENUE, "orderStatus", raw, _Told), facts["coin"]
    if told.order is None:
        if told.status != "unknownOid":
            raise Malformed(VENUE, f"orderStatus: {inert(told.status, 24)!r} without an order")
        if purse.time_ms is not None and purse.time_ms > int(facts["until"]) + skew_ms:
            return Found(Fate.REJECTED, "the venue does not know the order, and it has expired")
        return Found(Fate.PENDING, "the venue does not know the order yet")
    whole, left = finite(told.order.order.origSz, "order size"), finite(told.order.order.sz, "size left")
    status = inert(told.order.status, 40)
    stake = purse.stake(coin)
    shrunk = abs(Decimal(facts["held"])) - (abs(stake.size) if stake is not None else _ZERO)
    closed = whole if status == "filled" else min(whole - left, shrunk)
    if status in ("open", "triggered"):
        return Found(Fate.PENDING, f"the order is {status}")
    if closed > 0:
        rest = f"; the rest was not: {status}" if closed < whole else ""
        return Found(Fate.CONFIRMED, f"closed {closed:f} of {whole:f} {coin}{rest}")
    return Found(Fate.REJECTED, f"nothing of {coin} was closed: {status}")
