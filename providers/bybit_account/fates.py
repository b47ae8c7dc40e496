"""What became of a transfer, an order or added margin at Bybit, from what the venue shows now. Pure.

Status words: bybit-exchange.github.io/docs/v5/enum (transferStatus, orderStatus; read 2026-11).
"""

from collections.abc import Mapping
from decimal import Decimal

from providers.bybit_account.moves_wire import OrderTold
from providers.bybit_account.wire import Held
from providers.rescue_ports import Fate, Found
from providers.text import inert

# A request that the venue took shows up in its lists within seconds; the receive window closes after five.
SETTLED_S = 30.0
_DONE = frozenset({"Filled"})
_ENDED = frozenset({"Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"})


def transfer_fate(status: str | None, age_s: float = 0.0) -> Found:
    """Return the fate of a transfer by its status word; one that is not listed after a while was never made."""
    match status:
        case "SUCCESS":
            return Found(Fate.CONFIRMED, "the transfer is done")
        case "FAILED":
            return Found(Fate.REJECTED, "the venue says that the transfer failed")
        case None if age_s > SETTLED_S:
            return Found(Fate.REJECTED, "the venue has no such transfer")
        case None:
            return Found(Fate.UNKNOWN, "the venue does not list the transfer yet")
        case _:
            return Found(Fate.PENDING, f"the transfer is {inert(status, 32)}")


def order_fate(told: OrderTold | None, age_s: float = 0.0) -> Found:
    """Return the fate of an immediate-or-cancel order: any fill counts, and says how much it was."""
    if told is None:
        if age_s > SETTLED_S:
            return Found(Fate.REJECTED, "the venue has no such order")
        return Found(Fate.UNKNOWN, "the venue does not list the order yet")
    at = "" if told.average is None else f" at {told.average:f} on average"
    if told.status in _DONE:
        return Found(Fate.CONFIRMED, f"filled, {told.filled:f}{at}")
    if told.status in _ENDED:
        if told.filled:
            return Found(Fate.CONFIRMED, f"filled in part, {told.filled:f}{at}; the rest was cancelled")
        why = f" ({inert(told.reason, 60)})" if told.reason and told.reason != "EC_NoError" else ""
        return Found(Fate.REJECTED, f"nothing was filled within the price bound{why}")
    return Found(Fate.PENDING, f"the order is {inert(told.status, 32)}")


def added_fate(facts: Mapping[str, str], held: Held | None, age_s: float) -> Found:
    """Return whether margin was added, by the position's liquidation price before and after.

    It moves by amount / size away from the mark (an inverse one by its own formula): half of that tells the two apart.
    A position that changed otherwise in between tells nothing.
    """
    before, margin, size = Decimal(facts["limit"]), Decimal(facts["margin"]), Decimal(facts["size"])
    if held is None:
        return Found(Fate.UNKNOWN, f"the position in {facts['symbol']} is gone")
    if held.size != size or held.entry_price != Decimal(facts["entry"]):
        return Found(Fate.UNKNOWN, f"the position in {facts['symbol']} changed: compare its margin at the venue")
    if not before or held.liquidation_price is None:
        if before:
            return Found(Fate.CONFIRMED, "the position has no liquidation price any more")
        return Found(Fate.UNKNOWN, "no liquidation price told the margin before: compare it at the venue")
    moved = (before - held.liquidation_price) * (1 if size > 0 else -1)
    expected = margin / abs(size)
    if facts["category"] == "inverse":
        expected = margin * before * before / abs(size)
    if moved >= expected / 2:
        return Found(Fate.CONFIRMED, f"the liquidation price moved to {held.liquidation_price:f}")
    if age_s > SETTLED_S:
        return Found(Fate.REJECTED, "the liquidation price did not move: no margin was added")
    return Found(Fate.PENDING, "the liquidation price has not moved yet")
