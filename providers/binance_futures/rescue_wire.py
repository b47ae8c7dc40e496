"""What Binance answers about transfers, margin and orders: pure functions from bytes to what became of a request.

Wire: developers.binance.com (read 2026-11): `/sapi/v1/asset/transfer` and its history, `/fapi/v1/positionMargin` and
its history, `/fapi/v1/income` (TRANSFER), `/fapi/v1/order`, `/papi/v1/um/order`, `/fapi/v1/exchangeInfo`,
`/api/v3/account` (spot balances).
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine.record import record
from engine.rendering import plain
from providers.binance_futures.numbers import ABSENT, VENUE, name, number, read, required
from providers.binance_futures.wire import BOTH
from providers.errors import Malformed
from providers.rescue_ports import Fate, Found

_FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
_OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})
_ZERO = Decimal(0)


@record
class Moved:
    """One row of a history: a transfer, or margin added. `key` is the venue's own number of it, "" without one."""

    asset: str
    amount: Decimal
    at_ms: int
    key: str = ""
    status: str = ""
    side: str = BOTH


@record
class Rules:
    """What an order of a symbol must fit: price in whole `tick`s, quantity in whole `step`s."""

    tick: Decimal
    step: Decimal


class _Transfer(msgspec.Struct, frozen=True):
    tranId: int


class _TransferRow(msgspec.Struct, frozen=True):
    asset: str
    amount: msgspec.Raw
    timestamp: int
    tranId: int | str = ""
    status: str = ""


class _Transfers(msgspec.Struct, frozen=True):
    rows: list[_TransferRow] = []


class _MarginAnswer(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


class _MarginRow(msgspec.Struct, frozen=True):
    amount: msgspec.Raw
    time: int
    asset: str = ""
    positionSide: str = BOTH


class _IncomeRow(msgspec.Struct, frozen=True):
    income: msgspec.Raw
    asset: str
    time: int
    tranId: int | str = ""


class _Order(msgspec.Struct, frozen=True):
    status: str
    origQty: msgspec.Raw = ABSENT
    executedQty: msgspec.Raw = ABSENT
    avgPrice: msgspec.Raw = ABSENT


class _Filter(msgspec.Struct, frozen=True):
    filterType: str
    tickSize: msgspec.Raw = ABSENT
    stepSize: msgspec.Raw = ABSENT


class _Symbol(msgspec.Struct, frozen=True):
    symbol: str
    filters: list[_Filter] = []


class _Exchange(msgspec.Struct, frozen=True):
    symbols: list[_Symbol] = []


class _SpotBalance(msgspec.Struct, frozen=True):
    asset: str
    free: msgspec.Raw


class _Spot(msgspec.Struct, frozen=True):
    balances: list[_SpotBalance] = []


def parse_transfer(raw: bytes) -> str:
    """Return the venue's number of a transfer that it took; raises `Malformed`."""
    return str(read("transfer", raw, _Transfer).tranId)


def parse_transfers(raw: bytes) -> tuple[Moved, ...]:
    """Return the rows of a transfer history; raises `Malformed`."""
    return tuple(
        Moved(
            name(row.asset),
            required(row.amount, "amount of a transfer"),
            row.timestamp,
            name(str(row.tranId)),
            name(row.status).upper() if row.status else "",
        )
        for row in read("transfer history", raw, _Transfers).rows
    )


def parse_income(raw: bytes) -> tuple[Moved, ...]:
    """Return the transfers that a futures wallet saw, positive into it; raises `Malformed`."""
    return tuple(
        Moved(
            name(row.asset), required(row.income, "amount of a transfer"), row.time, name(str(row.tranId)), "CONFIRMED"
        )
        for row in read("income", raw, list[_IncomeRow])
    )


def margin_added(raw: bytes) -> Found:
    """Return what the answer to added margin says; raises `Malformed` unless it says that it was done."""
    answer = read("positionMargin", raw, _MarginAnswer)
    if answer.code != 200:
        raise Malformed(VENUE, f"positionMargin: code {answer.code}")
    return Found(Fate.CONFIRMED, "the venue confirmed the added margin")


def parse_margin_history(raw: bytes) -> tuple[Moved, ...]:
    """Return margin added to one symbol's positions; raises `Malformed`."""
    return tuple(
        Moved(name(row.asset), required(row.amount, "amount of margin"), row.time, side=row.positionSide)
        for row in read("positionMargin history", raw, list[_MarginRow])
    )


def order_fate(raw: bytes) -> Found:
    """Return what became of an immediate-or-cancel order; raises `Malformed`.

    What was filled of it in part is done: the rest was cancelled by the venue and is not sent again.
    """
    order = read("order", raw, _Order)
    wanted, filled = number(order.origQty, "order quantity"), number(order.executedQty, "filled quantity") or _ZERO
    average = number(order.avgPrice, "average price")
    at = f" at {plain(average)}" if average else ""
    if order.status in _OPEN:
        return Found(Fate.PENDING, f"order {name(order.status)}")
    if order.status not in _FINAL:
        raise Malformed(VENUE, f"order: status {name(order.status)}")
    if not filled:
        return Found(Fate.REJECTED, f"nothing was closed: no better price than the bound ({name(order.status)})")
    if wanted is not None and filled < wanted:
        return Found(Fate.CONFIRMED, f"closed {plain(filled)} of {plain(wanted)}{at}, the rest was cancelled")
    return Found(Fate.CONFIRMED, f"closed {plain(filled)}{at}")


def parse_rules(raw: bytes) -> Mapping[str, Rules]:
    """Return tick and lot step by symbol of an `exchangeInfo` reply; symbols without either are left out."""
    found: dict[str, Rules] = {}
    for row in read("exchangeInfo", raw, _Exchange).symbols:
        symbol = name(row.symbol)
        sizes = {each.filterType: each for each in row.filters}
        price, lot = sizes.get("PRICE_FILTER"), sizes.get("LOT_SIZE")
        if price is None or lot is None:
            continue
        tick, step = number(price.tickSize, f"tick of {symbol}"), number(lot.stepSize, f"lot of {symbol}")
        if tick is not None and step is not None and tick > 0 and step > 0:
            found[symbol] = Rules(tick, step)
    return found


def parse_spot(raw: bytes) -> Mapping[str, Decimal]:
    """Return what is free of each coin in the spot wallet; raises `Malformed`."""
    return {
        name(row.asset): required(row.free, f"free {name(row.asset)}")
        for row in read("spot account", raw, _Spot).balances
    }
