"""What Deribit says of subaccounts, transfers and orders: pure functions from replies to fates and facts."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

import msgspec

from engine.record import record
from engine.rendering import plain
from providers.deribit.signing import VENUE
from providers.deribit.wire import clean, finite, positive, result_of
from providers.errors import Malformed
from providers.rescue_ports import Fate, Found
from providers.text import inert

# Clocks of the venue's own machines may differ by so much from each other.
_EARLY_MS = 5_000
LISTED = 50
"""How many transfers are asked for: where all of a full list are later, the absence of one proves nothing."""


@record
class Rules:
    """A contract's lot and ticks; `steps` are (price above which, tick)."""

    tick: Decimal
    lot: Decimal
    steps: tuple[tuple[Decimal, Decimal], ...] = ()

    def tick_at(self, price: Decimal) -> Decimal:
        """Return the tick that holds at `price`."""
        return max((step for step in self.steps if price > step[0]), default=(Decimal(0), self.tick))[1]


@record
class Own:
    """The subaccount that the config names, as the login's own list has it. `free` is what may leave it."""

    is_listed: bool
    label: str
    free: Mapping[str, Decimal] = field(default_factory=dict)


@record
class Moved:
    """One transfer as the venue lists it."""

    number: int
    amount: Decimal
    state: str
    at_ms: int
    is_between_own: bool


class _Step(msgspec.Struct, frozen=True):
    above_price: Decimal
    tick_size: Decimal


class _Instrument(msgspec.Struct, frozen=True):
    instrument_name: str
    tick_size: Decimal
    min_trade_amount: Decimal | None = None
    contract_size: Decimal | None = None
    tick_size_steps: list[_Step] = []


class _Purse(msgspec.Struct, frozen=True):
    currency: str = ""
    available_withdrawal_funds: Decimal | None = None
    available_funds: Decimal | None = None


class _Subaccount(msgspec.Struct, frozen=True):
    id: int
    type: str = ""
    username: str = ""
    portfolio: dict[str, _Purse] = {}


class _Transfer(msgspec.Struct, frozen=True):
    id: int
    amount: Decimal
    state: str
    type: str = ""
    created_timestamp: int = 0


class _Transfers(msgspec.Struct, frozen=True):
    data: list[_Transfer]


class _Order(msgspec.Struct, frozen=True):
    order_state: str
    label: str = ""
    amount: Decimal | None = None
    filled_amount: Decimal | None = None
    average_price: Decimal | None = None


class _Ordered(msgspec.Struct, frozen=True):
    order: _Order


def parse_own(raw: bytes, number: int | None) -> Own:
    """Return subaccount `number` of a `get_subaccounts` reply; raises `Malformed`."""
    rows = result_of(raw, "get_subaccounts", list[_Subaccount])
    row = next((each for each in rows if each.id == number and each.type != "main"), None)
    if row is None:
        return Own(False, f"subaccount {number}")
    free = {}
    for name, purse in row.portfolio.items():
        currency = clean(purse.currency or name).upper()
        amounts = [
            value
            for value in (purse.available_withdrawal_funds, purse.available_funds)
            if finite(value, f"free {currency}") is not None and value is not None
        ]
        if amounts:
            free[currency] = max(min(amounts), Decimal(0))
    name = inert(row.username, 24)
    return Own(True, f"subaccount {name}" if name else f"subaccount {number}", free)


def parse_rules(raw: bytes) -> Mapping[str, Rules]:
    """Return lots and ticks by contract of a `get_instruments` reply; raises `Malformed`."""
    found = {}
    for row in result_of(raw, "get_instruments", list[_Instrument]):
        name = clean(row.instrument_name)
        tick = positive(row.tick_size, f"tick of {name}")
        lot = positive(row.min_trade_amount or row.contract_size, f"lot of {name}")
        if tick is None or lot is None:
            raise Malformed(VENUE, f"rules of {name}: no tick or lot")
        steps = [
            (finite(each.above_price, f"tick of {name}") or Decimal(0), positive(each.tick_size, f"tick of {name}"))
            for each in row.tick_size_steps
        ]
        found[name] = Rules(tick, lot, tuple((above, step) for above, step in steps if step is not None))
    return found


def parse_transfers(raw: bytes) -> tuple[Moved, ...]:
    """Return the transfers of a `get_transfers` reply; raises `Malformed`."""
    return tuple(_moved(row) for row in result_of(raw, "get_transfers", _Transfers).data)


def transfer_fate(raw: bytes) -> Found:
    """Return what the answer to a transfer says; raises `Malformed`."""
    return _fate(_moved(result_of(raw, "transfer", _Transfer)))


def transfers_fate(raw: bytes, facts: Mapping[str, str]) -> Found | None:
    """Return the fate of the transfer that `facts` are of: of this amount, new since then; `None` when not listed."""
    since_ms, last, amount = int(facts["at"]) - _EARLY_MS, int(facts["last"]), Decimal(facts["amount"])
    rows = parse_transfers(raw)
    fits = [
        row
        for row in rows
        if row.amount == amount and row.number > last and row.at_ms >= since_ms and row.is_between_own
    ]
    if not fits and len(rows) >= LISTED and all(row.number > last for row in rows):
        return Found(Fate.UNKNOWN, f"the venue lists its last {len(rows)} transfers, all of them later")
    return _fate(min(fits, key=lambda row: row.number)) if fits else None


def order_fate(raw: bytes) -> Found:
    """Return what the answer to an order says; raises `Malformed`."""
    return _order_fate(result_of(raw, "order", _Ordered).order)


def orders_fate(raw: bytes, label: str) -> Found | None:
    """Return the fate of the order with `label`; `None` when it is not listed. Raises `Malformed`."""
    rows = result_of(raw, "get_order_state_by_label", list[_Order])
    return next((_order_fate(row) for row in rows if row.label == label), None)


def _moved(row: _Transfer) -> Moved:
    amount = finite(row.amount, "amount of a transfer") or Decimal(0)
    return Moved(row.id, abs(amount), row.state, row.created_timestamp, row.type in ("", "subaccount"))


def _fate(row: Moved) -> Found:
    match row.state:
        case "confirmed":
            return Found(Fate.CONFIRMED, f"transfer {row.number} is confirmed")
        case "prepared" | "waiting_for_admin":
            return Found(Fate.PENDING, f"transfer {row.number} is {row.state}")
        case _:
            return Found(Fate.REJECTED, f"transfer {row.number}: {inert(row.state, 60)}")


def _order_fate(order: _Order) -> Found:
    filled, asked = finite(order.filled_amount, "filled amount") or Decimal(0), finite(order.amount, "amount")
    if order.order_state in ("open", "untriggered"):
        return Found(Fate.PENDING, "the order is still open")
    if order.order_state not in ("filled", "cancelled", "rejected"):
        raise Malformed(VENUE, f"order: state {inert(order.order_state, 40)}")
    if filled > 0:
        price = "" if order.average_price is None else f" at {plain(order.average_price)}"
        return Found(Fate.CONFIRMED, f"closed {plain(filled)} of {plain(asked or filled)}{price}")
    return Found(Fate.REJECTED, f"nothing was closed: {inert(order.order_state, 40)}")
