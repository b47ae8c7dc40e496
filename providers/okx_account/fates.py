"""What became of a transfer, an order or added margin at OKX, from what the venue shows now. Pure.

State words: okx.com/docs-v5, "Get funds transfer state" and "Get order details" (read 2026-11).
"""

from collections.abc import Mapping
from decimal import Decimal

from providers.okx_account.moves_wire import OrderTold
from providers.okx_account.wire import Held
from providers.rescue_ports import Fate, Found
from providers.text import inert

# A request whose time is older than 30 s is refused by the venue: one that is not listed by then never will be.
SETTLED_S = 45.0
_ENDED = frozenset({"canceled", "mmp_canceled"})


def transfer_fate(state: str | None, age_s: float = 0.0) -> Found:
    """Return the fate of a transfer by its state word; one that is not known after a while was never made."""
    match state:
        case "success":
            return Found(Fate.CONFIRMED, "the transfer is done")
        case "failed":
            return Found(Fate.REJECTED, "the venue says that the transfer failed")
        case None if age_s > SETTLED_S:
            return Found(Fate.REJECTED, "the venue has no such transfer")
        case None:
            return Found(Fate.UNKNOWN, "the venue does not know the transfer yet")
        case _:
            return Found(Fate.PENDING, f"the transfer is {inert(state, 32)}")


def order_fate(told: OrderTold | None, age_s: float = 0.0) -> Found:
    """Return the fate of an immediate-or-cancel order: any fill counts, and says how much it was."""
    if told is None:
        if age_s > SETTLED_S:
            return Found(Fate.REJECTED, "the venue has no such order")
        return Found(Fate.UNKNOWN, "the venue does not know the order yet")
    at = "" if told.average is None else f" at {told.average:f} on average"
    if told.state == "filled":
        return Found(Fate.CONFIRMED, f"filled, {told.filled:f} contracts{at}")
    if told.state in _ENDED:
        if told.filled:
            return Found(Fate.CONFIRMED, f"filled in part, {told.filled:f} contracts{at}; the rest was cancelled")
        return Found(Fate.REJECTED, "nothing was filled within the price bound")
    return Found(Fate.PENDING, f"the order is {inert(told.state, 32)}")


def added_fate(facts: Mapping[str, str], held: Held | None, age_s: float) -> Found:
    """Return whether margin was added, by the position's margin before and after; half of it tells the two apart.

    Margin moves by itself only by funding, far less than a rescue. A position that changed otherwise tells nothing.
    """
    before, amount = Decimal(facts["before"]), Decimal(facts["amount"])
    if held is None:
        return Found(Fate.UNKNOWN, f"the position in {facts['contract']} is gone")
    if held.contracts != Decimal(facts["contracts"]) or held.margin is None:
        return Found(Fate.UNKNOWN, f"the position in {facts['contract']} changed: compare its margin at the venue")
    if held.margin - before >= amount / 2:
        return Found(Fate.CONFIRMED, f"the position's margin is now {held.margin:f}")
    if age_s > SETTLED_S:
        return Found(Fate.REJECTED, "the position's margin did not move: none was added")
    return Found(Fate.PENDING, "the position's margin has not moved yet")
