"""OKX's replies about transfers, orders and the funding account, made into plain values (okx.com/docs-v5, 2026-11)."""

from decimal import Decimal

import msgspec

from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, not_negative
from providers.okx_account.signing import VENUE
from providers.okx_account.wire import clean


@record
class OrderTold:
    """What the venue says of one order: its state word, what was filled in contracts and at what average price."""

    state: str
    filled: Decimal
    average: Decimal | None


class _Balance(msgspec.Struct, frozen=True, rename="camel"):
    ccy: str
    avail_bal: msgspec.Raw = NO_NUMBER


class _Balances(msgspec.Struct, frozen=True):
    data: tuple[_Balance, ...]


class _Transfer(msgspec.Struct, frozen=True, rename="camel"):
    client_id: str = ""
    trans_id: str = ""
    state: str = ""


class _Transfers(msgspec.Struct, frozen=True):
    data: tuple[_Transfer, ...]


class _Margin(msgspec.Struct, frozen=True, rename="camel"):
    inst_id: str


class _Margins(msgspec.Struct, frozen=True):
    data: tuple[_Margin, ...]


class _Order(msgspec.Struct, frozen=True, rename="camel"):
    ord_id: str = ""
    cl_ord_id: str = ""
    state: str = ""
    acc_fill_sz: msgspec.Raw = NO_NUMBER
    avg_px: msgspec.Raw = NO_NUMBER


class _Orders(msgspec.Struct, frozen=True):
    data: tuple[_Order, ...]


def parse_funding(raw: bytes) -> dict[str, Decimal]:
    """Return by currency what can be transferred out of the funding account."""
    rows = decode(VENUE, "funding account", raw, _Balances).data
    return {clean(row.ccy): not_negative(VENUE, f"availBal of {row.ccy}", row.avail_bal) or Decimal(0) for row in rows}


def parse_transfer(raw: bytes) -> str:
    """Return the venue's own id of a transfer that it took."""
    rows = decode(VENUE, "transfer", raw, _Transfers).data
    if not rows:
        raise Malformed(VENUE, "transfer: an empty reply")
    return clean(rows[0].trans_id)


def parse_transfer_state(raw: bytes, client_id: str) -> str | None:
    """Return the state word of our transfer, `None` where the venue does not list it."""
    rows = decode(VENUE, "transfer state", raw, _Transfers).data
    return next((row.state for row in rows if row.client_id == client_id), None)


def has_bill(raw: bytes, client_id: str) -> bool:
    """Return whether the funding account's bills hold our transfer."""
    return any(row.client_id == client_id for row in decode(VENUE, "bills", raw, _Transfers).data)


def parse_margin(raw: bytes) -> str:
    """Return the contract whose margin the venue changed."""
    rows = decode(VENUE, "margin", raw, _Margins).data
    if not rows:
        raise Malformed(VENUE, "margin: an empty reply")
    return clean(rows[0].inst_id)


def parse_placed(raw: bytes) -> str:
    """Return the venue's own id of an order that it took."""
    rows = decode(VENUE, "order", raw, _Orders).data
    if not rows:
        raise Malformed(VENUE, "order: an empty reply")
    return clean(rows[0].ord_id)


def parse_order(raw: bytes, client_id: str) -> OrderTold | None:
    """Return what is told of our order, `None` where the venue does not know it."""
    row = next((each for each in decode(VENUE, "order", raw, _Orders).data if each.cl_ord_id == client_id), None)
    if row is None:
        return None
    filled = not_negative(VENUE, "accFillSz", row.acc_fill_sz) or Decimal(0)
    return OrderTold(row.state, filled, not_negative(VENUE, "avgPx", row.avg_px) or None)
