"""Bybit's replies about transfers, orders and the funding wallet, made into plain values (docs/v5, read 2026-11)."""

from decimal import Decimal

import msgspec

from engine.record import record
from providers.bybit_account.signing import VENUE
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, not_negative
from providers.text import inert


@record
class OrderTold:
    """What the venue says of one order: its status word, what was filled of it and at what average price."""

    status: str
    filled: Decimal
    average: Decimal | None
    reason: str = ""


class _Balance(msgspec.Struct, frozen=True, rename="camel"):
    coin: str
    transfer_balance: msgspec.Raw = NO_NUMBER


class _Balances(msgspec.Struct, frozen=True):
    balance: tuple[_Balance, ...] | None = ()


class _BalancesReply(msgspec.Struct, frozen=True):
    result: _Balances


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    transfer_id: str = ""
    status: str = ""


class _StatusReply(msgspec.Struct, frozen=True):
    result: _Status


class _Transfers(msgspec.Struct, frozen=True):
    list: tuple[_Status, ...] | None = ()


class _TransfersReply(msgspec.Struct, frozen=True):
    result: _Transfers


class _Placed(msgspec.Struct, frozen=True, rename="camel"):
    order_id: str = ""


class _PlacedReply(msgspec.Struct, frozen=True):
    result: _Placed


class _Order(msgspec.Struct, frozen=True, rename="camel"):
    order_link_id: str = ""
    order_status: str = ""
    cum_exec_qty: msgspec.Raw = NO_NUMBER
    avg_price: msgspec.Raw = NO_NUMBER
    reject_reason: str | None = ""


class _Orders(msgspec.Struct, frozen=True):
    list: tuple[_Order, ...] | None = ()


class _OrdersReply(msgspec.Struct, frozen=True):
    result: _Orders


def parse_funding(raw: bytes) -> dict[str, Decimal]:
    """Return by coin what can be transferred out of the funding wallet."""
    rows = decode(VENUE, "funding wallet", raw, _BalancesReply).result.balance or ()
    return {
        row.coin: not_negative(VENUE, f"transferBalance of {row.coin}", row.transfer_balance) or Decimal(0)
        for row in rows
    }


def parse_status(raw: bytes) -> str:
    """Return the status word of a transfer that was just asked for."""
    return decode(VENUE, "transfer", raw, _StatusReply).result.status


def parse_transfers(raw: bytes) -> dict[str, str]:
    """Return the status word of every transfer by its id."""
    rows = decode(VENUE, "transfers", raw, _TransfersReply).result.list or ()
    return {row.transfer_id: row.status for row in rows}


def parse_order_id(raw: bytes) -> str:
    """Return the venue's own id of an order that it accepted."""
    return inert(decode(VENUE, "order", raw, _PlacedReply).result.order_id, 64)


def parse_orders(raw: bytes) -> dict[str, OrderTold]:
    """Return what is told of every order by our link id."""
    rows = decode(VENUE, "orders", raw, _OrdersReply).result.list or ()
    return {
        row.order_link_id: OrderTold(
            row.order_status,
            not_negative(VENUE, "cumExecQty", row.cum_exec_qty) or Decimal(0),
            not_negative(VENUE, "avgPrice", row.avg_price) or None,
            row.reject_reason or "",
        )
        for row in rows
    }
