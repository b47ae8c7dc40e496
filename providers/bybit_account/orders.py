"""Closing part of a Bybit position by an order that may only reduce it and fills within a price bound or not at all.

Wire: bybit-exchange.github.io/docs/v5/order/create-order (read 2026-11): Limit, IOC, `reduceOnly`, found again by
`orderLinkId`. Sizes of an inverse contract are in USD. Pure.
"""

from collections.abc import Mapping
from decimal import Decimal
from uuid import uuid4

from engine.record import record
from engine.rendering import plain
from providers.bybit_account.markets import Contract
from providers.bybit_account.signing import VENUE
from providers.bybit_account.wire import Held
from providers.errors import Refused
from providers.venue_rescue import REDUCE_BOUND, stepped


@record
class Order:
    """One order to be sent; `closed` is how much of the position's quantity, in base coins, it closes."""

    fields: Mapping[str, str]
    facts: Mapping[str, str]
    title: str
    closed: Decimal


def closing(held: Held, contract: Contract, amount: Decimal) -> Order:
    """Return the order that closes `amount` base coins of `held`, rounded up to a lot; raises `Refused`."""
    mark, entry = held.mark_price, held.entry_price
    if mark is None or entry is None:
        raise Refused(VENUE, f"no mark or entry price of {held.symbol}")
    wanted = amount * entry if contract.is_inverse else amount
    quantity = min(stepped(wanted, contract.lot, up=True), abs(held.size))
    if contract.lowest is not None and quantity < contract.lowest:
        raise Refused(VENUE, f"{plain(quantity)} is less than the smallest order of {held.symbol}")
    is_long = held.size > 0
    bound = mark * (1 - REDUCE_BOUND) if is_long else mark * (1 + REDUCE_BOUND)
    price = plain(stepped(bound, contract.tick, up=is_long))
    fields = {
        "category": held.category,
        "symbol": held.symbol,
        "side": "Sell" if is_long else "Buy",
        "orderType": "Limit",
        "qty": plain(quantity),
        "price": price,
        "timeInForce": "IOC",
        "positionIdx": str(held.side_index),
        "reduceOnly": "true",
        "orderLinkId": f"ml-{uuid4().hex[:28]}",
    }
    facts = {"id": fields["orderLinkId"], "category": held.category, "symbol": held.symbol}
    title = f"{'sell' if is_long else 'buy'} {fields['qty']} {held.symbol} at {price} or better, reduce-only"
    return Order(fields, facts, title, quantity / entry if contract.is_inverse else quantity)
